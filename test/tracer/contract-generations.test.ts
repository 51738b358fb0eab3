/** The contract: `logStepStart`, `logText`, `logStepFinish`. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { begin, named, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1");
});
afterEach(() => stage.remove());

const any = <T>(value: unknown): T => value as T;
const spans = async () => spansOf(await stage.flushed(tracer));
const generations = async () => (await spans()).filter(({ kind }) => kind === "generation");
const tokens = { input: 100, output: 20, reasoning: 3, cache: { read: 4_000, write: 500 } };

describe("a generation", () => {
  test("is open with its text so far, and idle is not", async () => {
    stage.at(10);
    tracer.logStepStart({ id: "g", messageID: "m" });
    tracer.logText({ text: "so far" });
    const document = await stage.flushed(tracer);
    expect(spansOf(document)).toStrictEqual([
      {
        spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
        parentSpanId: rootOf(document).spanId,
        name: "generation-g",
        kind: "generation",
        startTime: begin + 10,
        status: "ok",
        output: "so far",
        resource: expect.any(String),
      },
    ]);
    expect(document.summary).not.toHaveProperty("idle");
    expect(document.summary.totalGenerations).toBe(1);
  });

  test("ends with reason, cost, tokens and their total", async () => {
    tracer.enrichFromAssistant({ modelID: "m", providerID: "p", variant: "v" });
    tracer.logStepStart({ id: "g" });
    stage.at(1_500);
    tracer.logText({ text: "Hello, " });
    tracer.logText({ text: "world" });
    tracer.logStepFinish({ id: "g", reason: "stop", cost: 0.0123, tokens });
    const document = await stage.flushed(tracer);
    expect(spansOf(document)).toStrictEqual([
      {
        spanId: expect.any(String),
        parentSpanId: rootOf(document).spanId,
        name: "generation-g",
        kind: "generation",
        startTime: begin,
        endTime: begin + 1_500,
        status: "ok",
        model: { modelId: "p/m", providerId: "p", variant: "v" },
        finishReason: "stop",
        cost: 0.0123,
        tokens: { input: 100, output: 20, reasoning: 3, cacheRead: 4_000, cacheWrite: 500, total: 4_623 },
        output: "Hello, world",
        resource: expect.any(String),
      },
    ]);
    expect(document.summary).toMatchObject({
      totalTokens: 4_623,
      totalCost: 0.0123,
      totalGenerations: 1,
      idle: true,
      tokens: { input: 100, output: 20, reasoning: 3, cacheRead: 4_000, cacheWrite: 500 },
    });
  });

  test.each([
    ["a", "a"],
    ["", ""],
    [0, "0"],
    [7, "7"],
    [false, "false"],
    [undefined, "unknown"],
    [null, "unknown"],
  ])("with the id %j is generation-%s", async (id, name) => {
    tracer.logStepStart({ id: any(id) });
    expect((await generations())[0]?.name).toBe(`generation-${name}`);
  });

  test.each([undefined, null, {}, "text", 7])(
    "with the part %j is generation-unknown, and ends",
    async (part) => {
      tracer.logStepStart(any(part));
      tracer.logStepFinish(any(part));
      const [generation] = await generations();
      expect(generation).toMatchObject({
        name: "generation-unknown",
        endTime: begin,
        cost: 0,
        tokens: { total: 0 },
      });
      expect(generation).not.toHaveProperty("finishReason");
      expect(generation).not.toHaveProperty("model");
      expect(generation).not.toHaveProperty("output");
      expect(generation).not.toHaveProperty("input");
    },
  );

  test("has the model that is known when it starts", async () => {
    tracer.logStepStart({ id: "1" });
    tracer.enrichFromAssistant({ modelID: "m", providerID: "p" });
    tracer.logStepFinish({ id: "1" });
    tracer.logStepStart({ id: "2" });
    expect((await generations()).map(({ model }) => model)).toEqual([
      undefined,
      { modelId: "p/m", providerId: "p" },
    ]);
  });
});

describe("logStepFinish", () => {
  const zero = { input: 0, output: 0, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: 0 };

  test.each<[string, object, Partial<TraceSpan>]>([
    ["nothing", {}, { cost: 0, tokens: zero }],
    ["null everywhere", { cost: null, tokens: null }, { cost: 0, tokens: zero }],
    ["texts", { cost: "1", tokens: { input: "1", cache: "2" } }, { cost: 0, tokens: zero }],
    [
      "no finite numbers",
      {
        cost: Number.NaN,
        tokens: {
          input: Number.POSITIVE_INFINITY,
          output: -Number.NaN,
          cache: { read: Number.NEGATIVE_INFINITY },
        },
      },
      { cost: 0, tokens: zero },
    ],
    [
      "some",
      { tokens: { output: 5, cache: { write: 2 } } },
      { cost: 0, tokens: { ...zero, output: 5, cacheWrite: 2, total: 7 } },
    ],
    [
      "negative ones",
      { cost: -1.5, tokens: { input: -3, output: 1 } },
      { cost: -1.5, tokens: { ...zero, input: -3, output: 1, total: -2 } },
    ],
    ["a reason of another type", { reason: 7 }, { finishReason: "7", cost: 0, tokens: zero }],
    ["an empty reason", { reason: "" }, { finishReason: "", cost: 0, tokens: zero }],
  ])("counts %s", async (_, finish, expected) => {
    tracer.logStepStart({ id: "g" });
    tracer.logStepFinish({ id: "g", ...finish });
    const [{ cost, tokens, finishReason } = {} as TraceSpan] = await generations();
    expect({ cost, tokens, ...(finishReason !== undefined && { finishReason }) }).toEqual(expected);
  });

  test("is ignored without an open generation", async () => {
    tracer.logStepFinish({ id: "g", reason: "stop", cost: 1, tokens });
    tracer.logStepStart({ id: "g" });
    tracer.logStepFinish({ id: "g", reason: "first", cost: 1, tokens });
    tracer.logStepFinish({ id: "g", reason: "second", cost: 1, tokens });
    const document = await stage.flushed(tracer);
    expect(spansOf(document).map(({ finishReason }) => finishReason)).toEqual(["first"]);
    expect(document.summary).toMatchObject({ totalCost: 1, totalTokens: 4_623, totalGenerations: 1 });
  });

  test.each(hostileArguments())("D3 accepts %s anywhere", async (_, value) => {
    tracer.logStepStart(any(value));
    tracer.logText(any(value));
    tracer.logStepFinish(any(value));
    tracer.logStepStart({ id: any(value), messageID: any(value) });
    tracer.logText({ text: any(value), id: any(value), messageID: any(value) });
    tracer.logStepFinish({
      id: any(value),
      messageID: any(value),
      reason: any(value),
      cost: any(value),
      tokens: any(value),
    });
    tracer.logStepStart({ id: "good" });
    tracer.logStepFinish({ id: "good", tokens: { input: any(value), output: 7, cache: any(value) } });
    const seen = named(await stage.flushed(tracer));
    expect(seen).toHaveLength(4);
    expect(seen.every(({ kind, endTime }) => kind === "session" || endTime === begin)).toBe(true);
    expect(seen.find(({ name }) => name === "generation-good")?.tokens?.output).toBe(7);
  });
});
