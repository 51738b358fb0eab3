import { diag } from "@opentelemetry/api";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LiveSpanExporter, SpanExporter } from "../../src/otel/types.js";
import {
  CrashSafeSpanProcessor,
  type CrashSafeSpanProcessorOptions,
} from "../../src/processor/span-processor.js";
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
let reported: string[];

beforeEach(() => {
  clock = new HandClock();
  reported = listenToDiag();
});
afterEach(() => diag.disable());

const processorFor = (exporter: SpanExporter, options: CrashSafeSpanProcessorOptions = {}) =>
  new CrashSafeSpanProcessor(exporter, options, { clock });
const never = () => new Promise<void>(() => {});

/** A live exporter that notes its calls. */
class LiveExporter implements LiveSpanExporter {
  readonly log: string[] = [];
  recordStart: LiveSpanExporter["recordStart"] = (span) => void this.log.push(`start ${span.name}`);
  recordEnd: LiveSpanExporter["recordEnd"] = (span) => void this.log.push(`end ${span.name}`);
  crash: LiveSpanExporter["crash"] = (reason) => void this.log.push(`crash ${reason}`);
  export = () => void this.log.push("export");
  forceFlush = async () => void this.log.push("forceFlush");
  shutdown = async () => void this.log.push("shutdown");
}

describe("P5 forceFlush", () => {
  it("P5 waits for the batch in flight, then for the exporter's own flush", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 2);
    await settled();
    const flushed = processor.forceFlush();
    expect(await isPending(flushed)).toBe(true);
    exporter.call(0).answer();
    await flushed;
    expect(exporter.log).toEqual(["export 2", "answered 2", "forceFlush"]);
  });

  it("P5 waits for every span queued before the call, batch by batch", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 5);
    const flushed = processor.forceFlush();
    for (const batch of [0, 1, 2]) {
      expect(await isPending(flushed)).toBe(true);
      expect(exporter.calls).toHaveLength(batch + 1);
      exporter.call(batch).answer();
    }
    await flushed;
    expect(exporter.names).toHaveLength(5);
    expect(exporter.mostConcurrent).toBe(1);
  });

  it("P5 does not wait for spans that end after the call", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 2);
    const flushed = processor.forceFlush();
    endSpans(processor, 2, "later ");
    await settled();
    exporter.call(0).answer();
    await flushed;
    expect(exporter.names.slice(0, 2)).toEqual(["span 1", "span 2"]);
    expect(processor.stats()).toMatchObject({ exported: 2, exporting: 2 });
  });

  it("P5 rejects when a batch failed, after the rest and the exporter's flush", async () => {
    const exporter = new ScriptedExporter((call, number) =>
      call.answer(number === 1 ? failure("503") : undefined),
    );
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 4);
    await expect(processor.forceFlush()).rejects.toMatchObject({
      name: "CrashSafeFileError",
      code: "EXPORT_FAILED",
      message: "503 (docs/errors.md#export_failed)",
      cause: { message: "503" },
    });
    expect(exporter.log.filter((line) => !line.startsWith("answered"))).toEqual([
      "export 2",
      "export 2",
      "forceFlush",
    ]);
  });

  it("P5 rejects for the batch in flight, and not for a batch that failed before the call", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 1);
    await settled();
    const during = processor.forceFlush();
    exporter.call(0).answer(failure("503"));
    await expect(during).rejects.toMatchObject({ code: "EXPORT_FAILED" });
    await processor.forceFlush();
  });

  it("P5 rejects when the exporter throws from export", async () => {
    const exporter = {
      export: () => {
        throw new Error("broken");
      },
      shutdown: async () => {},
    };
    const processor = processorFor(exporter);
    endSpans(processor, 1);
    await expect(processor.forceFlush()).rejects.toMatchObject({
      code: "EXPORT_FAILED",
      cause: { message: "broken" },
    });
  });

  it("P5 rejects with EXPORT_TIMEOUT when the exporter does not answer", async () => {
    const processor = processorFor(new ScriptedExporter(), { exportTimeoutMillis: 5000 });
    endSpans(processor, 1);
    const flushed = processor.forceFlush().catch((error) => error.code);
    await clock.advance(4999);
    expect(await isPending(flushed)).toBe(true);
    await clock.advance(1);
    expect(await flushed).toBe("EXPORT_TIMEOUT");
    expect(processor.stats()).toMatchObject({ failed: 1, queued: 0, exporting: 0 });
  });

  it.each<[string, SpanExporter["forceFlush"], string]>([
    ["rejects", () => Promise.reject(new Error("disk full")), "EXPORT_FAILED"],
    [
      "throws",
      () => {
        throw new Error("disk full");
      },
      "EXPORT_FAILED",
    ],
    ["never ends", never, "EXPORT_TIMEOUT"],
  ])("P5 rejects when the exporter's flush %s", async (_, forceFlush, code) => {
    const exporter: SpanExporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(Object.assign(exporter, { forceFlush }));
    endSpans(processor, 1);
    const flushed = processor.forceFlush().catch((error) => error.code);
    await clock.advance(30_000);
    expect(await flushed).toBe(code);
    expect(processor.stats().exported).toBe(1);
  });

  it("P5 ends within its timeout when many batches are slow", async () => {
    const exporter = new ScriptedExporter((call) => clock.after(900, () => call.answer()));
    const processor = processorFor(exporter, { maxExportBatchSize: 1, exportTimeoutMillis: 1000 });
    endSpans(processor, 3);
    const flushed = processor.forceFlush().catch((error) => error.code);
    await clock.advance(1000);
    expect(await flushed).toBe("EXPORT_TIMEOUT");
    expect(exporter.log).not.toContain("forceFlush");
    await clock.advance(1700);
    expect(processor.stats()).toMatchObject({ exported: 3, failed: 0 });
  });

  it("P5 settles concurrent calls in order, one exporter flush at a time", async () => {
    const exporter = new ScriptedExporter();
    const ends: Array<() => void> = [];
    exporter.forceFlush = () => new Promise((resolve) => ends.push(resolve));
    const processor = processorFor(exporter);
    const settledCalls: number[] = [];
    for (const call of [1, 2, 3]) {
      endSpans(processor, 1);
      void processor.forceFlush().then(() => settledCalls.push(call));
    }
    await settled();
    exporter.call(0).answer();
    for (const call of [1, 2, 3]) {
      await settled();
      expect(ends).toHaveLength(call);
      expect(settledCalls).toHaveLength(call - 1);
      ends[call - 1]?.();
    }
    await settled();
    expect(settledCalls).toEqual([1, 2, 3]);
  });

  it("P5 leaves no timer", async () => {
    const processor = processorFor(new InMemorySpanExporter());
    endSpans(processor, 3);
    await processor.forceFlush();
    expect(clock.pending).toBe(0);
  });
});

