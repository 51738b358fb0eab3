/** The contract: `rehydrateFromFile`. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { begin, named, rootOf, SessionTracerStage } from "../support/session-tracer-stage.js";
import { documentOf, rootSpan, startedAt, toolSpan } from "../support/trace-documents.js";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const path = (name: string) => `${stage.dir}/${name}.json`;
const text = () => readFileSync(path("ses_1"), "utf8");
const write = (document: unknown, name = "ses_1") =>
  writeFileSync(path(name), JSON.stringify(document, null, 2));
const without = (...keys: (keyof TraceFile)[]) => {
  const document: Partial<TraceFile> = documentOf("ses_1");
  for (const key of keys) delete document[key];
  return document;
};

/** The tracer of a new process, after rehydrateFromFile. */
async function resumed(id = "ses_1"): Promise<SessionTracer> {
  const tracer = stage.process().newTracer();
  expect(await tracer.rehydrateFromFile(id)).toBe(true);
  return tracer;
}

describe("a usable file", () => {
  test.each<[string, () => unknown]>([
    ["as it should be", () => documentOf("ses_1")],
    ["without version", () => without("version")],
    ["without startedAt", () => without("startedAt")],
    ["without traceId", () => without("traceId")],
    ["without summary", () => without("summary")],
    ["without metadata", () => without("metadata")],
    ["without endedAt and layout", () => without("endedAt", "layout")],
    ["without raw id, by its sanitised one", () => without("id")],
    ["with no more than a session span", () => ({ sessionId: "ses_1", spans: [rootSpan()] })],
    [
      "with UUIDs and other texts for ids",
      () => {
        const root = rootSpan({ spanId: "0197-uuid-root" });
        const spans = [root, toolSpan(0, { spanId: "日本", parentSpanId: "0197-uuid-root" })];
        return documentOf("ses_1", { traceId: "0197d2a4-7e1f-7bb3-8c1f-0e0f6a1b2c3d", spans });
      },
    ],
  ])("%s, continues", async (_, document) => {
    write(document());
    const tracer = await resumed();
    expect([tracer.sessionId, tracer.isOpen, tracer.getTracePath()]).toEqual(["ses_1", true, path("ses_1")]);
    tracer.logSpan({ name: "new", startTime: 1, endTime: 2 });
    await tracer.endTrace();
    const given = document() as TraceFile;
    const after = stage.document("ses_1");
    const ids = given.spans.filter(({ kind }) => kind !== "session").map(({ spanId }) => spanId);
    expect(after.spans.map(({ spanId }) => spanId)).toEqual([
      ...ids,
      expect.stringMatching(/^[0-9a-f]{16}$/),
      rootOf(given).spanId,
    ]);
    expect(after).toMatchObject({
      version: 2,
      id: "ses_1",
      sessionId: "ses_1",
      summary: { status: "completed" },
    });
    if (given.traceId !== undefined) expect(after.traceId).toBe(given.traceId);
    if (given.startedAt !== undefined) expect(after.startedAt).toBe(given.startedAt);
    expect(Date.parse(after.startedAt)).toBeLessThanOrEqual(begin);
    expect(stage.files).toEqual(["ses_1.json"]);
  });

  test("of a raw id with / : . is found under its sanitised name", async () => {
    write(documentOf("a/b:c.d", { sessionId: "a_b_c_d" }), "a_b_c_d");
    const tracer = await resumed("a/b:c.d");
    expect(tracer.getTracePath()).toBe(path("a_b_c_d"));
  });
});

