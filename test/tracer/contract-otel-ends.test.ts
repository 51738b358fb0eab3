/** The contract on OpenTelemetry: times that OpenTelemetry cannot represent, and how spans end. */
import { SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage, type TracerProcess } from "../support/session-tracer-stage.js";

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
const backend = () => process.memory.getFinishedSpans();

describe("times that OpenTelemetry cannot represent", () => {
  test.each([
    [100, 50, 100, 100],
    [-500, -200, 0, 0],
    [0, 0, 0, 0],
    [9e15, 9e15, 9_223_372_036_000, 9_223_372_036_000],
  ])(
    "%i to %i is sent as %i to %i, with the true times as attributes",
    async (startTime, endTime, from, to) => {
      tracer.startTrace("ses_1");
      tracer.logUserMessage("first");
      tracer.logSpan({ name: "odd", startTime, endTime });
      await tracer.endTrace();
      const span = process.memory.getFinishedSpans().find(({ name }) => name === "odd") as ReadableSpan;
      expect([millis(span.startTime), millis(span.endTime)]).toEqual([from, to]);
      const { attributes } = span;
      expect(attributes["crash_safe_file.start_time_ms"] ?? from).toBe(startTime);
      expect(attributes["crash_safe_file.end_time_ms"] ?? to).toBe(endTime);
    },
  );
});

describe("ends", () => {
  const cut = "Interrupted: the turn was cut by the end of the session";
  const statuses = () => backend().map(({ name, status }) => [name, status.code, status.message]);
  const start = () => {
    tracer.startTrace("ses_1");
    tracer.logStepStart({ id: "g" });
    tracer.logToolCall({ tool: "bash", callID: "c", state: { status: "running" } });
  };

  test("with an error set it on the turn, and interrupt open spans", async () => {
    start();
    await tracer.endTrace("failed");
    expect(statuses()).toEqual([
      ["chat", SpanStatusCode.ERROR, cut],
      ["execute_tool bash", SpanStatusCode.ERROR, cut],
      ["invoke_agent", SpanStatusCode.ERROR, "failed"],
    ]);
  });

  test("by the crash fence interrupt open spans", () => {
    start();
    tracer.flushSync("killed");
    expect(statuses()).toEqual([
      ["chat", SpanStatusCode.ERROR, "killed"],
      ["execute_tool bash", SpanStatusCode.ERROR, "killed"],
      ["invoke_agent", SpanStatusCode.ERROR, "killed"],
    ]);
    expect(backend().map(({ attributes }) => attributes["crash_safe_file.interrupted"])).toEqual([
      true,
      true,
      true,
    ]);
    expect(backend()[0]?.attributes).not.toHaveProperty("gen_ai.usage.input_tokens");
  });

  test("include a running tool without a call id", async () => {
    tracer.startTrace("ses_1");
    tracer.logToolCall({ tool: "bash", state: { status: "running" } });
    await tracer.endTrace();
    expect(statuses()).toEqual([
      ["execute_tool bash", SpanStatusCode.ERROR, cut],
      ["invoke_agent", SpanStatusCode.UNSET, undefined],
    ]);
  });

  test("send a tool at the next tool, and at the end of its turn", () => {
    const names = () => process.memory.getFinishedSpans().map(({ name }) => name);
    tracer.startTrace("ses_1");
    tracer.logToolCall({ tool: "one", state: {} });
    expect(names()).toEqual([]);
    tracer.logToolCall({ tool: "two", state: {} });
    expect(names()).toEqual(["execute_tool one"]);
    tracer.endTurn();
    expect(names()).toEqual(["execute_tool one", "execute_tool two", "invoke_agent"]);
  });
});
