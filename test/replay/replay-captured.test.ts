/** Captured spans through file and replay: what a backend gets is read as the spans themselves are. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/index.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { projectSpan } from "../../src/projection/project-span.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { OtlpServer, type PlainSpan } from "../support/otlp-server.js";
import { capturedSpans, captures } from "../support/projection-span.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "replay-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** What readers see of a model call, an embedding or a tool. The content of other spans has no key that they read. */
function seen(span: ReadableSpan) {
  const { name, kind, status, statusMessage, finishReason, cost, tokens, tool, input, output } =
    projectSpan(span).span;
  const isCall = kind === "generation" || kind === "embedding" || kind === "tool";
  // A text that a model wrote as JSON is read as what it says.
  const isJson = kind === "generation" && JSON.stringify(output)?.includes("sky");
  return {
    ...{ name, kind, status, statusMessage, finishReason, cost, tokens, callId: tool?.callId },
    ...(isCall && { input, output: isJson ? "JSON" : output }),
  };
}

/** The parts of a span that come back as they were. */
const plainParts = (span: ReadableSpan) => ({
  ...{ name: span.name, kind: span.kind, status: span.status, start: span.startTime, end: span.endTime },
  events: span.events.map(({ name, time, attributes = {} }) => ({ name, time, attributes })),
  links: span.links.map(({ context, attributes = {} }) => ({ id: context.spanId, attributes })),
  scope: [span.instrumentationScope.name, span.instrumentationScope.version],
  resource: span.resource.attributes,
  dropped: [span.droppedAttributesCount, span.droppedEventsCount, span.droppedLinksCount],
});

/** All but the session, which a replay adds. */
function attributesOf({ attributes }: ReadableSpan): ReadableSpan["attributes"] {
  const { "session.id": _, "gen_ai.conversation.id": __, ...own } = attributes;
  return own;
}

const byId = <T>(spans: readonly ReadableSpan[], read: (span: ReadableSpan) => T) =>
  new Map(spans.map((span): [string, T] => [span.spanContext().spanId, read(span)]));

test.each(captures)("P10 %s", async (name) => {
  const spans = capturedSpans(name);
  const exporter = new CrashSafeFileSpanExporter({ dir, sessionId: () => "ses_1" });
  await new Promise<void>((resolve) => exporter.export(spans as never, () => resolve()));
  await exporter.shutdown();
  const memory = new InMemorySpanExporter();
  const report = await replayTraces(dir, memory, { sessions: "ended" });
  expect(report.failures).toEqual([]);
  const replayed = memory.getFinishedSpans() as unknown as ReadableSpan[];
  expect(byId(replayed, seen)).toEqual(byId(spans, seen));
  expect(byId(replayed, plainParts)).toEqual(byId(spans, plainParts));
  expect(byId(replayed, attributesOf)).toEqual(byId(spans, attributesOf));
});

/** As `attributesOf`. The order of the spans of a batch is that of their scopes. */
const received = (spans: readonly PlainSpan[]) =>
  new Map(
    spans
      .toSorted((a, b) => (a.spanId < b.spanId ? -1 : 1))
      .map((span): [string, PlainSpan] => {
        const { "session.id": _, "gen_ai.conversation.id": __, ...attributes } = span.attributes;
        return [span.spanId, { ...span, attributes }];
      }),
  );

describe.each([
  ["JSON", JsonExporter],
  ["protobuf", ProtobufExporter],
] as const)("P10 a replay by OTLP as %s equals the direct export", (_, Exporter) => {
  test.each(captures)("%s", async (name) => {
    const [direct, replayed] = [await OtlpServer.start(), await OtlpServer.start()];
    try {
      const spans = capturedSpans(name);
      const exporter = new CrashSafeFileSpanExporter({ dir, sessionId: () => "ses_1" });
      const backend = new Exporter({ url: direct.url });
      for (const one of [exporter, backend])
        await new Promise<void>((resolve) => one.export(spans as never, () => resolve()));
      await Promise.all([exporter.shutdown(), backend.shutdown()]);
      const target = new Exporter({ url: replayed.url });
      const report = await replayTraces(dir, target, { sessions: "ended" });
      await target.shutdown();
      expect(report.failures).toEqual([]);
      expect(received(replayed.spans)).toEqual(received(direct.spans));
      expect(direct.spans).toHaveLength(spans.length);
    } finally {
      await Promise.all([direct.close(), replayed.close()]);
    }
  });
});
