/**
 * What the OpenTelemetry specification demands (MUST, SHOULD) of span processors, of the batching one, and of exporters:
 * Trace SDK, sections "Span processor", "Built-in span processors" and "Span exporter". One test per demand.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diag, ROOT_CONTEXT } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { AlwaysOffSampler, BasicTracerProvider, SamplingDecision } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { ExportResult, ReadableSpan, SpanExporter } from "../../src/otel/types.js";
import {
  CrashSafeSpanProcessor,
  type CrashSafeSpanProcessorOptions,
} from "../../src/processor/span-processor.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import {
  endSpans,
  failure,
  HandClock,
  isPending,
  listenToDiag,
  ScriptedExporter,
  settled,
  tracerInto,
} from "../support/span-processor-stage.js";

let clock: HandClock;
beforeEach(() => {
  clock = new HandClock();
  listenToDiag();
});
afterEach(() => diag.disable());

const over = (exporter: SpanExporter, options: CrashSafeSpanProcessorOptions = {}) =>
  new CrashSafeSpanProcessor(exporter, options, { clock });

const answering = () => new ScriptedExporter((call) => call.answer());

/** An exporter that throws in every method. */
class ThrowingExporter implements SpanExporter {
  export(): never {
    throw new Error("export");
  }
  forceFlush(): never {
    throw new Error("forceFlush");
  }
  shutdown(): never {
    throw new Error("shutdown");
  }
}

describe("span processor", () => {
  it("OnStart and OnEnd do not throw, whatever the exporter does", async () => {
    const processor = over(new ThrowingExporter(), { maxExportBatchSize: 1 });
    expect(() => endSpans(processor, 3)).not.toThrow();
    await expect(processor.forceFlush()).rejects.toMatchObject({ code: "EXPORT_FAILED" });
  });

  it("OnStart and OnEnd do not block: no export runs before they return", async () => {
    const exporter = answering();
    const processor = over(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 3);
    expect(exporter.calls).toEqual([]);
    await settled();
    expect(exporter.calls).toHaveLength(3);
  });

  it("Shutdown includes the effects of ForceFlush", async () => {
    const exporter = answering();
    const processor = over(exporter);
    const names = endSpans(processor, 3);
    await processor.shutdown();
    expect(exporter.names).toEqual(names);
    expect(exporter.log).toEqual(["export 3", "answered 3", "forceFlush", "shutdown"]);
  });

  it("OnStart, OnEnd and ForceFlush after Shutdown are ignored gracefully", async () => {
    const exporter = answering();
    const processor = over(exporter);
    await processor.shutdown();
    exporter.log.length = 0;
    expect(() => endSpans(processor, 1)).not.toThrow();
    await processor.forceFlush();
    expect(exporter.log).toEqual([]);
    expect(processor.stats()).toMatchObject({ dropped: 1, lostBy: { already_shutdown: 1 } });
  });

  it("Shutdown calls the exporter's shutdown once, however often it is called", async () => {
    const exporter = answering();
    const processor = over(exporter);
    await Promise.all([processor.shutdown(), processor.shutdown()]);
    await processor.shutdown();
    expect(exporter.log.filter((word) => word === "shutdown")).toHaveLength(1);
  });

  it.each(["forceFlush", "shutdown"] as const)(
    "%s reports success, failure and a timeout",
    async (method) => {
      await expect(over(answering())[method]()).resolves.toBeUndefined();

      const failing = over(new ScriptedExporter((call) => call.answer(failure("503"))));
      endSpans(failing, 1);
      await expect(failing[method]()).rejects.toMatchObject({ code: "EXPORT_FAILED" });

      const silent = over(new ScriptedExporter(), { exportTimeoutMillis: 100 });
      endSpans(silent, 1);
      const outcome = expect(silent[method]()).rejects.toMatchObject({ code: "EXPORT_TIMEOUT" });
      await clock.advance(300);
      await outcome;
    },
  );

  it("ForceFlush exports all spans that were not exported, then calls the exporter's ForceFlush", async () => {
    const exporter = answering();
    const processor = over(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 5);
    await processor.forceFlush();
    expect(exporter.log.filter((word) => !word.startsWith("answered"))).toEqual([
      "export 2",
      "export 2",
      "export 1",
      "forceFlush",
    ]);
  });

  it("ForceFlush prefers its timeout to finishing all calls", async () => {
    const exporter = new ScriptedExporter();
    const processor = over(exporter, { maxExportBatchSize: 1, exportTimeoutMillis: 100 });
    endSpans(processor, 10);
    const outcome = expect(processor.forceFlush()).rejects.toMatchObject({ code: "EXPORT_TIMEOUT" });
    await clock.advance(100);
    await outcome;
    expect(exporter.calls.length).toBeLessThan(10);
  });
});

