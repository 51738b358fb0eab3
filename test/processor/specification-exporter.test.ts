/**
 * What the OpenTelemetry specification demands (MUST, SHOULD) of exporters: Trace SDK, "Span exporter" and "Concurrency
 * requirements"; "Transformation to non-OTLP formats" for what a format has no field for. One test per demand.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diag, ROOT_CONTEXT, type SpanContext, SpanStatusCode } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { ExportResult, ReadableSpan, SpanExporter } from "../../src/otel/types.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { isPending, listenToDiag } from "../support/span-processor-stage.js";

let dir: string;
beforeEach(() => {
  listenToDiag();
  dir = mkdtempSync(join(tmpdir(), "specification-"));
});
afterEach(() => {
  diag.disable();
  rmSync(dir, { recursive: true, force: true });
});

const exportTo = (exporter: SpanExporter, spans: ReadableSpan[]) =>
  new Promise<ExportResult>((resolve) => exporter.export(spans, resolve));

const attributes = { "session.id": "s" };

function endedSpans(count: number, spanLimits = {}, decorate = (_: ReturnType<typeof startSpan>) => {}) {
  const memory = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(memory)];
  const tracer = new BasicTracerProvider({ spanProcessors, spanLimits }).getTracer("client", "1.2.3");
  for (let n = 0; n < count; n++) {
    const span = startSpan(tracer, n);
    decorate(span);
    span.end();
  }
  return memory.getFinishedSpans() as ReadableSpan[];
}

const startSpan = (tracer: ReturnType<BasicTracerProvider["getTracer"]>, n: number) =>
  tracer.startSpan(`span ${n}`, { attributes }, ROOT_CONTEXT);

/** The spans of the document that an exporter of `dir` has written. */
async function written(exporter: CrashSafeFileSpanExporter): Promise<readonly TraceSpan[]> {
  await exporter.forceFlush();
  const { trace } = await readTrace(exporter.tracePath("s"));
  return trace.spans.filter(({ kind }) => kind === "span");
}

describe("exporter", () => {
  it("Export returns success when the spans are in the file", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    expect(await exportTo(exporter, endedSpans(3))).toEqual({ code: ExportResultCode.SUCCESS });
    const spans = await written(exporter);
    expect(spans.map(({ name }) => name)).toEqual(["span 0", "span 1", "span 2"]);
    await exporter.shutdown();
  });

  it("Export returns a failure after Shutdown, also without spans", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    await exporter.shutdown();
    for (const spans of [[], endedSpans(1)]) {
      expect(await exportTo(exporter, spans)).toMatchObject({
        code: ExportResultCode.FAILED,
        error: { code: "SPANS_DROPPED" },
      });
    }
  });

  it("Shutdown and ForceFlush report success, and Shutdown can be called again", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    await expect(exporter.forceFlush()).resolves.toBeUndefined();
    await expect(exporter.shutdown()).resolves.toBeUndefined();
    await expect(exporter.shutdown()).resolves.toBeUndefined();
  });

  it("ForceFlush resolves when the spans that were exported before it are in the document", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const spans = endedSpans(200);
    const exported = exportTo(exporter, spans);
    expect(await isPending(exported)).toBe(false);
    await exporter.forceFlush();
    const { trace } = await readTrace(exporter.tracePath("s"));
    expect(trace.spans.filter(({ kind }) => kind === "span")).toHaveLength(200);
    await exporter.shutdown();
  });

  it("has Export, Shutdown and ForceFlush, and documents whether their calls may be concurrent", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    for (const method of ["export", "shutdown", "forceFlush"] as const)
      expect(exporter[method]).toBeTypeOf("function");
    const page = readFileSync("docs/configuration.md", "utf8").replace(/\s+/g, " ");
    expect(page).toContain("`export`, `forceFlush` and `shutdown` may be called while others are under way");
    await exporter.shutdown();
  });

  it("Export, ForceFlush and Shutdown can be called while others are under way", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const spans = endedSpans(40);
    const exports = spans.map((span) => exportTo(exporter, [span]));
    const calls = [exporter.forceFlush(), exporter.forceFlush(), exporter.shutdown(), exporter.shutdown()];
    expect(await Promise.all(exports)).toEqual(spans.map(() => ({ code: ExportResultCode.SUCCESS })));
    await Promise.all([...calls, exporter.forceFlush()]);
    const { trace } = await readTrace(exporter.tracePath("s"));
    expect(trace.spans.filter(({ kind }) => kind === "span")).toHaveLength(40);
  });

  it("Export does not block and does not throw when the disk refuses everything", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 1, times: "forever", code: "ENOSPC" });
    const exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
    const exported = exportTo(exporter, endedSpans(3));
    expect(await isPending(exported)).toBe(false);
    fileSystem.clear();
    expect(await written(exporter)).toHaveLength(3);
    await exporter.shutdown();
  });

  it.each(["forceFlush", "shutdown"] as const)(
    "%s reports the failure, in finite time, when the disk refuses everything",
    async (method) => {
      const fileSystem = new FaultyFileSystem({ nth: 1, times: "forever", code: "ENOSPC" });
      const exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
      await exportTo(exporter, endedSpans(1));
      await expect(exporter[method]()).rejects.toMatchObject({ code: "WRITE_FAILED" });
      fileSystem.clear();
      await exporter.shutdown();
    },
  );
});

