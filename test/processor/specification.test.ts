/**
 * What the OpenTelemetry specification demands (MUST, SHOULD) of span processors and of the batching one: Trace SDK,
 * sections "Span processor", "Built-in span processors" and "Concurrency requirements". One test per demand. Exporters are
 * in `specification-exporter.test.ts`, environment variables in `specification-variables.test.ts`.
 */
import { context, diag, ROOT_CONTEXT } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  SamplingDecision,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { setSessionId } from "../../src/otel/session-context.js";
import type { LiveSpanExporter, ReadableSpan, SpanExporter } from "../../src/otel/types.js";
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

/** A live exporter, with the spans that it was given. */
function live() {
  const given = { started: [] as ReadableSpan[], ended: [] as string[] };
  const exporter: LiveSpanExporter & { readonly log: string[] } = Object.assign(answering(), {
    recordStart: (span: ReadableSpan) => void given.started.push(span),
    recordEnd: (span: ReadableSpan) => void given.ended.push(span.name),
    crash() {},
  });
  return { exporter, ...given };
}

describe("span processor", () => {
  it("OnStart passes the span itself on, so that later updates of the span are reflected", () => {
    const { exporter, started } = live();
    const span = tracerInto(over(exporter)).startSpan("request");
    span.setAttribute("later", 1);
    expect(started[0]?.attributes).toMatchObject({ later: 1 });
    span.end();
  });

  it("OnStart takes the parent context, not the active one", () => {
    const { exporter, started } = live();
    const tracer = tracerInto(over(exporter));
    context.with(setSessionId(ROOT_CONTEXT, "active"), () =>
      tracer.startSpan("request", {}, setSessionId(ROOT_CONTEXT, "parent")).end(),
    );
    expect(started[0]?.attributes).toEqual({ "session.id": "parent" });
  });

  it("OnEnd modifies no span: the next processor gets what the one before got", () => {
    const seen: unknown[] = [];
    const witness: SpanProcessor = {
      onStart() {},
      onEnd: ({ name, attributes, events, links, status, ended, endTime }) =>
        void seen.push(structuredClone({ name, attributes, events, links, status, ended, endTime })),
      forceFlush: async () => {},
      shutdown: async () => {},
    };
    const spanProcessors = [witness, over(answering()), over(live().exporter), witness];
    const span = new BasicTracerProvider({ spanProcessors }).getTracer("test").startSpan("request");
    span.setAttribute("gen_ai.usage.input_tokens", 7).addEvent("event", { a: 1 }).end();
    expect(seen).toHaveLength(2);
    expect(seen[1]).toEqual(seen[0]);
  });

  it("several processors are independent: each pipeline ends in an exporter of its own", async () => {
    const [sound, broken] = [answering(), new ThrowingExporter()];
    const processors = [over(broken), over(sound)];
    const tracer = new BasicTracerProvider({ spanProcessors: processors }).getTracer("test");
    tracer.startSpan("request").end();
    await Promise.allSettled(processors.map((processor) => processor.forceFlush()));
    expect(sound.names).toEqual(["request"]);
  });

  it("can be decorated, for filters", async () => {
    const exporter = answering();
    const inner = over(exporter);
    const filter: SpanProcessor = {
      onStart: (span, parent) => inner.onStart(span, parent),
      onEnd: (span) => void (span.name !== "noise" && inner.onEnd(span)),
      forceFlush: () => inner.forceFlush(),
      shutdown: () => inner.shutdown(),
    };
    for (const name of ["noise", "request"]) tracerInto(filter).startSpan(name).end();
    await filter.shutdown();
    expect(exporter.names).toEqual(["request"]);
  });

  it("all methods can be called while others are under way: each span is exported once", async () => {
    const exporter = new ScriptedExporter((call) => clock.after(10, () => call.answer()));
    const processor = over(exporter, { maxExportBatchSize: 3 });
    const names: string[] = [];
    const flushes: Promise<void>[] = [];
    for (let n = 0; n < 5; n++) {
      names.push(...endSpans(processor, 4, `round ${n} span `));
      flushes.push(processor.forceFlush(), processor.forceFlush());
      await clock.advance(5);
    }
    flushes.push(processor.shutdown(), processor.forceFlush(), processor.shutdown());
    const settledAll = Promise.all(flushes);
    await clock.advance(1_000);
    await settledAll;
    expect(exporter.names).toEqual(names);
    expect(exporter.mostConcurrent).toBe(1);
  });

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

  it.each(["forceFlush", "shutdown"] as const)(
    "%s ends within its timeout when that of the exporter never does",
    async (method) => {
      const exporter = Object.assign(answering(), { [method]: () => new Promise<void>(() => {}) });
      const processor = over(exporter, { exportTimeoutMillis: 100 });
      const outcome = expect(processor[method]()).rejects.toMatchObject({ code: "EXPORT_TIMEOUT" });
      await clock.advance(200);
      await outcome;
    },
  );

  it("ForceFlush completes for the spans before the call, and does not wait for later ones", async () => {
    const exporter = new ScriptedExporter();
    const processor = over(exporter, { maxExportBatchSize: 1 });
    endSpans(processor, 1, "before ");
    const flush = processor.forceFlush();
    endSpans(processor, 1, "after ");
    await settled();
    exporter.call(0).answer();
    expect(await isPending(flush)).toBe(false);
    exporter.call(1).answer();
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

describe("simple processor: over a live exporter", () => {
  it("a span is passed on as soon as it is finished, and Export is never called", async () => {
    const { exporter, ended } = live();
    const processor = over(exporter);
    const names = endSpans(processor, 3);
    expect(ended).toEqual(names);
    await processor.shutdown();
    expect(exporter.log).toEqual(["shutdown"]);
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

  it("exports when ForceFlush is called, before the delay and before a batch is full", async () => {
    const exporter = answering();
    const processor = over(exporter);
    endSpans(processor, 1);
    await processor.forceFlush();
    expect(exporter.calls).toHaveLength(1);
  });

  it("counts the delay of the next batch from its first span", async () => {
    const exporter = answering();
    const processor = over(exporter, { scheduledDelayMillis: 500 });
    endSpans(processor, 1);
    await clock.advance(500);
    await clock.advance(400);
    endSpans(processor, 1);
    await clock.advance(499);
    expect(exporter.calls).toHaveLength(1);
    await clock.advance(1);
    expect(exporter.calls).toHaveLength(2);
  });

  it("an export of an empty queue is complete immediately", async () => {
    const exporter = answering();
    const processor = over(exporter, { scheduledDelayMillis: 10 });
    await clock.advance(1_000);
    await processor.forceFlush();
    expect(exporter.calls).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("maxExportBatchSize is at most maxQueueSize", async () => {
    const exporter = new ScriptedExporter();
    endSpans(over(exporter, { maxQueueSize: 2, maxExportBatchSize: 5 }), 2);
    await settled();
    expect(exporter.call(0).names).toHaveLength(2);
    expect(reported).toEqual([
      expect.stringContaining("maxExportBatchSize is 5, which is more than maxQueueSize"),
    ]);
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