describe("batching processor", () => {
  it("calls of Export are not concurrent", async () => {
    const exporter = new ScriptedExporter((call) => clock.after(10, () => call.answer()));
    const processor = over(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 9);
    void processor.forceFlush();
    await clock.advance(1_000);
    expect(exporter.names).toHaveLength(9);
    expect(exporter.mostConcurrent).toBe(1);
  });

  it("exports when scheduledDelayMillis have passed since the first span", async () => {
    const exporter = answering();
    endSpans(over(exporter, { scheduledDelayMillis: 500 }), 1);
    await clock.advance(499);
    expect(exporter.calls).toEqual([]);
    await clock.advance(1);
    expect(exporter.calls).toHaveLength(1);
  });

  it("exports when the queue has maxExportBatchSize spans, before the delay", async () => {
    const exporter = answering();
    endSpans(over(exporter, { maxExportBatchSize: 3 }), 3);
    await settled();
    expect(exporter.calls).toHaveLength(1);
  });

  it("exports again after the previous export, if spans wait", async () => {
    const exporter = new ScriptedExporter();
    endSpans(over(exporter, { maxExportBatchSize: 2, scheduledDelayMillis: 50 }), 3);
    await clock.advance(1_000);
    expect(exporter.calls).toHaveLength(1);
    exporter.call(0).answer();
    await settled();
    expect(exporter.calls).toHaveLength(2);
  });

  it("a batch has at most maxExportBatchSize spans", async () => {
    const exporter = answering();
    const processor = over(exporter, { maxExportBatchSize: 4 });
    endSpans(processor, 10);
    await processor.forceFlush();
    expect(exporter.calls.map(({ names }) => names.length)).toEqual([4, 4, 2]);
  });

  it("drops spans beyond maxQueueSize", () => {
    const processor = over(new ScriptedExporter(), { maxQueueSize: 2, maxExportBatchSize: 2 });
    endSpans(processor, 7);
    expect(processor.stats()).toMatchObject({ queued: 2, exporting: 2, dropped: 3 });
  });

  it("an export that does not answer is over after exportTimeoutMillis", async () => {
    const exporter = new ScriptedExporter();
    const processor = over(exporter, { maxExportBatchSize: 1, exportTimeoutMillis: 200 });
    endSpans(processor, 2);
    await clock.advance(200);
    expect(exporter.calls).toHaveLength(2);
    expect(processor.stats()).toMatchObject({ failed: 1, exporting: 1 });
  });

  it("does not retry a failed batch: that is the exporter's part", async () => {
    const exporter = new ScriptedExporter((call) => call.answer(failure("503")));
    const processor = over(exporter, { maxExportBatchSize: 1 });
    const names = endSpans(processor, 3);
    await processor.forceFlush().catch(() => {});
    await clock.advance(60_000);
    expect(exporter.names).toEqual(names);
  });

  it("passes on no span that records and is not sampled", async () => {
    const exporter = answering();
    const processor = over(exporter);
    const sampler = {
      shouldSample: () => ({ decision: SamplingDecision.RECORD }),
      toString: () => "records",
    };
    for (const one of [sampler, new AlwaysOffSampler()]) {
      const provider = new BasicTracerProvider({ spanProcessors: [processor], sampler: one });
      provider.getTracer("test").startSpan("not sampled").end();
    }
    await processor.forceFlush();
    expect(exporter.calls).toEqual([]);
  });
});

describe("exporter", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "specification-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const exportTo = (exporter: SpanExporter, spans: ReadableSpan[]) =>
    new Promise<ExportResult>((resolve) => exporter.export(spans, resolve));

  async function endedSpans(count: number): Promise<ReadableSpan[]> {
    const spans: ReadableSpan[] = [];
    const keep = {
      export: (batch: ReadableSpan[], done: (result: ExportResult) => void) => {
        spans.push(...batch);
        done({ code: ExportResultCode.SUCCESS });
      },
      shutdown: async () => {},
    };
    const processor = over(keep);
    const tracer = tracerInto(processor);
    for (let n = 0; n < count; n++) {
      tracer.startSpan(`span ${n}`, { attributes: { "session.id": "s" } }, ROOT_CONTEXT).end();
    }
    await processor.forceFlush();
    return spans;
  }

  it("Export returns success when the spans are in the file", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    expect(await exportTo(exporter, await endedSpans(3))).toEqual({ code: ExportResultCode.SUCCESS });
    await exporter.forceFlush();
    const { trace } = await readTrace(exporter.tracePath("s"));
    expect(trace.spans.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["span 0", "span 1", "span 2"]),
    );
    await exporter.shutdown();
  });

  it("Export returns a failure after Shutdown, also without spans", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    await exporter.shutdown();
    for (const spans of [[], await endedSpans(1)]) {
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
    const spans = await endedSpans(200);
    const exported = exportTo(exporter, spans);
    expect(await isPending(exported)).toBe(false);
    await exporter.forceFlush();
    const { trace } = await readTrace(exporter.tracePath("s"));
    expect(trace.spans.filter(({ kind }) => kind === "span")).toHaveLength(200);
    await exporter.shutdown();
  });
});
