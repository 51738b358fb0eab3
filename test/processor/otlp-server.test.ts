/** The tests' own collector, against the real exporters: it returns what the SDK's in-memory exporter got. */
import { type Attributes, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BasicTracerProvider, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { expect, test } from "vitest";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { OtlpServer } from "../support/otlp-server.js";
import { plainSpan } from "../support/plain-span.js";

test.for([
  ["JSON", JsonExporter, "application/json"],
  ["protobuf", ProtobufExporter, "application/x-protobuf"],
] as const)("OTLP by %s arrives as it was sent", async ([, Exporter, type], { onTestFinished }) => {
  const server = await OtlpServer.start();
  onTestFinished(() => server.close());
  const memory = new InMemorySpanExporter();
  const exporters = [memory, new Exporter({ url: server.url })];
  const provider = new BasicTracerProvider({
    spanProcessors: exporters.map((exporter) => new CrashSafeSpanProcessor(exporter)),
  });
  const tracer = provider.getTracer("scope");
  const parent = tracer.startSpan("parent", { kind: SpanKind.CLIENT, startTime: [1, 2] });
  const attributes: Attributes = {
    text: "ä\u0000",
    int: 7,
    big: 2 ** 40,
    float: 0.5,
    yes: true,
    no: false,
    list: ["a", "b"],
  };
  parent.setAttributes(attributes).setStatus({ code: SpanStatusCode.ERROR, message: "bad" }).end([3, 4]);
  tracer.startSpan("other", { root: true, links: [{ context: parent.spanContext() }] }).end();
  await provider.forceFlush();
  expect(server.requests).toEqual([type]);
  expect(server.spans).toEqual(memory.getFinishedSpans().map(plainSpan));
  expect(server.spans[0]).toMatchObject({
    attributes,
    kind: SpanKind.CLIENT,
    start: 1_000_000_002n,
    end: 3_000_000_004n,
  });
});

test("it hangs, refuses and recovers on request", async ({ onTestFinished }) => {
  const server = await OtlpServer.start();
  onTestFinished(() => server.close());
  const post = () =>
    fetch(server.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"resourceSpans":[]}',
    });
  server.behaviour = "refuse";
  await expect(post()).rejects.toThrow();
  server.behaviour = 503;
  expect((await post()).status).toBe(503);
  server.behaviour = "take";
  expect((await post()).status).toBe(200);
  server.behaviour = "hang";
  const hanging = post().catch(() => "cut");
  await server.until(({ requests }) => requests.length === 4);
  server.behaviour = "take";
  expect((await post()).status).toBe(200);
  await server.close();
  expect(await hanging).toBe("cut");
});
