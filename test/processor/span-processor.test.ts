import { context, diag, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { isTracingSuppressed } from "@opentelemetry/core";
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type SpanExporter as SdkSpanExporter,
  type SpanProcessor as SdkSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SpanExporter } from "../../src/otel/types.js";
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
  success,
  tracerInto,
} from "../support/span-processor-stage.js";

let clock: HandClock;
let reported: string[];

beforeEach(() => {
  clock = new HandClock();
  reported = listenToDiag();
});
afterEach(() => {
  diag.disable();
  context.disable();
});

const processorFor = (exporter: SpanExporter, options: CrashSafeSpanProcessorOptions = {}) =>
  new CrashSafeSpanProcessor(exporter, options, { clock });

describe("options of the processor", () => {
  it.each([
    [{ scheduledDelayMillis: -1 }, "scheduledDelayMillis is -1"],
    [{ scheduledDelayMillis: 2 ** 31 }, "scheduledDelayMillis is 2147483648"],
    [{ maxQueueSize: 0 }, "maxQueueSize is 0"],
    [{ maxQueueSize: 1.5 }, "maxQueueSize is 1.5"],
    [{ maxExportBatchSize: Number.NaN }, "maxExportBatchSize is NaN"],
    [{ exportTimeoutMillis: 0 }, "exportTimeoutMillis is 0"],
    [{ exportTimeoutMillis: "5" as unknown as number }, 'exportTimeoutMillis is "5"'],
    [{ exportTimeoutMillis: Number.POSITIVE_INFINITY }, "exportTimeoutMillis is Infinity"],
  ])("P6 %j is refused at construction", (options, message) => {
    expect(() => processorFor(new ScriptedExporter(), options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });

  it("P6 an exporter without export or shutdown is refused at construction", () => {
    expect(() => processorFor({} as SpanExporter)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  it("P10 a smaller queue limits the default batch", async () => {
    const exporter = new ScriptedExporter();
    endSpans(processorFor(exporter, { maxQueueSize: 3, scheduledDelayMillis: 0 }), 3);
    await settled();
    expect(exporter.names).toHaveLength(3);
  });

  it("P6 a batch larger than the queue is as large as the queue, and is reported once", async () => {
    const exporter = new ScriptedExporter();
    endSpans(processorFor(exporter, { maxQueueSize: 3, maxExportBatchSize: 11 }), 3);
    await settled();
    expect(exporter.names).toHaveLength(3);
    expect(reported).toEqual([
      "CrashSafeSpanProcessor: maxExportBatchSize is 11, which is more than maxQueueSize; it is 3 (maxQueueSize) now",
    ]);
  });

  it("P6 a burst without a pause keeps a full queue and one batch", async () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter, { maxQueueSize: 10, maxExportBatchSize: 4 });
    const names = endSpans(processor, 20);
    expect(processor.stats()).toMatchObject({ queued: 10, exporting: 4, dropped: 6 });
    await processor.forceFlush();
    expect(exporter.names).toEqual(names.slice(0, 14));
  });

  it("P10 the class is an SDK span processor, and accepts SDK exporters", () => {
    const sdkExporter: SdkSpanExporter = new InMemorySpanExporter();
    const sdkProcessor: SdkSpanProcessor = new CrashSafeSpanProcessor(sdkExporter);
    expect(sdkProcessor).toBeDefined();
  });
});

describe("P4 scheduling", () => {
  it("P4 exports a batch within scheduledDelayMillis of its first span", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { scheduledDelayMillis: 1000 });
    endSpans(processor, 1, "early ");
    await clock.advance(600);
    endSpans(processor, 1, "late ");
    await clock.advance(399);
    expect(exporter.calls).toHaveLength(0);
    await clock.advance(1);
    expect(exporter.names).toEqual(["early 1", "late 1"]);
  });

  it("P4 counts the delay of a batch from its first span, also behind a slow export", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { scheduledDelayMillis: 1000 });
    endSpans(processor, 1, "first ");
    await clock.advance(1000);
    endSpans(processor, 1, "second ");
    await clock.advance(700);
    exporter.call(0).answer();
    await clock.advance(299);
    expect(exporter.calls).toHaveLength(1);
    await clock.advance(1);
    expect(exporter.calls).toHaveLength(2);
  });

  it("P4 exports a full batch at once, and never from within onEnd", async () => {
    const exporter = new ScriptedExporter();
    endSpans(processorFor(exporter, { maxExportBatchSize: 2 }), 2);
    expect(exporter.calls).toHaveLength(0);
    await settled();
    expect(exporter.names).toEqual(["span 1", "span 2"]);
  });

  it("P4 does not export an empty queue", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter);
    processor.crash();
    await processor.forceFlush();
    await processor.shutdown();
    expect(exporter.calls).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  it("P4 skips spans that are not sampled", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter);
    const provider = new BasicTracerProvider({ sampler: new AlwaysOffSampler() });
    const span = provider.getTracer("test").startSpan("unsampled");
    processor.onStart(span as never, ROOT_CONTEXT);
    processor.onEnd(span as never);
    await processor.forceFlush();
    expect(exporter.calls).toHaveLength(0);
    expect(processor.stats()).toMatchObject({ dropped: 0, faults: 0 });
  });

  /** How the first export fails, and how long it takes until the next batch must follow. */
  const firstExports: Record<string, (exporter: ScriptedExporter) => unknown> = {
    succeeds: (exporter) => exporter.call(0).answer(),
    fails: (exporter) => exporter.call(0).answer(failure("unavailable")),
    "answers nothing usable": (exporter) => exporter.call(0).answer(null as never),
    "never answers": () => clock.advance(30_000),
    "answers twice": (exporter) => {
      exporter.call(0).answer();
      exporter.call(0).answer(failure("again"));
    },
    "answers after its timeout": async (exporter) => {
      await clock.advance(30_000);
      exporter.call(0).answer();
    },
  };
  it.each(Object.entries(firstExports))("P4 continues when an export %s", async (_, goWrong) => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 4);
    await settled();
    expect(exporter.calls).toHaveLength(1);
    await goWrong(exporter);
    await settled();
    expect(exporter.calls).toHaveLength(2);
    exporter.call(1).answer();
    endSpans(processor, 1, "afterwards ");
    await clock.advance(1000);
    expect(exporter.names).toEqual(["span 1", "span 2", "span 3", "span 4", "afterwards 1"]);
  });

  const throwing: Record<string, (call: { answer(): void }) => unknown> = {
    throws: () => {
      throw new Error("broken");
    },
    "answers, then throws": (call) => {
      call.answer();
      throw new Error("broken");
    },
    "answers in the call": (call) => call.answer(),
    "is async and rejects": () => Promise.reject(new Error("broken")),
  };
  it.each(Object.entries(throwing))("P4 continues when export() %s", async (how, act) => {
    const names: string[] = [];
    const exporter: SpanExporter = {
      export(spans, resultCallback) {
        names.push(...spans.map(({ name }) => name));
        return act({ answer: () => resultCallback(success) }) as undefined;
      },
      shutdown: async () => {},
    };
    const processor = processorFor(exporter, { maxExportBatchSize: 2 });
    endSpans(processor, 5);
    await clock.advance(1000);
    expect(names).toEqual(["span 1", "span 2", "span 3", "span 4", "span 5"]);
    const lost = how === "throws" || how.startsWith("is async") ? 5 : 0;
    expect(processor.stats()).toMatchObject({ queued: 0, exporting: 0, exported: 5 - lost, failed: lost });
  });

  it("P4 does not end the present export on the answer of an older one", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 3);
    await clock.advance(30_000);
    expect(exporter.calls).toHaveLength(2);
    exporter.call(0).answer();
    await settled();
    expect(exporter.calls).toHaveLength(2);
    expect(processor.stats()).toMatchObject({ failed: 1, exported: 0, exporting: 1, queued: 1 });
  });
});

