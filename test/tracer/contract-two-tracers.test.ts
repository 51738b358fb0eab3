/** The contract: several tracers of one process, and of several, on one session id. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { named, rootOf, SessionTracerStage, type TracerProcess } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let process: TracerProcess;
let first: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  process = stage.process();
  first = process.newTracer();
  first.startTrace("ses_1", { title: "first", agent: "a" });
  first.logSpan({ name: "one", startTime: 1, endTime: 2 });
});
afterEach(() => stage.remove());

const names = () => named(stage.document("ses_1")).map(({ spanId, parentSpanId }) => [spanId, parentSpanId]);
function another(of = process): SessionTracer {
  const tracer = of.newTracer();
  tracer.startTrace("ses_1", { title: "second" });
  return tracer;
}

describe("startTrace of a session that another tracer has open", () => {
  test("continues it: the calls of both tracers are in the document", async () => {
    const second = another();
    first.logSpan({ name: "two", startTime: 1, endTime: 2 });
    second.logSpan({ name: "three", startTime: 1, endTime: 2 });
    await second.flush();
    expect(names()).toEqual([
      ["one", "ses_1"],
      ["two", "ses_1"],
      ["three", "ses_1"],
      ["ses_1", null],
    ]);
    expect(stage.document("ses_1").metadata).toEqual({ title: "second", agent: "a" });
  });

  test.each(["endTrace", "finalizeSync"] as const)("is not ended by %s of the older tracer", async (end) => {
    const second = another();
    await first[end]("too late");
    second.logSpan({ name: "two", startTime: 1, endTime: 2 });
    await second.flush();
    expect(stage.document("ses_1").summary).toMatchObject({ status: "completed", idle: true });
    expect(await second.endTrace()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.document("ses_1").summary.status).toBe("completed");
    expect(names()).toEqual([
      ["one", "ses_1"],
      ["two", "ses_1"],
      ["ses_1", null],
    ]);
    expect(stage.files).toEqual(["ses_1.json"]);
  });

  test("is fenced by either tracer", () => {
    const second = another();
    second.logStepStart({ id: "g" });
    first.flushSync("killed");
    expect(stage.document("ses_1").summary).toMatchObject({ status: "crashed", error: "killed" });
    expect(names()).toEqual([
      ["one", "ses_1"],
      ["generation-g", "ses_1"],
      ["ses_1", null],
    ]);
  });

  test("rehydrateFromFile takes it over: open spans of the older tracer are interrupted", async () => {
    first.logStepStart({ id: "g" });
    const second = process.newTracer();
    expect(await second.rehydrateFromFile("ses_1")).toBe(true);
    await first.endTrace("too late");
    second.logSpan({ name: "two", startTime: 1, endTime: 2 });
    await second.endTrace();
    expect(names()).toEqual([
      ["one", "ses_1"],
      ["generation-g", "ses_1"],
      ["two", "ses_1"],
      ["ses_1", null],
    ]);
    expect(stage.document("ses_1").spans[1]).toMatchObject({ status: "error", interrupted: true });
    expect(stage.document("ses_1").summary.status).toBe("completed");
  });
});

test("D8 keeps every child's parent where spans start after the end and the session continues", async () => {
  const second = another();
  await second.endTrace();
  // The older tracer does not know of the end.
  first.logStepStart({ id: "lost" });
  first.logToolCall({ tool: "bash", callID: "c", state: { status: "running" } });
  const third = another();
  first.logToolCall({ tool: "bash", callID: "c", state: { status: "completed" } });
  first.logToolCall({ tool: "ls", state: { status: "completed" } });
  await third.flush();
  const { spans } = stage.document("ses_1");
  const ids = spans.map(({ spanId }) => spanId);
  for (const { parentSpanId } of spans) if (parentSpanId !== null) expect(ids).toContain(parentSpanId);
  expect(spans.map(({ name }) => name)).toContain("ls");
});

describe("startTrace in another process, of a session", () => {
  test("that is open there: the spans of both are in the document", async () => {
    const second = another(stage.process());
    second.logSpan({ name: "two", startTime: 1, endTime: 2 });
    first.logSpan({ name: "three", startTime: 1, endTime: 2 });
    await first.endTrace();
    await second.endTrace();
    expect(
      names()
        .map(([name]) => name)
        .sort(),
    ).toEqual(["one", "ses_1", "three", "two"]);
    rootOf(stage.document("ses_1"));
    expect(stage.files).toEqual(["ses_1.json"]);
  });

  test("that was killed, once it is recovered: continues, and has the interrupted spans", async () => {
    first.logStepStart({ id: "g" });
    first.logToolCall({ tool: "bash", callID: "c", state: { status: "running" } });
    stage.kill();
    const second = stage.process().newTracer();
    expect(await second.rehydrateFromFile("ses_1")).toBe(true);
    await second.endTrace();
    expect(names()).toEqual([
      ["one", "ses_1"],
      ["generation-g", "ses_1"],
      ["bash", "generation-g"],
      ["ses_1", null],
    ]);
    const { spans, summary } = stage.document("ses_1");
    for (const span of spans.slice(1, 3)) expect(span).toMatchObject({ status: "error", interrupted: true });
    expect(summary).toMatchObject({ status: "completed", totalGenerations: 1, totalToolCalls: 1 });
    expect(stage.files).toEqual(["ses_1.json"]);
  });
});
