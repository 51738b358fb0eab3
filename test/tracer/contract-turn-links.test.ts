/** The contract on OpenTelemetry: turns and their links, W3C trace context in and out, sessions of subagents. */
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { rootOf, SessionTracerStage, spansOf, type TracerProcess } from "../support/session-tracer-stage.js";

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

const turns = (of = process) =>
  of.memory.getFinishedSpans().filter(({ attributes }) => attributes["crash_safe_file.kind"] === "turn");
const idsOf = (span: ReadableSpan | undefined) => [span?.spanContext().traceId, span?.spanContext().spanId];
const linksOf = (span: ReadableSpan | undefined) =>
  span?.links.map(({ context }) => [context.traceId, context.spanId]);
const client = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const traceparent = `00-${client.traceId}-${client.spanId}-01`;
const step = (of = tracer) => {
  of.logStepStart({ id: "g" });
  of.logStepFinish({ id: "g" });
};

describe("turns", () => {
  test("are roots of their own traces, counted from 1, each linked to the previous turn", async () => {
    for (const text of ["one", "two", "three"]) {
      tracer.logUserMessage(text);
      step();
    }
    await tracer.endTrace();
    const [one, two, three] = turns();
    expect(turns().map(({ attributes }) => attributes["crash_safe_file.turn.index"])).toEqual([1, 2, 3]);
    expect(turns().map(({ parentSpanContext }) => parentSpanContext)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(new Set(turns().map((turn) => turn.spanContext().traceId)).size).toBe(3);
    expect([one, two, three].map(linksOf)).toEqual([[], [idsOf(one)], [idsOf(two)]]);
    expect(one?.spanContext().traceId).toBe(stage.document("ses_1").traceId);
    const chats = process.memory.getFinishedSpans().filter(({ name }) => name === "chat");
    expect(chats.map((span) => span.spanContext().traceId)).toEqual(
      turns().map((turn) => turn.spanContext().traceId),
    );
  });

  test("have their last answer as output", async () => {
    tracer.logUserMessage("one");
    for (const text of ["thinking", "answer"]) {
      tracer.logStepStart({ id: text });
      tracer.logText({ text });
      tracer.logStepFinish({ id: text });
    }
    // A generation without text is no answer.
    step();
    tracer.logUserMessage("two");
    await tracer.endTrace();
    const output = (turn?: ReadableSpan) => turn?.attributes["gen_ai.output.messages"];
    const answer = JSON.stringify([{ role: "assistant", parts: [{ type: "text", content: "answer" }] }]);
    expect(turns().map(output)).toEqual([answer, undefined]);
  });

  test("continue after a resume: they count on, and link to the last turn before it", async () => {
    tracer.logUserMessage("one");
    tracer.logUserMessage("two");
    await tracer.endTrace();
    const later = stage.process();
    const next = later.newTracer();
    expect(await next.rehydrateFromFile("ses_1")).toBe(true);
    next.logUserMessage("three");
    await next.endTrace();
    const [three] = turns(later);
    expect(three?.attributes["crash_safe_file.turn.index"]).toBe(3);
    expect(linksOf(three)).toEqual([idsOf(turns()[1])]);
  });

  test("get metadata of the session that arrives while they are open", async () => {
    tracer.logUserMessage("one");
    tracer.setTitle("t");
    tracer.setSpanAttributes({ x: { y: 1 } }, "session");
    tracer.setSpanAttributes({ z: 2 }, "session");
    tracer.logUserMessage("two");
    await tracer.endTrace();
    for (const turn of turns())
      expect(turn.attributes).toMatchObject({
        "crash_safe_file.title": "t",
        x: '{"y":1}',
        z: 2,
        "session.id": "ses_1",
      });
  });
});

describe("W3C trace context", () => {
  test("of a client is the parent of its turn, and of no other", async () => {
    tracer.logUserMessage("one", { traceparent, tracestate: "vendor=1" });
    step();
    tracer.logUserMessage("two");
    await tracer.endTrace();
    const [one, two] = turns();
    expect(one?.spanContext().traceId).toBe(client.traceId);
    expect(one?.parentSpanContext).toMatchObject(client);
    expect(one?.spanContext().traceState?.serialize()).toBe("vendor=1");
    expect(two?.parentSpanContext).toBeUndefined();
    expect(linksOf(two)).toEqual([idsOf(one)]);
  });

  test("from startTrace is the first turn's", async () => {
    const other = process.newTracer();
    other.startTrace("ses_2", { traceparent });
    step(other);
    await other.endTrace();
    expect(turns().map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([client.spanId]);
  });

  test("goes out as that of the running tool, else the generation, else the turn; or as requested", async () => {
    const header = (target?: "tool" | "generation" | "turn", callID?: string) =>
      tracer.traceHeaders(target, callID)?.traceparent.split("-")[2];
    tracer.logUserMessage("one", { traceparent, tracestate: "vendor=1" });
    expect(tracer.traceHeaders()).toEqual({
      traceparent: expect.stringMatching(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/),
      tracestate: "vendor=1",
    });
    const turn = header();
    tracer.logStepStart({ id: "g" });
    const generation = header();
    for (const callID of ["a", "b"])
      tracer.logToolCall({ tool: callID, callID, state: { status: "running" } });
    const tool = header();
    expect([header("turn"), header("generation"), header("tool"), header("tool", "b")]).toEqual([
      turn,
      generation,
      tool,
      tool,
    ]);
    const first = header("tool", "a");
    expect(new Set([turn, generation, tool, first]).size).toBe(4);
    tracer.logToolCall({ tool: "b", callID: "b", state: { status: "completed" } });
    expect(header()).toBe(first);
    tracer.logToolCall({ tool: "a", callID: "a", state: { status: "completed" } });
    expect([header(), header("tool")]).toEqual([generation, generation]);
    tracer.logStepFinish({ id: "g" });
    expect(header("generation")).toBe(turn);
    const ids = Object.fromEntries(
      spansOf(await stage.flushed(tracer)).map(({ name, spanId }) => [name, spanId]),
    );
    expect([ids["generation-g"], ids.b, ids.a]).toEqual([generation, tool, first]);
    await tracer.endTrace();
    expect(turns()[0]?.spanContext().spanId).toBe(turn);
  });

  test("starts a turn where none is open", () => {
    const { traceparent: sent } = tracer.traceHeaders() ?? {};
    expect(sent?.split("-")[1]).toBe(stage.document("ses_1").traceId);
  });
});

describe("a session of a subagent", () => {
  test("links its turns to the span that started it, and names its session", async () => {
    tracer.logStepStart({ id: "g" });
    tracer.logToolCall({ tool: "task", callID: "c", state: { status: "running" } });
    const child = process.newTracer();
    child.startTrace("child", { parent: tracer });
    child.logUserMessage("one");
    child.logUserMessage("two");
    await child.endTrace();
    const [one, two] = turns();
    const [, task] = spansOf(await stage.flushed(tracer));
    const link = [stage.document("ses_1").traceId, task?.spanId];
    expect(linksOf(one)).toEqual([link]);
    expect(linksOf(two)).toEqual([idsOf(one), link]);
    // P14 The document names both, for readers: turns are not in it.
    expect(rootOf(stage.document("child")).attributes).toEqual({
      "crash_safe_file.parent_session.id": "ses_1",
      "crash_safe_file.parent_session.span_id": task?.spanId,
    });
    const sent = process.memory.getFinishedSpans().map(({ attributes }) => attributes);
    expect(sent).toHaveLength(4);
    for (const attributes of sent)
      expect(attributes).toMatchObject({
        "session.id": "child",
        "crash_safe_file.parent_session.id": "ses_1",
      });
    expect(spansOf(stage.document("ses_1"))).toHaveLength(2);
  });

  test("of a parent that has ended, or never started, is an ordinary session", async () => {
    const ended = process.newTracer();
    ended.startTrace("ended");
    await ended.endTrace();
    for (const parent of [ended, process.newTracer()]) {
      const child = process.newTracer();
      child.startTrace("child", { parent });
      child.logUserMessage("one");
      await child.endTrace();
    }
    expect(turns()[0]?.attributes).not.toHaveProperty("crash_safe_file.parent_session.id");
    expect(linksOf(turns()[0])).toEqual([]);
  });
});