describe("P6 accounting", () => {
  it("P6 reports a failed batch with its size and reason", async () => {
    const exporter = new ScriptedExporter((call) => call.answer(failure("503 from the collector")));
    const processor = processorFor(exporter);
    endSpans(processor, 3);
    await clock.advance(1000);
    expect(reported).toEqual([
      expect.stringMatching(/^CrashSafeSpanProcessor: 3 spans were not exported: 503 from the collector\. /),
    ]);
    expect(processor.stats()).toMatchObject({ failed: 3, exported: 0, queued: 0 });
  });

  it("P6 reports drops once per burst, the first drop at once and the count at the end", async () => {
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, { maxQueueSize: 2, scheduledDelayMillis: 1000 });
    endSpans(processor, 12);
    const full = "the queue is full (maxQueueSize 2); raise it, or check why the exporter is slow";
    expect(reported).toEqual([`CrashSafeSpanProcessor: dropped 1 span: ${full}`]);
    await clock.advance(1000);
    expect(reported[1]).toBe(`CrashSafeSpanProcessor: dropped 7 more spans: ${full} (8 in all)`);

    exporter.call(0).answer();
    await settled();
    endSpans(processor, 4);
    const flushed = processor.forceFlush();
    expect(reported.slice(2)).toEqual([`CrashSafeSpanProcessor: dropped 2 more spans: ${full} (10 in all)`]);
    expect(processor.stats().dropped).toBe(10);
    await settled();
    exporter.call(1).answer();
    await settled();
    exporter.call(2).answer();
    await flushed;
  });

  it("P6 drops, counts and reports spans that end after shutdown", async () => {
    const processor = processorFor(new ScriptedExporter());
    const open = tracerInto(processor).startSpan("open");
    await processor.shutdown();
    open.end();
    endSpans(processor, 2);
    await processor.forceFlush();
    expect(processor.stats().dropped).toBe(3);
    expect(reported).toEqual([
      "CrashSafeSpanProcessor: dropped 1 span: after shutdown; end spans before it",
      "CrashSafeSpanProcessor: dropped 2 more spans: after shutdown; end spans before it (3 in all)",
    ]);
  });

  it("P6 survives a span that throws, and reports the fault once", async () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter);
    const hostile = new Proxy({} as never, {
      get() {
        throw new Error("no");
      },
    });
    for (let i = 0; i < 3; i++) {
      processor.onStart(hostile, ROOT_CONTEXT);
      processor.onEnd(hostile);
    }
    endSpans(processor, 1);
    await processor.forceFlush();
    expect(exporter.names).toEqual(["span 1"]);
    expect(processor.stats().faults).toBe(6);
    expect(reported).toHaveLength(2);
  });

  it("P6 survives a diag logger that throws", async () => {
    const shout = () => {
      throw new Error("logger");
    };
    const logger = { error: shout, warn: shout, info: shout, debug: shout, verbose: shout };
    diag.setLogger(logger, { suppressOverrideMessage: true });
    const exporter = new ScriptedExporter((call) => call.answer(failure("down")));
    const processor = processorFor(exporter, { maxQueueSize: 1 });
    endSpans(processor, 3);
    await clock.advance(1000);
    endSpans(processor, 1);
    await clock.advance(1000);
    expect(processor.stats()).toMatchObject({ failed: 3, dropped: 1, queued: 0 });
  });

  it("P6 loses no span of a burst of 10,000 into a synchronous exporter", async () => {
    const exporter = new InMemorySpanExporter();
    const processor = new CrashSafeSpanProcessor(exporter);
    endSpans(processor, 10_000);
    await processor.forceFlush();
    expect(exporter.getFinishedSpans()).toHaveLength(10_000);
    expect(processor.stats()).toMatchObject({ exported: 10_000, dropped: 0 });
  });

  it("P6 loses no span of a burst of 10,000 into an exporter that needs 100 ms per batch", async () => {
    const exporter = new ScriptedExporter((call) => clock.after(100, () => call.answer()));
    const processor = processorFor(exporter);
    const names = endSpans(processor, 10_000);
    const flushed = processor.forceFlush();
    await clock.advance(100 * 20);
    await flushed;
    expect(exporter.names).toEqual(names);
    expect(exporter.calls).toHaveLength(20);
    expect(exporter.mostConcurrent).toBe(1);
    expect(processor.stats()).toMatchObject({ exported: 10_000, dropped: 0 });
  });

  it("P6 does not trace the exporter's own work", async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const suppressed: boolean[] = [];
    const note = () => void suppressed.push(isTracingSuppressed(context.active()));
    const exporter = {
      export(_: unknown, done: (result: typeof success) => void) {
        note();
        done(success);
      },
      forceFlush: async () => note(),
      shutdown: async () => note(),
    };
    const processor = processorFor(exporter);
    endSpans(processor, 1);
    await processor.shutdown();
    expect(suppressed).toEqual([true, true, true]);
  });
});