describe("P5 shutdown", () => {
  it("P5 flushes, then shuts the exporter down, once", async () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter);
    endSpans(processor, 2);
    const shutDown = processor.shutdown();
    expect(processor.shutdown()).toBe(shutDown);
    expect(processor.forceFlush()).toBe(shutDown);
    expect(processor.stopped).toBe(false);
    await shutDown;
    expect(processor.stopped).toBe(true);
    expect(exporter.log).toEqual(["export 2", "answered 2", "forceFlush", "shutdown"]);
    expect(clock.pending).toBe(0);
  });

  it("P5 shuts the exporter down only after the batch in flight", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 1);
    await settled();
    const shutDown = processor.shutdown();
    await settled();
    expect(exporter.log).toEqual(["export 1"]);
    exporter.call(0).answer();
    await shutDown;
    expect(exporter.log.at(-1)).toBe("shutdown");
  });

  it("P5 ends within twice its timeout when the exporter never answers, and accounts for every span", async () => {
    const exporter = new ScriptedExporter();
    exporter.forceFlush = never;
    exporter.shutdown = never;
    const processor = processorFor(exporter, { maxExportBatchSize: 2, exportTimeoutMillis: 1000 });
    endSpans(processor, 7);
    const shutDown = processor.shutdown().catch((error) => error.code);
    await clock.advance(2000);
    expect(await shutDown).toBe("EXPORT_TIMEOUT");
    expect(processor.stats()).toMatchObject({ queued: 0, exporting: 0, exported: 0 });
    expect(processor.stats().failed + processor.stats().dropped).toBe(7);
    expect(reported.join()).toMatch(/did not accept them before the shutdown timed out/);
    expect(processor.stopped).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it("P5 shuts the exporter down also when the flush failed, and rejects", async () => {
    const exporter = new ScriptedExporter((call) => call.answer(failure("503")));
    const processor = processorFor(exporter);
    endSpans(processor, 1);
    await expect(processor.shutdown()).rejects.toMatchObject({ code: "EXPORT_FAILED" });
    expect(exporter.log.at(-1)).toBe("shutdown");
    expect(processor.stopped).toBe(true);
  });
});

