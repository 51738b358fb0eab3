/** The provider that sessions are traced with: built from the options, or the host's, unchanged. */
import { inspect } from "node:util";
import { type Attributes, ProxyTracerProvider, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { afterEach, describe, expect, test, vi } from "vitest";
import { turnSpanId } from "../../src/otel/ids.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { logTurn } from "../support/logged-turn.js";

afterEach(() => vi.unstubAllEnvs());

/** An exporter that keeps its spans when it is shut down. */
function memoryExporter(): InMemorySpanExporter {
  const exporter = new InMemorySpanExporter();
  exporter.shutdown = async () => {};
  return exporter;
}

describe("the provider of this package", () => {
  test("P10 keeps every span whole, whatever samplers and limits the environment sets", async () => {
    vi.stubEnv("OTEL_TRACES_SAMPLER", "always_off");
    vi.stubEnv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3");
    vi.stubEnv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10");
    vi.stubEnv("OTEL_ATTRIBUTE_COUNT_LIMIT", "3");
    vi.stubEnv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10");
    vi.stubEnv("OTEL_SPAN_EVENT_COUNT_LIMIT", "1");
    vi.stubEnv("OTEL_SPAN_LINK_COUNT_LIMIT", "0");
    const exporter = memoryExporter();
    const tracing = createSessionTracing({ exporter });
    const tracer = tracing.tracerProvider.getTracer("host");
    const attributes: Attributes = { long: "x".repeat(1_000_000) };
    for (let i = 0; i < 1023; i++) attributes[`a${i}`] = i;
    const unsampled = { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: 0 };
    const span = tracer.startSpan(
      "wide",
      { attributes, links: [{ context: unsampled }] },
      trace.setSpanContext(ROOT_CONTEXT, unsampled),
    );
    for (let i = 0; i < 200; i++) span.addEvent(`e${i}`);
    span.end();
    await tracing.shutdown();
    const [sent] = exporter.getFinishedSpans();
    expect(sent?.attributes).toEqual(attributes);
    expect(sent?.events).toHaveLength(200);
    expect(sent?.links).toHaveLength(1);
  });

  test("gives turns ids that are derived from their trace", async () => {
    const exporter = memoryExporter();
    const tracing = createSessionTracing({ exporter });
    for (const number of [1, 2]) logTurn(tracing.tracer("ses_1"), number);
    await tracing.shutdown();
    const turns = exporter.getFinishedSpans().filter(({ name }) => name.startsWith("invoke_agent"));
    expect(turns).toHaveLength(2);
    for (const turn of turns) {
      const { traceId, spanId } = turn.spanContext();
      expect(spanId).toBe(turnSpanId(traceId));
      expect(turn.parentSpanContext).toBeUndefined();
    }
  });

  async function resourceOf(resource?: {
    readonly attributes: Record<string, unknown>;
  }): Promise<ReadableSpan["resource"]> {
    const exporter = memoryExporter();
    const tracing = createSessionTracing({ exporter, resource });
    tracing.tracerProvider.getTracer("host").startSpan("work").end();
    await tracing.shutdown();
    const [span] = exporter.getFinishedSpans();
    expect(inspect(span)).toContain("work");
    if (span === undefined) throw new Error("no span");
    return span.resource;
  }

  test("P10 names the service as the environment does, over the SDK's own resource", async () => {
    vi.stubEnv("OTEL_SERVICE_NAME", "agent");
    vi.stubEnv("OTEL_RESOURCE_ATTRIBUTES", "team=data%20ml");
    const { attributes } = await resourceOf();
    expect(attributes).toMatchObject({
      "service.name": "agent",
      team: "data ml",
      "telemetry.sdk.name": "opentelemetry",
    });
  });

  test("accepts attributes, or a resource of the SDK", async () => {
    vi.stubEnv("OTEL_SERVICE_NAME", "agent");
    const resource = await resourceOf({ attributes: { "service.name": "mine" } });
    expect(resource.attributes).toMatchObject({
      "service.name": "mine",
      "telemetry.sdk.name": "opentelemetry",
    });
    expect(await resourceOf(resource)).toBe(resource);
  });
});

describe("P10 a host's provider", () => {
  const providers = {
    "BasicTracerProvider of 2.x": (processor: CrashSafeSpanProcessor) =>
      new BasicTracerProvider({ spanProcessors: [processor] }),
    "TracerProvider of sdk-trace": (processor: CrashSafeSpanProcessor) =>
      new TracerProvider({ spanProcessors: [processor] }),
    "the API's, in front of one": (processor: CrashSafeSpanProcessor) => {
      const proxy = new ProxyTracerProvider();
      proxy.setDelegate(new BasicTracerProvider({ spanProcessors: [processor] }));
      return proxy;
    },
  };

  const cases = Object.entries(providers).flatMap(([name, provide]) =>
    [true, false].map((named) => [name, named ? "named" : "not named", provide, named] as const),
  );

  test.for(cases)(
    "%s, its processor %s, gets the spans and continues after the sessions",
    async ([, , provide, named]) => {
      const exporter = memoryExporter();
      const processor = new CrashSafeSpanProcessor(exporter, { scheduledDelayMillis: 2 ** 31 - 1 });
      const provider = provide(processor);
      const tracing = createSessionTracing({
        tracerProvider: provider,
        processors: named ? [processor] : [],
      });
      expect(tracing.tracerProvider).toBe(provider);
      logTurn(tracing.tracer("ses_1"), 1);
      await tracing.shutdown();
      expect(tracing.stopped).toBe(true);
      expect(exporter.getFinishedSpans().map(({ name }) => name)).toContain("user-message");
      provider.getTracer("host").startSpan("later").end();
      await processor.forceFlush();
      expect(exporter.getFinishedSpans().at(-1)?.name).toBe("later");
      expect(processor.stopped).toBe(false);
    },
  );
});
