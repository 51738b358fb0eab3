/** The contract: `flush`, `document`, `getTracePath`, and calls that come too late. */
import { context } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { named, SessionTracerStage, type TracerProcess } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let process: TracerProcess;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  process = stage.process();
  tracer = process.newTracer();
  tracer.startTrace("ses_1");
});
afterEach(() => stage.remove());

const tool = (callID: string, status: string) =>
  tracer.logToolCall({ tool: callID, callID, state: { status, output: "x" } });
/** Names, and whether they are open. */
const shown = async () =>
  named(await stage.flushed(tracer)).map(
    ({ name, endTime }) => `${name}${endTime === undefined ? " runs" : ""}`,
  );

describe("flush", () => {
  test("P5 writes running tools, and ended tools that may still get attributes", async () => {
    tracer.logStepStart({ id: "g" });
    tool("first", "running");
    expect(await shown()).toEqual(["generation-g runs", "first runs", "ses_1 runs"]);
    tool("second", "running");
    tool("second", "completed");
    expect(await shown()).toEqual(["second", "generation-g runs", "first runs", "ses_1 runs"]);
    tracer.setSpanAttributes({ late: 1 }, "tool");
    expect((await stage.flushed(tracer)).spans[0]).toMatchObject({ name: "second", attributes: { late: 1 } });
    tracer.logStepFinish({ id: "g" });
    expect(await shown()).toEqual(["generation-g", "second", "first runs", "ses_1 runs"]);
    tool("first", "completed");
    expect(await shown()).toEqual(["generation-g", "second", "first", "ses_1 runs"]);
  });

  test("counts what has ended, once", async () => {
    tracer.logStepStart({ id: "g" });
    tool("a", "completed");
    tracer.logStepFinish({ id: "g", cost: 1 });
    const running = await stage.flushed(tracer);
    expect(running.summary).toMatchObject({
      status: "completed",
      idle: true,
      totalToolCalls: 1,
      totalGenerations: 1,
      totalCost: 1,
    });
    await tracer.endTrace();
    expect(stage.document("ses_1").summary).toMatchObject({
      totalToolCalls: 1,
      totalGenerations: 1,
      totalCost: 1,
    });
  });

  test("writes the state of the call", async () => {
    stage.at(1_234);
    tracer.setTitle("t");
    const { endedAt, startedAt, summary } = await stage.flushed(tracer);
    expect(Date.parse(endedAt) - Date.parse(startedAt)).toBe(1_234);
    expect(summary.duration).toBe(1_234);
  });

  test("does nothing without a session, or after its end", async () => {
    await process.newTracer().flush();
    await tracer.endTrace();
    const before = stage.document("ses_1");
    await tracer.flush();
    tracer.flushSync("killed");
    await tracer.flush();
    expect(before.summary.status).toBe("completed");
    expect(stage.document("ses_1").summary.status).toBe("crashed");
  });
});

test("document is that of the last flush, or of the end", async () => {
  expect(await process.newTracer().document()).toBeUndefined();
  tracer.setTitle("t");
  tracer.logToolCall({ tool: "ls", state: {} });
  const { metadata, spans, traceId } = await stage.flushed(tracer);
  expect(await tracer.document()).toMatchObject({
    metadata,
    spans,
    traceId,
    summary: { status: "completed", idle: true },
  });
  await tracer.endTrace();
  expect((await tracer.document())?.summary.status).toBe("completed");
  expect(await tracer.document()).toEqual(stage.document("ses_1"));
});

test("getTracePath, sessionId and isOpen follow the session", async () => {
  const other = process.newTracer();
  expect([other.getTracePath(), other.sessionId, other.isOpen]).toEqual([undefined, undefined, false]);
  other.startTrace("a:b");
  expect([other.getTracePath(), other.sessionId, other.isOpen]).toEqual([
    `${stage.dir}/a_b.json`,
    "a:b",
    true,
  ]);
  await other.endTrace();
  expect([other.getTracePath(), other.sessionId, other.isOpen]).toEqual([
    `${stage.dir}/a_b.json`,
    "a:b",
    false,
  ]);
});

const logMethods: [string, (tracer: SessionTracer) => void][] = [
  ["enrichFromAssistant", (tracer) => tracer.enrichFromAssistant({ modelID: "m" })],
  ["setTitle", (tracer) => tracer.setTitle("t")],
  ["setPrompt", (tracer) => tracer.setPrompt("p")],
  ["applyOwuiContext", (tracer) => tracer.applyOwuiContext({ userId: "u" })],
  ["logUserMessage", (tracer) => tracer.logUserMessage("u")],
  ["logStepStart", (tracer) => tracer.logStepStart({ id: "g" })],
  ["logText", (tracer) => tracer.logText({ text: "t" })],
  ["logStepFinish", (tracer) => tracer.logStepFinish({ id: "g" })],
  ["logToolCall", (tracer) => tracer.logToolCall({ tool: "t", state: {} })],
  ["logSpan", (tracer) => tracer.logSpan({ name: "s", startTime: 1, endTime: 2 })],
  ["setSpanAttributes", (tracer) => tracer.setSpanAttributes({ a: 1 })],
];

describe.each(logMethods)("%s", (_, log) => {
  test("before startTrace does nothing", () => {
    const fresh = process.newTracer();
    log(fresh);
    expect(fresh.dropped).toBe(0);
    fresh.startTrace("fresh");
    const { spans, metadata } = stage.document("fresh");
    expect(spans.map(({ kind }) => kind)).toEqual(["session"]);
    expect(spans[0]).not.toHaveProperty("attributes");
    expect(metadata).toEqual({});
    expect(process.memory.getFinishedSpans()).toEqual([]);
  });

  test.each(["endTrace", "finalizeSync", "flushSync"] as const)(
    "D8 after %s changes nothing and is counted",
    async (end) => {
      await tracer[end]();
      const before = stage.document("ses_1");
      process.memory.reset();
      log(tracer);
      log(tracer);
      await tracer.flush();
      expect(tracer.dropped).toBe(2);
      expect(stage.document("ses_1")).toEqual(before);
      expect(stage.files).toEqual(["ses_1.json"]);
      expect(process.memory.getFinishedSpans()).toEqual([]);
    },
  );
});

test.each(["endTrace", "finalizeSync", "flushSync"] as const)(
  "D8 after %s a context belongs to no session, and reading it counts as no drop",
  async (end) => {
    await tracer[end]();
    expect(tracer.context()).toBe(context.active());
    expect(tracer.traceHeaders()).toBeUndefined();
    expect(tracer.withContext(() => 7)).toBe(7);
    tracer.endTurn();
    tracer.getTracePath();
    await tracer.flush();
    await tracer.document();
    expect(tracer.dropped).toBe(0);
  },
);

test.each(["endTrace", "finalizeSync", "flushSync"] as const)(
  "D8 a foreign span of a context from before %s is dropped and counted, and reopens nothing",
  async (end) => {
    tracer.logStepStart({ id: "g" });
    const within = tracer.context();
    const open = process.foreign.startSpan("open", {}, within);
    await tracer[end]();
    const before = stage.document("ses_1");
    expect(before.spans.map(({ name }) => name)).toContain("open");
    const { dropped } = process.exporter.stats();
    process.foreign.startSpan("late", {}, within).end();
    open.end();
    await process.exporter.forceFlush();
    expect(process.exporter.stats().dropped).toBe(dropped + 2);
    expect(stage.document("ses_1")).toEqual(before);
    expect(stage.files).toEqual(["ses_1.json"]);
  },
);
