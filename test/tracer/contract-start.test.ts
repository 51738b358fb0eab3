/** The contract: `startTrace`, and metadata that arrives later. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { StartTraceOptions } from "../../src/tracer/input-types.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { promisedSummary } from "../support/promised-summary.js";
import { begin, rootOf, SessionTracerStage } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const metadata = async (tracer: SessionTracer) => (await stage.flushed(tracer)).metadata;
/** Removes the contract's types from a value. */
const any = <T>(value: unknown): T => value as T;

describe("startTrace", () => {
  test("has written a whole document when it returns", () => {
    stage.start("ses_1", { prompt: "do it", title: "t", tags: ["a", "b"] });
    const { traceId, layout, summary, ...document } = stage.document("ses_1");
    expect(document).toStrictEqual({
      version: 2,
      id: "ses_1",
      sessionId: "ses_1",
      startedAt: new Date(begin).toISOString(),
      endedAt: new Date(begin).toISOString(),
      metadata: { title: "t", prompt: "do it", tags: ["a", "b"] },
      spans: [
        {
          spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
          parentSpanId: null,
          name: "ses_1",
          kind: "session",
          startTime: begin,
          status: "ok",
          input: "do it",
        },
      ],
    });
    const counted = {
      totalTokens: 0,
      totalCost: 0,
      totalToolCalls: 0,
      totalGenerations: 0,
      duration: 0,
      status: "completed",
      idle: true,
      lastActivityAt: new Date(begin).toISOString(),
      tokens: { input: 0, output: 0, reasoning: 0, cacheRead: 0, cacheWrite: 0 },
    };
    expect(promisedSummary(summary, counted)).toStrictEqual(counted);
    expect(traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(layout).toMatchObject({ v: 1, tailStart: expect.any(Number) });
  });

  test("writes all options as metadata, and instance_id as name of the session span", () => {
    const options = {
      title: "t",
      model: "m",
      providerId: "p",
      agent: "a",
      variant: "v",
      prompt: "do it",
      userId: "u",
      environment: "prod",
      version: "1.2.3",
      tags: ["x"],
    };
    stage.start("ses_1", { instance_id: "case 7", ...options });
    expect(stage.document("ses_1").metadata).toStrictEqual(options);
    expect(rootOf(stage.document("ses_1")).name).toBe("case 7");
  });

  test("keeps all options that are empty texts, which name no agent, model or message", async () => {
    const options = { title: "", model: "", providerId: "", agent: "", variant: "", prompt: "", userId: "" };
    const more = { environment: "", version: "" };
    const tracer = stage.start("ses_1", { instance_id: "", ...options, ...more });
    expect(stage.document("ses_1").metadata).toStrictEqual({ ...options, ...more });
    expect(rootOf(stage.document("ses_1"))).toMatchObject({ name: "ses_1", input: "" });
    tracer.logStepStart({ id: "1" });
    const generation = (await stage.flushed(tracer)).spans.find(({ kind }) => kind === "generation");
    expect(generation).not.toHaveProperty("model");
    tracer.enrichFromAssistant({ agent: "a", modelID: "m" });
    expect(await metadata(tracer)).toMatchObject({ title: "", agent: "a", model: "/m" });
  });

  test.each([undefined, null, {}, "text", 7])("accepts %j as options", (options) => {
    stage.start("ses_1", any(options));
    expect(stage.document("ses_1").metadata).toStrictEqual({});
    const root = rootOf(stage.document("ses_1"));
    expect(root).toMatchObject({ name: "ses_1", status: "ok" });
    expect(root).not.toHaveProperty("input");
  });

  test.each(["", undefined, null])("uses the session `unknown` for the id %j", (id) => {
    const tracer = stage.start(any(id));
    expect(tracer.getTracePath()).toBe(`${stage.dir}/unknown.json`);
    expect(stage.document("unknown").sessionId).toBe("unknown");
  });

  test("replaces each of / \\ . : by _ in the file's name and the sessionId; the id stays raw", () => {
    stage.start("a/b\\c.d:e");
    expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual(["a_b_c_d_e.json"]);
    expect(stage.document("a_b_c_d_e")).toMatchObject({ id: "a/b\\c.d:e", sessionId: "a_b_c_d_e" });
  });

  test("keeps 10,000 tags, a prompt of 1 MB and text of any script whole", async () => {
    const tags = Array.from({ length: 10_000 }, (_, n) => `tag ${n} é日本🦩`);
    const prompt = "日本語🦩\u2028\u0000\ud800".repeat(125_000);
    const tracer = stage.start("ses_1", { tags, prompt, title: "🦩" });
    const document = await stage.flushed(tracer);
    expect(document.metadata).toStrictEqual({ tags, prompt, title: "🦩" });
    expect(rootOf(document).input).toBe(prompt);
  });

  test.each([["text"], [7], [{ length: 2, 0: "a" }], [new Set(["a"])]])(
    "ignores tags that are no list (%j)",
    (tags) => {
      stage.start("ses_1", { tags: any(tags) });
      expect(stage.document("ses_1").metadata).toStrictEqual({});
    },
  );

  test("startTrace keeps no reference to the caller's values", async () => {
    const options = { title: "t", tags: ["a"] };
    const tracer = stage.start("ses_1", options);
    options.tags.push("b");
    options.title = "changed";
    expect(await metadata(tracer)).toStrictEqual({ title: "t", tags: ["a"] });
  });

  test("gives each session a trace of its own", () => {
    stage.start("a");
    stage.start("b");
    expect(stage.document("a").traceId).not.toBe(stage.document("b").traceId);
    expect(rootOf(stage.document("a")).spanId).not.toBe(rootOf(stage.document("b")).spanId);
  });
});

describe("D3 a bad option loses itself, not the session", () => {
  const options = [
    "instance_id",
    "title",
    "model",
    "agent",
    "prompt",
    "userId",
    "tags",
    "traceparent",
    "parent",
  ];

  test.each(hostileArguments())("%s", async (_, value) => {
    for (const [number, option] of options.entries()) {
      const id = `ses_${number}`;
      const tracer = stage.start(id, { variant: "v", [option]: value });
      tracer.logSpan({ name: "after", startTime: 1, endTime: 2 });
      const document = await stage.flushed(tracer);
      expect(document.metadata.variant).toBe("v");
      expect(document.spans.map(({ name }) => name)).toContain("after");
    }
    stage.start("all", any(value));
    expect(rootOf(stage.document("all")).status).toBe("ok");
    // Any value is a valid session id.
    const tracer = stage.start(any(value));
    expect(rootOf(await stage.flushed(tracer)).kind).toBe("session");
  });

  test("a hostile tag loses only that tag", () => {
    const tags = hostileArguments().map(([, value]) => value);
    stage.start("ses_1", { tags: ["first", ...any<string[]>(tags), "last"] });
    const { tags: kept = [] } = stage.document("ses_1").metadata;
    expect([kept[0], kept.at(-1), kept.length]).toEqual(["first", "last", tags.length + 2]);
    expect(kept.every((tag) => typeof tag === "string")).toBe(true);
  });
});

describe("enrichFromAssistant", () => {
  const start = (options?: StartTraceOptions) => stage.start("ses_1", options);

  test.each([
    [
      { modelID: "m", providerID: "p" },
      { model: "p/m", providerId: "p" },
    ],
    [{ modelID: "m" }, { model: "/m" }],
    [{ modelID: "m", providerID: "" }, { model: "/m" }],
    [{ providerID: "p" }, { providerId: "p" }],
    [
      { agent: "a", variant: "v" },
      { agent: "a", variant: "v" },
    ],
    [{ agent: "", variant: "", modelID: "", providerID: "" }, {}],
    [
      { modelID: 4, providerID: 5, agent: 6, variant: true },
      { model: "5/4", providerId: "5", agent: "6", variant: "true" },
    ],
    [{}, {}],
    [null, {}],
    [undefined, {}],
    ["text", {}],
  ])("%j", async (info, expected) => {
    const tracer = start();
    tracer.enrichFromAssistant(any(info));
    expect(await metadata(tracer)).toStrictEqual(expected);
  });

  test("the last model and variant win, and the first agent", async () => {
    const tracer = start({ model: "given", agent: "first", variant: "v1" });
    tracer.enrichFromAssistant({ modelID: "m", providerID: "p", agent: "second", variant: "v2" });
    tracer.enrichFromAssistant({ providerID: "p2" });
    expect(await metadata(tracer)).toStrictEqual({
      model: "p/m",
      providerId: "p2",
      agent: "first",
      variant: "v2",
    });
  });
});

describe("setTitle and setPrompt", () => {
  test("change metadata only", async () => {
    const tracer = stage.start("ses_1", { prompt: "first" });
    tracer.setTitle("title", "second");
    const document = await stage.flushed(tracer);
    expect(document.metadata).toStrictEqual({ title: "title", prompt: "second" });
    expect(rootOf(document)).toMatchObject({ name: "ses_1", input: "first" });
    tracer.setPrompt("third");
    expect(await metadata(tracer)).toStrictEqual({ title: "title", prompt: "third" });
    expect(rootOf(await stage.flushed(tracer)).input).toBe("first");
  });

  test.each(["", null, undefined, 0, false, Number.NaN])("skip %j", async (falsy) => {
    const tracer = stage.start("ses_1", { title: "t", prompt: "p" });
    tracer.setTitle(any(falsy), any(falsy));
    tracer.setPrompt(any(falsy));
    expect(await metadata(tracer)).toStrictEqual({ title: "t", prompt: "p" });
    tracer.setTitle(any(falsy), "kept");
    expect(await metadata(tracer)).toStrictEqual({ title: "t", prompt: "kept" });
  });

  test("make text of any other value", async () => {
    const tracer = stage.start("ses_1");
    tracer.setTitle(any(7), any({}));
    expect(await metadata(tracer)).toStrictEqual({ title: "7", prompt: "[object Object]" });
  });

  test("P2 survive a kill right after the call", async () => {
    const tracer = stage.start("ses_1", { agent: "a" });
    tracer.setTitle("last");
    stage.kill();
    const next = stage.process().newTracer();
    expect(await next.rehydrateFromFile("ses_1")).toBe(true);
    expect(stage.document("ses_1").metadata).toStrictEqual({ agent: "a", title: "last" });
  });
});

describe("applyOwuiContext", () => {
  test("sets user, model and agent, and adds model and agent to the tags once", async () => {
    const tracer = stage.start("ses_1", { tags: ["b", "x"], agent: "a" });
    tracer.applyOwuiContext({ userId: "u", modelId: "m", agent: "b" });
    tracer.applyOwuiContext({ userId: "u", modelId: "m" });
    const tags = ["b", "x", "m"];
    expect(await metadata(tracer)).toStrictEqual({
      agent: "b",
      model: "m",
      owuiModel: "m",
      tags,
      userId: "u",
    });
  });

  test("never makes a tag of the user, and none of the agent without a model", async () => {
    const tracer = stage.start("ses_1");
    tracer.applyOwuiContext({ userId: "me@example.com", agent: "b" });
    expect(await metadata(tracer)).toStrictEqual({ userId: "me@example.com", agent: "b" });
    tracer.applyOwuiContext({ userId: "me@example.com", modelId: "m", agent: "c" });
    expect((await metadata(tracer)).tags).toStrictEqual(["m", "c"]);
  });

  test("sets the model of a session whose model is empty", async () => {
    const tracer = stage.start("ses_1", { model: "" });
    tracer.applyOwuiContext({ modelId: "m" });
    expect((await metadata(tracer)).model).toBe("m");
  });

  test("keeps a known model", async () => {
    const tracer = stage.start("ses_1", { model: "known" });
    tracer.applyOwuiContext({ modelId: "m" });
    expect(await metadata(tracer)).toStrictEqual({ model: "known", owuiModel: "m", tags: ["m"] });
  });

  test.each([undefined, null, {}, { userId: "", modelId: "", agent: "" }, "text"])(
    "%j changes nothing",
    async (info) => {
      const tracer = stage.start("ses_1", { title: "t" });
      tracer.applyOwuiContext(any(info));
      expect(await metadata(tracer)).toStrictEqual({ title: "t" });
    },
  );

  test("makes text of any value", async () => {
    const tracer = stage.start("ses_1");
    tracer.applyOwuiContext({ userId: any(7), modelId: any(true) });
    expect(await metadata(tracer)).toStrictEqual({
      userId: "7",
      model: "true",
      owuiModel: "true",
      tags: ["true"],
    });
  });
});