describe("resources whose attributes are still being detected", () => {
  const spanOf = (resource: object) => {
    const span = new BasicTracerProvider().getTracer("test").startSpan("detected");
    return Object.create(span, { resource: { value: resource }, name: { value: "detected" } });
  };

  it("P10 are awaited before the export", async () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter);
    let detected: () => void = () => {};
    const resource = {
      asyncAttributesPending: true,
      waitForAsyncAttributes: () => new Promise<void>((resolve) => (detected = resolve)),
    };
    processor.onEnd(spanOf(resource));
    const flushed = processor.forceFlush();
    expect(await isPending(flushed)).toBe(true);
    expect(exporter.calls).toHaveLength(0);
    resource.asyncAttributesPending = false;
    detected();
    await flushed;
    expect(exporter.names).toEqual(["detected"]);
  });

  it.each<[string, () => Promise<void>]>([
    ["takes too long", () => new Promise(() => {})],
    ["fails", () => Promise.reject(new Error("no metadata"))],
    ["ends without an end", () => Promise.resolve()],
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
  ])("P6 lose no span when detection %s", async (_, waitForAsyncAttributes) => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter, { exportTimeoutMillis: 5000 });
    const resource = { asyncAttributesPending: true, waitForAsyncAttributes };
    processor.onEnd(spanOf(resource));
    await clock.advance(1000 + 5000);
    expect(exporter.calls).toHaveLength(1);
    processor.onEnd(spanOf(resource));
    await clock.advance(1000);
    expect(exporter.calls).toHaveLength(2);
  });

  it("P3 are not awaited by the crash fence", () => {
    const exporter = new ScriptedExporter((call) => call.answer());
    const processor = processorFor(exporter);
    processor.onEnd(
      spanOf({ asyncAttributesPending: true, waitForAsyncAttributes: () => new Promise(() => {}) }),
    );
    void processor.forceFlush();
    processor.crash();
    expect(exporter.names).toEqual(["detected"]);
  });
});

