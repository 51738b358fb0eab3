/**
 * What the stock BatchSpanProcessor does not do, each shown on the stock processor as well. These tests can fail,
 * and they show when the stock processor is fixed.
 */
import { diag } from "@opentelemetry/api";
import { BatchSpanProcessor, InMemorySpanExporter, type SpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SpanExporter } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import {
  endSpans,
  isPending,
  listenToDiag,
  ScriptedExporter,
  settled,
  tracerInto,
} from "../support/span-processor-stage.js";

interface Line {
  readonly which: string;
  readonly right: boolean;
  readonly over: (exporter: SpanExporter, options?: object) => SpanProcessor;
}

const ours: Line = {
  which: "ours",
  right: true,
  over: (exporter, options) => new CrashSafeSpanProcessor(exporter, options),
};
const stock: Line = {
  which: "the stock processor",
  right: false,
  over: (exporter, options) => new BatchSpanProcessor(exporter as never, options),
};

let reported: string[];
beforeEach(() => {
  reported = listenToDiag();
});
afterEach(() => diag.disable());

describe.each([ours, stock])("$which, right: $right", ({ right, over }) => {
  it("P5 forceFlush waits for a size-triggered batch in flight", async () => {
    const exporter = new ScriptedExporter();
    const processor = over(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 2);
    await settled();
    expect(exporter.calls).toHaveLength(1);
    expect(await isPending(processor.forceFlush())).toBe(right);
    exporter.call(0).answer();
  });

  it("P5 forceFlush calls the exporter's forceFlush", async () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = over(exporter);
    endSpans(processor, 1);
    await processor.forceFlush();
    expect(exporter.log.includes("forceFlush")).toBe(right);
  });

  it("P5 shutdown reaches the exporter after the batch in flight", async () => {
    const exporter = new ScriptedExporter();
    const processor = over(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 1);
    await settled();
    const shutDown = processor.shutdown();
    await settled();
    exporter.call(0).answer();
    await shutDown;
    expect(exporter.log.indexOf("answered 1") < exporter.log.indexOf("shutdown")).toBe(right);
  });

  it("P5 runs one export at a time, also during forceFlush", async () => {
    const exporter = new ScriptedExporter((call) => setImmediate(() => call.answer()));
    const processor = over(exporter, { maxExportBatchSize: 10 });
    endSpans(processor, 100);
    await processor.forceFlush();
    expect(exporter.mostConcurrent === 1).toBe(right);
  });

  it("P6 a burst of 10,000 spans in one turn arrives, or its loss is reported", async () => {
    const exporter = new InMemorySpanExporter();
    const processor = over(exporter);
    endSpans(processor, 10_000);
    await processor.forceFlush();
    expect(exporter.getFinishedSpans().length === 10_000).toBe(right);
    if (!right)
      expect(reported.filter((line) => !line.includes("maxQueueSize reached, dropping"))).toEqual([]);
  });

  it("P2 the start of a span reaches an exporter that wants starts", () => {
    const starts: string[] = [];
    const exporter = Object.assign(new ScriptedExporter(), {
      recordStart: ({ name }: { name: string }) => void starts.push(name),
      recordEnd: () => {},
      crash: () => {},
    });
    tracerInto(over(exporter)).startSpan("open");
    expect(starts.length === 1).toBe(right);
  });
});