describe("readable span: an exporter can read all that was added, and the document has it", () => {
  it("name, kind, times, attributes, events, links and scope", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const [linked] = endedSpans(1);
    const context = linked?.spanContext() as SpanContext;
    const spans = endedSpans(1, {}, (span) =>
      span
        .setAttribute("a", 1)
        .addEvent("event", { b: 2 })
        .addLink({ context, attributes: { c: 3 } }),
    );
    await exportTo(exporter, spans);
    const [span] = await written(exporter);
    expect(span?.attributes).toMatchObject({
      a: 1,
      "otel.events": [{ name: "event", attributes: { b: 2 } }],
      "otel.links": [{ spanId: context.spanId, traceId: context.traceId, attributes: { c: 3 } }],
    });
    expect(span?.endTime).toBeGreaterThanOrEqual(span?.startTime ?? Number.POSITIVE_INFINITY);
    await exporter.shutdown();
  });

  it("the counts of attributes, events and links that limits have dropped, under their reserved keys", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const limits = {
      attributeCountLimit: 1,
      eventCountLimit: 1,
      linkCountLimit: 1,
      attributePerEventCountLimit: 1,
    };
    const [linked] = endedSpans(1);
    const link = { context: linked?.spanContext() as SpanContext };
    const spans = endedSpans(1, limits, (span) => {
      span.setAttributes({ a: 1, b: 2 });
      span.addEvent("first").addEvent("second", { c: 1, d: 2 }).addLink(link).addLink(link);
    });
    await exportTo(exporter, spans);
    const [span] = await written(exporter);
    expect(span?.attributes).toMatchObject({
      "otel.dropped_attributes_count": 2,
      "otel.dropped_events_count": 1,
      "otel.dropped_links_count": 1,
      "otel.events": [{ name: "second", droppedAttributesCount: 1 }],
    });
    await exporter.shutdown();
  });
});

describe("transformation to a format without a field for it", () => {
  it("the instrumentation scope is reported by name and version", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    await exportTo(exporter, endedSpans(1));
    const [span] = await written(exporter);
    expect(span?.attributes).toMatchObject({ "otel.scope.name": "client", "otel.scope.version": "1.2.3" });
    await exporter.shutdown();
  });

  it.each([
    ["UNSET is not reported", { code: SpanStatusCode.UNSET }, "ok", undefined, undefined],
    ["OK is reported as otel.status_code", { code: SpanStatusCode.OK }, "ok", "OK", undefined],
    [
      "ERROR and its description have fields of the document",
      { code: SpanStatusCode.ERROR, message: "no" },
      "error",
      undefined,
      "no",
    ],
  ])("status %s", async (_, given, status, code, message) => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    await exportTo(
      exporter,
      endedSpans(1, {}, (span) => span.setStatus(given)),
    );
    const [span] = await written(exporter);
    expect(span).toMatchObject({ status });
    expect(span?.statusMessage).toBe(message);
    expect(span?.attributes?.["otel.status_code"]).toBe(code);
    await exporter.shutdown();
  });
});
