import { ROOT_CONTEXT, type Span, trace } from "@opentelemetry/api";
import { BasicTracerProvider, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { describe, expect, it, vi } from "vitest";
import { getSessionId, setSessionId } from "../../src/otel/session-context.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";

const stage = () => {
  const exporter = new InMemorySpanExporter();
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
  const sessionsOf = async (...spans: Span[]) => {
    for (const span of spans) span.end();
    await processor.forceFlush();
    return exporter.getFinishedSpans().map(({ attributes }) => attributes["session.id"]);
  };
  return { tracer, sessionsOf };
};

describe("the context key", () => {
  it("carries the session in a new context", () => {
    const context = setSessionId(ROOT_CONTEXT, "ses_1");
    expect(getSessionId(context)).toBe("ses_1");
    expect(getSessionId(ROOT_CONTEXT)).toBeUndefined();
    expect(getSessionId(setSessionId(context, ""))).toBeUndefined();
  });

  it("is the same for two copies of the package", async () => {
    const context = setSessionId(ROOT_CONTEXT, "ses_1");
    vi.resetModules();
    const copy = await import("../../src/otel/session-context.js");
    expect(copy.setSessionId).not.toBe(setSessionId);
    expect(copy.getSessionId(context)).toBe("ses_1");
  });
});

describe("P10 the session of a span", () => {
  it("P10 comes from the context it starts in", async () => {
    const { tracer, sessionsOf } = stage();
    const span = tracer.startSpan("chat", {}, setSessionId(ROOT_CONTEXT, "ses_1"));
    expect(await sessionsOf(span)).toEqual(["ses_1"]);
  });

  it("P10 is inherited from the parent span, over generations", async () => {
    const { tracer, sessionsOf } = stage();
    const agent = tracer.startSpan("invoke_agent", { attributes: { "session.id": "ses_1" } }, ROOT_CONTEXT);
    const chat = tracer.startSpan("chat", {}, trace.setSpan(ROOT_CONTEXT, agent));
    const tool = tracer.startSpan("execute_tool", {}, trace.setSpan(ROOT_CONTEXT, chat));
    expect(await sessionsOf(tool, chat, agent)).toEqual(["ses_1", "ses_1", "ses_1"]);
  });

  it("P10 is the parent's conversation when the parent has no session", async () => {
    const { tracer, sessionsOf } = stage();
    const agent = tracer.startSpan("invoke_agent", { attributes: { "gen_ai.conversation.id": "conv_1" } });
    const chat = tracer.startSpan("chat", {}, trace.setSpan(ROOT_CONTEXT, agent));
    expect(await sessionsOf(chat, agent)).toEqual(["conv_1", undefined]);
  });

  it("P10 prefers the context to the parent span", async () => {
    const { tracer, sessionsOf } = stage();
    const agent = tracer.startSpan("invoke_agent", { attributes: { "session.id": "ses_1" } });
    const context = setSessionId(trace.setSpan(ROOT_CONTEXT, agent), "ses_2");
    expect(await sessionsOf(tracer.startSpan("chat", {}, context))).toEqual(["ses_2"]);
  });

  it.each(["session.id", "gen_ai.conversation.id"])("P10 is unchanged where the span has %s", async (key) => {
    const { tracer, sessionsOf } = stage();
    const context = setSessionId(ROOT_CONTEXT, "ses_1");
    const span = tracer.startSpan("chat", { attributes: { [key]: "own" } }, context);
    expect(await sessionsOf(span)).toEqual([key === "session.id" ? "own" : undefined]);
  });

  it("P10 is missing without context and with a remote parent", async () => {
    const { tracer, sessionsOf } = stage();
    const remote = { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1, isRemote: true };
    const context = trace.setSpanContext(ROOT_CONTEXT, remote);
    expect(await sessionsOf(tracer.startSpan("chat", {}, context))).toEqual([undefined]);
  });
});
