/** The contract on OpenTelemetry: the exact span of each method. */
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SESSION_SCOPE } from "../../src/otel/semantic-conventions.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { begin, SessionTracerStage, type TracerProcess } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let process: TracerProcess;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  process = stage.process();
  tracer = process.newTracer();
});
afterEach(() => stage.remove());

const millis = ([seconds, nanos]: [number, number]) => seconds * 1_000 + nanos / 1e6;
const session = { "session.id": "ses_1", "gen_ai.conversation.id": "ses_1" };
const message = (role: string, content: string, more: object = {}) =>
  JSON.stringify([{ role, parts: [{ type: "text", content }], ...more }]);

/** A span as a backend gets it, with names for ids and times since the start. */
function reported(span: ReadableSpan, spans: readonly ReadableSpan[]) {
  const parent = spans.find((one) => one.spanContext().spanId === span.parentSpanContext?.spanId);
  return {
    name: span.name,
    kind: span.kind,
    parent: span.parentSpanContext && (parent?.name ?? span.parentSpanContext.spanId),
    time: [millis(span.startTime) - begin, millis(span.endTime) - begin],
    status: span.status,
    attributes: span.attributes,
  };
}
/** All spans that have ended, in order of their ends. */
function backend() {
  const spans = process.memory.getFinishedSpans();
  return spans.map((span) => reported(span, spans));
}
const ok = { code: SpanStatusCode.UNSET };