describe("a file that is not usable changes nothing", () => {
  test.each<[string, () => void]>([
    ["no file", () => {}],
    ["no directory", () => rmSync(stage.dir, { recursive: true })],
    ["a directory in its place", () => mkdirSync(path("ses_1"))],
    ["an empty file", () => writeFileSync(path("ses_1"), "")],
    ["no JSON", () => writeFileSync(path("ses_1"), '{"version":2,"spans":[')],
    ["null", () => write(null)],
    ["a list", () => write([documentOf("ses_1")])],
    ["no spans", () => write(without("spans"))],
    ["spans that are no list", () => write({ ...documentOf("ses_1"), spans: {} })],
    ["no session span", () => write(documentOf("ses_1", { spans: [toolSpan(0)] }))],
    [
      "a session span under another",
      () => write(documentOf("ses_1", { spans: [rootSpan({ parentSpanId: "x" })] })),
    ],
    ["a root of another kind", () => write(documentOf("ses_1", { spans: [rootSpan({ kind: "span" })] }))],
    ["another raw id", () => write(documentOf("ses_2", { sessionId: "ses_1" }))],
    ["no raw id, and another sanitised one", () => write({ ...without("id"), sessionId: "ses_2" })],
  ])("%s", async (what, prepare) => {
    const process = stage.process();
    const open = process.newTracer();
    open.startTrace("open");
    prepare();
    const isFile = !/^(no file|no directory|a directory)/.test(what);
    const before = isFile ? text() : undefined;
    const fresh = process.newTracer();
    for (const tracer of [open, fresh]) expect(await tracer.rehydrateFromFile("ses_1")).toBe(false);
    expect([open.sessionId, open.isOpen, fresh.sessionId, fresh.isOpen]).toEqual([
      "open",
      true,
      undefined,
      false,
    ]);
    if (isFile) expect(text()).toBe(before);
    else if (what === "no file") expect(stage.files).not.toContain("ses_1.json");
  });

  test.each(["", undefined, null, 7, {}])("the id %j", async (id) => {
    write(documentOf("ses_1"));
    expect(
      await stage
        .process()
        .newTracer()
        .rehydrateFromFile(id as string),
    ).toBe(false);
    expect(stage.files).toEqual(["ses_1.json"]);
  });
});