describe("P3 the crash fence of a queue", () => {
  it("P3 exports every span to a synchronous exporter before it returns", () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter);
    const names = endSpans(processor, 1300);
    processor.crash("SIGTERM");
    expect(exporter.names).toEqual(names);
    expect(processor.stats()).toMatchObject({ exported: 1300, queued: 0 });
  });

  it("P3 exports one batch to an asynchronous exporter, and the rest without delay if the process lives", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 3);
    processor.crash();
    expect(exporter.calls).toHaveLength(1);
    exporter.call(0).answer();
    await settled();
    expect(exporter.names).toHaveLength(3);
    expect(exporter.mostConcurrent).toBe(1);
  });

  it("P3 starts no second export while one is in flight", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 2);
    await settled();
    processor.crash();
    expect(exporter.calls).toHaveLength(1);
  });

  it("P3 drops, counts and reports later spans", async () => {
    const exporter = new InMemorySpanExporter();
    const processor = processorFor(exporter);
    processor.crash();
    endSpans(processor, 2);
    processor.crash();
    await processor.shutdown();
    expect(exporter.getFinishedSpans()).toHaveLength(0);
    expect(processor.stats().dropped).toBe(2);
    expect(reported.at(-1)).toMatch(/dropped 1 more span: after the crash fence.*\(2 in all\)/);
  });

  it("P3 never throws: before the first span, twice, after shutdown, with a throwing exporter", async () => {
    const broken = () => {
      throw new Error("broken");
    };
    const exporter = Object.assign(new LiveExporter(), { crash: broken, export: broken });
    const processor = processorFor(exporter);
    processor.crash("first");
    processor.crash("second");
    await processor.shutdown();
    processor.crash("third");
    expect(processor.stats().faults).toBe(3);
    expect(reported).toHaveLength(1);
  });
});

describe("P2 a live exporter", () => {
  it("P2 gets start and end within the call, without queue or timer", () => {
    const exporter = new LiveExporter();
    const processor = processorFor(exporter);
    const span = tracerInto(processor).startSpan("chat");
    expect(exporter.log).toEqual(["start chat"]);
    span.end();
    expect(exporter.log).toEqual(["start chat", "end chat"]);
    expect(clock.pending).toBe(0);
    expect(processor.stats()).toMatchObject({ recorded: 1, queued: 0 });
  });

  it("P5 is flushed and shut down, and gets no export call", async () => {
    const exporter = new LiveExporter();
    const processor = processorFor(exporter);
    endSpans(processor, 1, "chat ");
    await processor.forceFlush();
    await processor.shutdown();
    expect(exporter.log).toEqual(["start chat 1", "end chat 1", "forceFlush", "shutdown"]);
  });

  it("P3 gets every crash, also a second one and one after shutdown", async () => {
    const exporter = new LiveExporter();
    const processor = processorFor(exporter);
    processor.crash("one");
    processor.crash("two");
    await processor.shutdown();
    processor.crash("three");
    expect(exporter.log).toEqual(["crash one", "crash two", "shutdown", "crash three"]);
  });

  it("P3 gets no span after the fence", () => {
    const exporter = new LiveExporter();
    const processor = processorFor(exporter);
    const open = tracerInto(processor).startSpan("open");
    processor.crash("now");
    open.end();
    endSpans(processor, 1);
    expect(exporter.log).toEqual(["start open", "crash now"]);
    expect(processor.stats().dropped).toBe(2);
  });

  it("P6 breaks no call of the application when it throws", () => {
    const exporter = new LiveExporter();
    const broken = () => {
      throw new Error("broken");
    };
    Object.assign(exporter, { recordStart: broken, recordEnd: broken });
    const processor = processorFor(exporter);
    endSpans(processor, 3);
    expect(processor.stats()).toMatchObject({ faults: 6, failed: 3, recorded: 0 });
    expect(reported).toHaveLength(2);
  });
});