test("a turn of a session: message, generation, tools, a span of the host", async () => {
  const reported = {
    model: "p/m",
    providerId: "p",
    agent: "build",
    variant: "high",
    title: "t",
    tags: ["x", "y"],
  };
  const known = { userId: "u", environment: "prod", version: "1.2.3", prompt: "do it" };
  tracer.startTrace("ses_1", { ...reported, ...known });
  const { traceId } = stage.document("ses_1");
  const agent = { ...session, "gen_ai.agent.name": "build" };
  stage.at(10);
  tracer.logUserMessage("hello");
  stage.at(20);
  tracer.logStepStart({ id: "g", messageID: "m" });
  stage.at(50);
  const time = { start: begin + 30, end: begin + 40 };
  const state = { status: "completed", input: { path: "." }, output: "a b", time };
  tracer.logToolCall({ tool: "ls", callID: "c1", messageID: "m", state });
  tracer.setSpanAttributes({ "de.rows": 7, deep: { a: null }, none: null }, "tool");
  tracer.logToolCall({ tool: "cat", callID: "c2", state: { status: "error", error: "gone", time } });
  tracer.logText({ text: "done" });
  stage.at(60);
  const tokens = { input: 100, output: 20, reasoning: 3, cache: { read: 4_000, write: 500 } };
  tracer.logStepFinish({ id: "g", reason: "stop", cost: 0.5, tokens });
  tracer.logSpan({
    name: "compile",
    startTime: begin + 1,
    endTime: begin + 2.5,
    status: "error",
    input: { a: 1 },
    output: "x",
  });
  tracer.setSpanAttributes({ branch: "main" }, "session");
  stage.at(70);
  await tracer.endTrace();

  const spans = backend();
  expect(new Set(process.memory.getFinishedSpans().map((span) => span.spanContext().traceId))).toEqual(
    new Set([traceId]),
  );
  expect(new Set(process.memory.getFinishedSpans().map((span) => span.instrumentationScope.name))).toEqual(
    new Set([SESSION_SCOPE]),
  );
  expect(spans).toStrictEqual([
    {
      name: "user-message",
      kind: SpanKind.INTERNAL,
      parent: "invoke_agent build",
      time: [10, 10],
      status: ok,
      attributes: {
        ...agent,
        "crash_safe_file.kind": "user-message",
        "crash_safe_file.turn.index": 1,
        "gen_ai.input.messages": message("user", "hello"),
      },
    },
    {
      name: "chat m",
      kind: SpanKind.CLIENT,
      parent: "invoke_agent build",
      time: [20, 60],
      status: ok,
      attributes: {
        ...agent,
        "crash_safe_file.kind": "generation",
        "crash_safe_file.name": "generation-g",
        "crash_safe_file.turn.index": 1,
        "crash_safe_file.model_id": "p/m",
        "crash_safe_file.variant": "high",
        "crash_safe_file.cost": 0.5,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "p",
        "gen_ai.request.model": "m",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.output.messages": message("assistant", "done", { finish_reason: "stop" }),
        // The conventions count cached tokens as input, and reasoning as output.
        "gen_ai.usage.input_tokens": 4_600,
        "gen_ai.usage.output_tokens": 23,
        "gen_ai.usage.cache_read.input_tokens": 4_000,
        "gen_ai.usage.cache_creation.input_tokens": 500,
        "gen_ai.usage.reasoning.output_tokens": 3,
      },
    },
    {
      name: "execute_tool ls",
      kind: SpanKind.INTERNAL,
      parent: "chat m",
      time: [30, 40],
      status: ok,
      attributes: {
        ...agent,
        "crash_safe_file.kind": "tool",
        "crash_safe_file.tool.duration_ms": 10,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "ls",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.call.arguments": '{"path":"."}',
        "gen_ai.tool.call.result": "a b",
        "de.rows": 7,
        deep: '{"a":null}',
        none: "null",
        "crash_safe_file.json_keys": ["deep", "none"],
      },
    },
    {
      name: "execute_tool cat",
      kind: SpanKind.INTERNAL,
      parent: "chat m",
      time: [30, 40],
      status: { code: SpanStatusCode.ERROR, message: "gone" },
      attributes: {
        ...agent,
        "crash_safe_file.kind": "tool",
        "crash_safe_file.tool.duration_ms": 10,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "cat",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c2",
        "gen_ai.tool.call.result": '{"error":"gone"}',
        "crash_safe_file.json_keys": ["gen_ai.tool.call.result"],
        "error.type": "_OTHER",
      },
    },
    {
      name: "compile",
      kind: SpanKind.INTERNAL,
      parent: "invoke_agent build",
      time: [1, 2.5],
      status: { code: SpanStatusCode.ERROR },
      attributes: {
        ...agent,
        "crash_safe_file.kind": "span",
        "crash_safe_file.turn.index": 1,
        "crash_safe_file.input": '{"a":1}',
        "crash_safe_file.output": "x",
        "crash_safe_file.json_keys": ["crash_safe_file.input"],
        "error.type": "_OTHER",
      },
    },
    {
      name: "invoke_agent build",
      kind: SpanKind.INTERNAL,
      parent: undefined,
      time: [10, 70],
      status: ok,
      attributes: {
        ...agent,
        "crash_safe_file.kind": "turn",
        "crash_safe_file.turn.index": 1,
        "crash_safe_file.title": "t",
        "crash_safe_file.prompt": "do it",
        "crash_safe_file.tags": ["x", "y"],
        "crash_safe_file.model_id": "p/m",
        "crash_safe_file.variant": "high",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "p",
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": message("user", "hello"),
        "gen_ai.output.messages": message("assistant", "done"),
        "user.id": "u",
        "deployment.environment.name": "prod",
        "service.version": "1.2.3",
        branch: "main",
      },
    },
  ]);
});

test("a session without metadata, whose turn begins with its first span", async () => {
  tracer.startTrace("ses_1", { prompt: "do it" });
  tracer.logStepStart({ id: "g" });
  tracer.logStepFinish({ id: "g" });
  await tracer.endTrace();
  expect(backend().map(({ name, parent }) => [name, parent])).toEqual([
    ["chat", "invoke_agent"],
    ["invoke_agent", undefined],
  ]);
  expect(backend()[1]?.attributes).toStrictEqual({
    ...session,
    "crash_safe_file.kind": "turn",
    "crash_safe_file.turn.index": 1,
    "crash_safe_file.prompt": "do it",
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.input.messages": message("user", "do it"),
  });
});