describe("what is restored", () => {
  const tokens = { input: 10, output: 2, reasoning: 1, cache: { read: 3, write: 4 } };

  /** A session with every kind of content, ended this way. */
  async function lived(end: (tracer: SessionTracer) => unknown): Promise<TraceFile> {
    const tracer = stage.start("ses_1", { title: "t", prompt: "p", agent: "a", tags: ["x"] });
    tracer.logUserMessage("hello");
    tracer.logStepStart({ id: "g" });
    tracer.logToolCall({
      tool: "bash",
      callID: "c",
      state: { input: 1, time: { start: begin, end: begin + 5 } },
    });
    tracer.logStepFinish({ id: "g", cost: 0.5, tokens });
    tracer.setSpanAttributes({ kept: true }, "session");
    stage.at(1_000);
    await end(tracer);
    return stage.document("ses_1");
  }

  test.each<[string, (tracer: SessionTracer) => unknown]>([
    ["endTrace", (tracer) => tracer.endTrace()],
    ["endTrace with an error", (tracer) => tracer.endTrace("failed")],
    ["finalizeSync", (tracer) => tracer.finalizeSync()],
    ["flushSync", (tracer) => tracer.flushSync("killed")],
  ])("after %s: ids, spans, metadata, start and counters; the session span is reopened", async (_, end) => {
    const before = await lived(end);
    const bytes = text();
    stage.at(60_000);
    const tracer = await resumed();
    await tracer.flush();
    expect(text()).toBe(bytes);
    tracer.logUserMessage("again");
    const running = await stage.flushed(tracer);
    const { traceId, startedAt: started, metadata } = before;
    expect(running).toMatchObject({
      traceId,
      startedAt: started,
      metadata,
      summary: { status: "running" },
    });
    expect(running.spans.slice(0, 3)).toEqual(before.spans.slice(0, 3));
    expect(running.spans[3]).toMatchObject({ name: "user-message", parentSpanId: rootOf(before).spanId });
    const { endTime: _1, output: _2, statusMessage: _3, interrupted: _4, ...root } = rootOf(before);
    expect(rootOf(running)).toStrictEqual({ ...root, status: "ok" });
    expect(running.summary).not.toHaveProperty("error");
    expect(running.summary).toMatchObject({
      totalTokens: 20,
      totalCost: 0.5,
      totalToolCalls: 1,
      totalGenerations: 1,
      duration: 60_000,
    });
    await tracer.endTrace();
    expect(stage.document("ses_1").summary).toMatchObject({
      status: "completed",
      topTools: [{ name: "bash", count: 1, totalDuration: 5 }],
      narrative: "Completed in 1m0s. Made 1 LLM call using 1 tools (bash). Total cost: $0.5000.",
    });
  });

  test("turns continue counting: each has its own trace, and no earlier one", async () => {
    const before = await lived((tracer) => tracer.endTrace());
    const tracer = await resumed();
    tracer.logUserMessage("two");
    tracer.logUserMessage("three");
    const traces = (await stage.flushed(tracer)).spans.map(({ traceId }) => traceId);
    const reported = expect.stringMatching(/^[0-9a-f]{32}$/);
    expect(traces).toEqual([undefined, undefined, undefined, reported, reported, undefined]);
    expect(new Set([before.traceId, traces[3], traces[4]]).size).toBe(3);
  });

  test("spans that were open are interrupted as of the document's end, which is no failure of the agent", async () => {
    const open: Partial<TraceSpan> = {
      spanId: "g1",
      name: "generation-g1",
      kind: "generation",
      output: "half",
    };
    const generation = toolSpan(1, open);
    delete generation.endTime;
    const done = toolSpan(0);
    write(documentOf("ses_1", { spans: [rootSpan(), done, generation] }));
    const tracer = await resumed();
    tracer.logSpan({ name: "new", startTime: 1, endTime: 2 });
    const document = await stage.flushed(tracer);
    expect(document.spans.find(({ spanId }) => spanId === "g1")).toStrictEqual({
      ...generation,
      status: "error",
      interrupted: true,
      endTime: startedAt + 1_000,
      statusMessage: expect.stringMatching(/interrupted by a restart.*not an agent failure/i),
    });
    expect(named(document).map(({ name, endTime }) => [name, endTime === undefined])).toEqual([
      ["bash", false],
      ["generation-g1", false],
      ["new", false],
      ["ses_1", true],
    ]);
    tracer.logText({ text: "nobody's" });
    tracer.logStepFinish({ id: "g1", messageID: "g1" });
    expect((await stage.flushed(tracer)).spans).toHaveLength(4);
  });

  test.each(["rehydrateFromFile", "startTrace"] as const)(
    "metadata count as known after %s: the agent stays, and a generation has the model",
    async (how) => {
      const tracer = stage.start("ses_1", { agent: "first", model: "p/m", providerId: "p", tags: ["x"] });
      await tracer.endTrace();
      const next = stage.process().newTracer();
      await next[how]("ses_1");
      next.enrichFromAssistant({ agent: "second" });
      next.applyOwuiContext({ modelId: "x" });
      next.logStepStart({ id: "g" });
      const { metadata, spans } = await stage.flushed(next);
      expect(metadata).toEqual({
        agent: "first",
        model: "p/m",
        providerId: "p",
        tags: ["x"],
        owuiModel: "x",
      });
      expect(spans[0]?.model).toEqual({ modelId: "p/m", providerId: "p" });
    },
  );

  test("a second call while it is open returns true and changes nothing", async () => {
    await lived((tracer) => tracer.endTrace());
    const tracer = await resumed();
    tracer.logStepStart({ id: "h" });
    expect(await tracer.rehydrateFromFile("ses_1")).toBe(true);
    tracer.logStepFinish({ id: "h" });
    expect((await stage.flushed(tracer)).spans.find(({ name }) => name === "generation-h")).toMatchObject({
      status: "ok",
    });
  });

  test("nothing is lost right after an end that was not awaited", async () => {
    const process = stage.process();
    for (let n = 0; n < 20; n++) {
      const tracer = process.newTracer();
      if (n === 0) tracer.startTrace("ses_1");
      else expect(await tracer.rehydrateFromFile("ses_1")).toBe(true);
      tracer.logSpan({ name: `span ${n}`, startTime: 1, endTime: 2 });
      void tracer.endTrace();
    }
    await process.exporter.forceFlush();
    const spans = named(stage.document("ses_1")).map(({ name }) => name);
    expect(spans).toEqual([...Array.from({ length: 20 }, (_, n) => `span ${n}`), "ses_1"]);
  });

  test("another open session of the tracer ends first, in its own file", async () => {
    await lived((tracer) => tracer.endTrace());
    const tracer = stage.start("other");
    tracer.logStepStart({ id: "g" });
    expect(await tracer.rehydrateFromFile("ses_1")).toBe(true);
    await tracer.endTrace();
    await tracer.flush();
    expect(stage.document("ses_1").summary.status).toBe("completed");
    expect(stage.document("other")).toMatchObject({ summary: { status: "completed", totalGenerations: 1 } });
  });
});
