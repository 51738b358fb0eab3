/** What other code adds to a tracer's spans, by OpenTelemetry's own API, is in the file next to the record. */
import { context, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

const id = "ses_others";
let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  stage = new SessionTracerStage();
  tracer = stage.start(id);
});
afterEach(() => {
  context.disable();
  stage.remove();
});

/** Other code, without a reference to the tracer, has the active span. */
const otherCode = (act: (span: Span) => void) => tracer.withContext(() => act(trace.getActiveSpan() as Span));
const call = { tool: "fetch", callID: "1" };
const run = () => tracer.logToolCall({ ...call, state: { status: "running", input: { url: "u" } } });
const end = () => tracer.logToolCall({ ...call, state: { status: "completed", output: "text" } });
const toolOf = (spans: TraceSpan[]) => spans.find(({ kind }) => kind === "tool") as TraceSpan;
const tool = () => toolOf(spansOf(stage.document(id)));

const putAll = (span: Span) => {
  span.setAttribute("http.status", 503).setAttributes({ "net.peer": "h", list: ["a", "b"] });
  span.addEvent("retry", { attempt: 1 }, [1_700_000_000, 0]);
  span.recordException(new TypeError("no route"), [1_700_000_001, 0]);
  span.addLink({ context: { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 1 } });
};
const inFile = {
  "http.status": 503,
  "net.peer": "h",
  list: ["a", "b"],
  "otel.events": [
    { name: "retry", time: 1_700_000_000_000, attributes: { attempt: 1 } },
    {
      name: "exception",
      time: 1_700_000_001_000,
      attributes: expect.objectContaining({
        "exception.type": "TypeError",
        "exception.message": "no route",
      }),
    },
  ],
  "otel.links": [{ traceId: "a".repeat(32), spanId: "b".repeat(16) }],
};

const record = { kind: "tool", name: "fetch", status: "ok", input: { url: "u" } };

test("on a tool that has ended", async () => {
  run();
  otherCode(putAll);
  end();
  await tracer.endTrace();
  expect(tool()).toMatchObject({ ...record, output: "text", tool: { callId: "1" } });
  expect(tool().attributes).toEqual(inFile);
});

test("on a running tool, as of the last flush", async () => {
  run();
  otherCode(putAll);
  const { spans } = await stage.flushed(tracer);
  expect(toolOf(spans)).toMatchObject(record);
  expect(toolOf(spans).attributes).toEqual(inFile);
});

test("P3 on a running tool, in the document of the crash fence", () => {
  run();
  otherCode(putAll);
  tracer.flushSync();
  expect(tool()).toMatchObject({ interrupted: true, attributes: inFile });
});

test("P2 on a running tool whose process is killed after a flush", async () => {
  run();
  otherCode(putAll);
  await tracer.flush();
  stage.kill();
  const next = stage.process().newTracer();
  await next.rehydrateFromFile(id);
  await next.endTrace();
  expect(tool()).toMatchObject({ interrupted: true, attributes: inFile });
});

test("on a tool that waits for late attributes, which are added", async () => {
  run();
  otherCode(putAll);
  end();
  expect(toolOf((await stage.flushed(tracer)).spans).attributes).toEqual(inFile);
  tracer.setSpanAttributes({ late: true }, "tool");
  expect(toolOf((await stage.flushed(tracer)).spans).attributes).toEqual({ ...inFile, late: true });
  tracer.logToolCall({ tool: "next", callID: "2", state: { status: "completed" } });
  await tracer.endTrace();
  expect(tool().attributes).toEqual({ ...inFile, late: true });
});

test("on a tool that waits: its span is still open to other code", async () => {
  let kept: Span | undefined;
  run();
  otherCode((span) => {
    kept = span;
  });
  end();
  kept?.setAttribute("after", 1).addEvent("closed", undefined, [1_700_000_000, 0]);
  await tracer.endTrace();
  expect(tool().attributes).toEqual({
    after: 1,
    "otel.events": [{ name: "closed", time: 1_700_000_000_000 }],
  });
});

test("on a generation", async () => {
  tracer.logStepStart({ id: "1" });
  otherCode((span) => span.setAttribute("gen_ai.response.id", "resp-1").addEvent("first token"));
  tracer.logStepFinish({ id: "1", reason: "stop", tokens: { input: 1 } });
  await tracer.endTrace();
  const [generation] = spansOf(stage.document(id));
  expect(generation).toMatchObject({ kind: "generation", finishReason: "stop", tokens: { total: 1 } });
  expect(generation?.attributes).toEqual({
    "gen_ai.response.id": "resp-1",
    "otel.events": [{ name: "first token", time: expect.any(Number) }],
  });
});

test("the caller's own values win where both set a key", async () => {
  run();
  otherCode((span) => span.setAttributes({ both: "other code", "gen_ai.tool.name": "another" }));
  tracer.setSpanAttributes({ both: "the caller's" }, "tool");
  const { spans } = await stage.flushed(tracer);
  expect(toolOf(spans)).toMatchObject({ name: "fetch", attributes: { both: "the caller's" } });
  end();
  await tracer.endTrace();
  expect(tool()).toMatchObject({ name: "fetch", attributes: { both: "the caller's" } });
});

test("an error set by other code does not fail the call, and is an attribute", async () => {
  run();
  otherCode((span) => span.setStatus({ code: SpanStatusCode.ERROR, message: "503" }));
  end();
  await tracer.endTrace();
  expect(tool()).toMatchObject({
    status: "ok",
    attributes: { "otel.status_code": "ERROR", "otel.status_description": "503" },
  });
});

test("no attribute of the tracer's own is repeated", async () => {
  run();
  end();
  tracer.logToolCall({ tool: "failed", callID: "3", state: { status: "error", error: "no" } });
  tracer.logStepStart({ id: "1" });
  tracer.logStepFinish({ id: "1" });
  tracer.logSpan({ name: "span", startTime: -1, endTime: 1e300 });
  tracer.logUserMessage("text");
  await tracer.endTrace();
  for (const span of spansOf(stage.document(id))) expect(span).not.toHaveProperty("attributes");
});