describe("the flush before a natural exit", () => {
  const listeners = () => process.listenerCount("beforeExit");
  const SLOT = Symbol.for("opentelemetry-exporter-crash-safe-file/exit-flush/1");

  beforeEach(() => {
    // Processors of other tests that never ended.
    const slots = globalThis as unknown as Record<symbol, { waiting: Set<object>; listener(): void }>;
    const { waiting, listener } = slots[SLOT] ?? {};
    if (listener) process.off("beforeExit", listener);
    waiting?.clear();
  });

  it("P5 uses one listener for all processors, as long as one has spans to flush", async () => {
    const before = listeners();
    const processors = [1, 2, 3].map(() => processorFor(new ScriptedExporter((call) => call.answer())));
    expect(listeners()).toBe(before);
    for (const processor of processors) endSpans(processor, 2);
    expect(listeners()).toBe(before + 1);
    await Promise.all(processors.slice(1).map((processor) => processor.shutdown()));
    expect(listeners()).toBe(before + 1);
    await processors[0]?.forceFlush();
    expect(listeners()).toBe(before);
  });

  it("P5 uses one listener for two copies of the package", async () => {
    const before = listeners();
    const processor = processorFor(new ScriptedExporter((call) => call.answer()));
    endSpans(processor, 1);
    vi.resetModules();
    const copy = await import("../../src/processor/span-processor.js");
    expect(copy.CrashSafeSpanProcessor).not.toBe(CrashSafeSpanProcessor);
    const other = new copy.CrashSafeSpanProcessor(new ScriptedExporter((call) => call.answer()));
    endSpans(other, 1);
    expect(listeners()).toBe(before + 1);
    await other.shutdown();
    await processor.shutdown();
    expect(listeners()).toBe(before);
  });
});

it("P10 sets the session id before a live exporter gets the start", () => {
  const seen: unknown[] = [];
  const exporter = {
    ...new InMemorySpanExporter(),
    export: () => {},
    shutdown: async () => {},
    recordStart: (span: { attributes: Record<string, unknown> }) => seen.push(span.attributes["session.id"]),
    recordEnd: () => {},
    crash: () => {},
  };
  const processor = processorFor(exporter as never);
  const tracer = tracerInto(processor);
  const agent = tracer.startSpan("invoke_agent", { attributes: { "session.id": "ses_1" } });
  tracer.startSpan("chat", {}, trace.setSpan(ROOT_CONTEXT, agent));
  expect(seen).toEqual(["ses_1", "ses_1"]);
});
