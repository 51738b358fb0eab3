/** Self-observability of exporter and processor: as metrics, and as numbers. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { diag, type MeterProvider } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import type { DataPoint, Histogram } from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { CollectedMetrics } from "../support/collected-metrics.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { IdleClock } from "../support/idle-clock.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { spanOf } from "../support/projection-span.js";
import {
  endSpans,
  failure,
  HandClock,
  listenToDiag,
  ScriptedExporter,
  settled,
} from "../support/span-processor-stage.js";

const exported = "otel.sdk.exporter.span.exported";
const inflight = "otel.sdk.exporter.span.inflight";
const duration = "otel.sdk.exporter.operation.duration";
const processed = "otel.sdk.processor.span.processed";
const size = "otel.sdk.processor.span.queue.size";
const capacity = "otel.sdk.processor.span.queue.capacity";

let dir: string;
let reported: string[];
let metrics: CollectedMetrics;

beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "self-observability-"));
  reported = listenToDiag();
  metrics = new CollectedMetrics();
});
afterEach(async () => {
  diag.disable();
  await metrics.provider.shutdown();
  fs.rmSync(dir, { recursive: true, force: true });
});

function span(n: number, sessionId = "ses_observed", text = "short"): ReadableSpan {
  const spanId = (0x1000_0000 + n).toString(16).padStart(16, "0");
  return spanOf({
    name: `step ${n}`,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    attributes: { "session.id": sessionId, text },
  });
}

function exporterOn(fileSystem: FaultyFileSystem, provider: MeterProvider | undefined = metrics.provider) {
  return new CrashSafeFileSpanExporter(
    { dir, selfObsMeterProvider: provider },
    { fileSystem, clock: new IdleClock(), liveness: new MortalLiveness() },
  );
}

describe("the exporter's metrics", () => {
  it("count spans that are in a file, and the duration of each operation", async () => {
    const exporter = exporterOn(new FaultyFileSystem());
    for (let n = 0; n < 100; n++) exporter.recordEnd(span(n));
    exporter.export([span(100), span(101)], () => {});
    expect(await metrics.values()).toEqual({ [exported]: 102, [inflight]: 0, [duration]: 101 });
    const { operations, operationMillis } = exporter.stats();
    expect(operations).toBe(101);
    expect(operationMillis).toBeGreaterThan(0);
    const histogram = (await metrics.metrics()).find(({ descriptor }) => descriptor.name === duration);
    const [point] = (histogram?.dataPoints ?? []) as DataPoint<Histogram>[];
    expect((point?.value.sum ?? 0) * 1_000).toBeCloseTo(operationMillis);
    await exporter.shutdown();
  });

  it("count spans that wait for a full disk as in flight", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 10, times: "forever", code: "ENOSPC" });
    const exporter = exporterOn(fileSystem);
    for (let n = 0; n < 40; n++) exporter.recordEnd(span(n));
    const before = await metrics.values();
    expect(before[inflight]).toBeGreaterThan(30);
    expect(Number(before[inflight]) + Number(before[exported])).toBe(40);
    expect(exporter.stats()).toMatchObject({
      inflight: before[inflight],
      exported: before[exported],
      recorded: 40,
    });
    expect(exporter.stats().queuedBytes).toBeGreaterThan(4_000);
    fileSystem.clear();
    await exporter.forceFlush();
    expect(await metrics.values()).toMatchObject({ [exported]: 40, [inflight]: 0 });
    expect(exporter.stats()).toMatchObject({ inflight: 0, exported: 40, queuedBytes: 0 });
    await exporter.shutdown();
  });

  it("count nothing but spans as in flight when no file could be created", async () => {
    const fileSystem = new FaultyFileSystem();
    const exporter = exporterOn(fileSystem);
    for (let n = 0; n < 5; n++) exporter.recordEnd(span(n, "ses_before"));
    fileSystem.fail("open", "EACCES");
    exporter.recordStart(span(5));
    exporter.recordEnd(span(5));
    exporter.recordEnd(span(6));
    expect(await metrics.values()).toMatchObject({ [exported]: 5, [inflight]: 2 });
    fileSystem.clear();
    await exporter.shutdown();
    expect(exporter.stats()).toMatchObject({ exported: 7, inflight: 0, recorded: 7 });
  });

  it("give the reason for lost spans as error.type, with the duration of the operation", async () => {
    const exporter = exporterOn(new FaultyFileSystem());
    const late = span(0);
    exporter.recordStart(late);
    exporter.recordEnd(span(1));
    await exporter.endSession("ses_observed");
    exporter.recordEnd(late);
    const unreadable = new Proxy({} as ReadableSpan, {
      get() {
        throw new TypeError("no");
      },
    });
    exporter.recordEnd(unreadable);
    exporter.recordEnd(span(2, "ses_fenced"));
    await exporter.shutdown();
    exporter.recordEnd(span(3));
    const lost = { session_ended: 1, unreadable: 1, already_shutdown: 1 };
    const counted = Object.entries(lost).flatMap(([type, spans]) => [
      [`${exported} ${type}`, spans],
      [`${duration} ${type}`, spans],
    ]);
    expect(await metrics.values()).toEqual({
      [exported]: 2,
      [duration]: 2,
      [inflight]: 0,
      ...Object.fromEntries(counted),
    });
    expect(exporter.stats()).toMatchObject({ exported: 2, dropped: 3, lostBy: lost });
  });

  it("count spans that exceed the retry queue as queue_full", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 10, times: "forever", code: "ENOSPC" });
    const exporter = exporterOn(fileSystem);
    for (let n = 0; n < 8; n++) exporter.recordEnd(span(n, "ses_observed", "x".repeat(6_000_000)));
    const { dropped, inflight: waiting, lostBy } = exporter.stats();
    expect(dropped).toBeGreaterThan(0);
    expect(lostBy).toEqual({ queue_full: dropped });
    expect(await metrics.values()).toMatchObject({
      [`${exported} queue_full`]: dropped,
      [inflight]: waiting,
    });
    fileSystem.clear();
    await exporter.shutdown();
  });

  it("count sessions, documents, bytes and recoveries of the directory", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    exporter.recordEnd(span(0, "ses_one"));
    exporter.recordEnd(span(1, "ses_two"));
    expect(exporter.stats()).toMatchObject({ openSessions: 2, publishedDocuments: 0 });
    await exporter.forceFlush();
    const { publishedDocuments, writtenBytes } = exporter.stats();
    expect(publishedDocuments).toBe(2);
    const bytes = fs.readdirSync(dir).map((name) => fs.statSync(join(dir, name)).size);
    expect(writtenBytes).toBe(bytes.reduce((sum, more) => sum + more));
    await exporter.shutdown();
    expect(exporter.stats()).toMatchObject({ openSessions: 0, publishedDocuments: 4, recoveredSessions: 0 });
  });

  it("count the recovered sessions", async () => {
    const dead = new MortalLiveness();
    const victim = new CrashSafeFileSpanExporter({ dir }, { clock: new IdleClock(), liveness: dead });
    victim.recordEnd(span(0, "ses_dead"));
    dead.killAll();
    const exporter = new CrashSafeFileSpanExporter({ dir }, { liveness: dead });
    await expect.poll(() => exporter.stats().recoveredSessions).toBe(1);
    expect(exporter.stats()).toMatchObject({ exported: 0, publishedDocuments: 1 });
    await exporter.shutdown();
  });
});

describe("the processor's metrics", () => {
  const processorFor = (exporter: ScriptedExporter, clock: HandClock, options = {}) =>
    new CrashSafeSpanProcessor(exporter, { selfObsMeterProvider: metrics.provider, ...options }, { clock });

  it("report queue, capacity, and processed and lost spans, by error.type", async () => {
    const clock = new HandClock();
    const exporter = new ScriptedExporter();
    const processor = processorFor(exporter, clock, { maxQueueSize: 4, maxExportBatchSize: 2 });
    endSpans(processor, 7);
    expect(await metrics.values()).toEqual({
      [processed]: 0,
      [`${processed} queue_full`]: 1,
      [size]: 4,
      [capacity]: 4,
    });
    await settled();
    exporter.call(0).answer();
    await settled();
    exporter.call(1).answer(failure("503"));
    await settled();
    await clock.advance(30_000);
    expect(await metrics.values()).toEqual({
      [processed]: 2,
      [`${processed} queue_full`]: 1,
      [`${processed} Error`]: 2,
      [`${processed} timeout`]: 2,
      [size]: 0,
      [capacity]: 4,
    });
    expect(processor.stats()).toMatchObject({
      exported: 2,
      failed: 4,
      dropped: 1,
      queueCapacity: 4,
      lostBy: { queue_full: 1, Error: 2, timeout: 2 },
    });
    await processor.shutdown();
    endSpans(processor, 1);
    // The last numbers are reported after the end. No queue exists any more.
    expect(await metrics.values()).toEqual({
      [processed]: 2,
      [`${processed} queue_full`]: 1,
      [`${processed} Error`]: 2,
      [`${processed} timeout`]: 2,
      [`${processed} already_shutdown`]: 1,
      [size]: 0,
      [capacity]: 0,
    });
  });

  it("report no queue where the processor has none", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const processor = new CrashSafeSpanProcessor(exporter, { selfObsMeterProvider: metrics.provider });
    endSpans(processor, 3);
    expect(await metrics.values()).toEqual({ [processed]: 3 });
    expect(processor.stats()).toMatchObject({ recorded: 3, queueCapacity: 0 });
    processor.crash();
    endSpans(processor, 1);
    expect(await metrics.values()).toEqual({ [processed]: 3, [`${processed} crashed`]: 1 });
    await processor.shutdown();
  });

  it("distinguish a bounded number of error types", async () => {
    const clock = new HandClock();
    let number = 0;
    const exporter = new ScriptedExporter((call) =>
      call.answer({ code: 1, error: Object.assign(new Error("no"), { name: `Error${number++}` }) }),
    );
    const processor = processorFor(exporter, clock, { maxExportBatchSize: 1 });
    endSpans(processor, 100);
    await processor.forceFlush().catch(() => {});
    const { lostBy } = processor.stats();
    expect(Object.keys(lostBy).length).toBeLessThan(40);
    expect(Object.values(lostBy).reduce((sum, spans) => sum + spans)).toBe(100);
    await processor.shutdown();
  });
});

describe("components", () => {
  it("are named by their class and a number of their own", async () => {
    const exporters = [1, 2].map(() => exporterOn(new FaultyFileSystem()));
    const processors = exporters.map(
      (exporter) => new CrashSafeSpanProcessor(exporter, { selfObsMeterProvider: metrics.provider }),
    );
    const names = new Set<unknown>();
    for (const { component, type } of await metrics.points()) {
      expect(component).toMatch(/^(CrashSafeFileSpanExporter|CrashSafeSpanProcessor)\/\d+$/);
      expect(`${component}`.split("/")[0]).toBe(type);
      names.add(component);
    }
    expect(names.size).toBe(4);
    await Promise.all(processors.map((processor) => processor.shutdown()));
  });

  it("report the same metrics as the SDK's own, so that one dashboard fits both", async () => {
    const described = async (collected: CollectedMetrics) =>
      (await collected.metrics())
        .map(({ descriptor: { name, unit, description }, dataPointType, dataPoints, ...more }) => ({
          ...{ name, unit, description, dataPointType },
          isMonotonic: "isMonotonic" in more ? more.isMonotonic : undefined,
          keys: [...new Set(dataPoints.flatMap(({ attributes }) => Object.keys(attributes)))].sort(),
        }))
        .filter(({ name }) => !name.startsWith("otel.sdk.span"))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    const theirs = new CollectedMetrics();
    const stockOptions = { maxQueueSize: 1, maxExportBatchSize: 1, selfObsMeterProvider: theirs.provider };
    const nowhere = new OTLPTraceExporter({ url: "http://127.0.0.1:9/v1/traces", timeoutMillis: 500 });
    const stock = new BatchSpanProcessor({ exporter: nowhere, ...stockOptions });
    endSpans(stock as never, 3);
    await stock.forceFlush().catch(() => {});

    const scripted = new ScriptedExporter((call) => call.answer(failure("503")));
    const options = { maxQueueSize: 1, maxExportBatchSize: 1, selfObsMeterProvider: metrics.provider };
    const own = new CrashSafeSpanProcessor(scripted, options, { clock: new HandClock() });
    endSpans(own, 3);
    await own.forceFlush().catch(() => {});
    expect(await described(metrics)).toEqual(await described(theirs));
    await Promise.all(
      [stock.shutdown(), own.shutdown(), theirs.provider.shutdown()].map((end) => end.catch(() => {})),
    );
  });

  it("report the same metrics of exporters as the SDK's own exporters do", async () => {
    const described = async (collected: CollectedMetrics) =>
      (await collected.metrics())
        .map(({ descriptor, dataPointType }) => ({ ...descriptor, type: undefined, dataPointType }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    const theirs = new CollectedMetrics();
    const otlp = new OTLPTraceExporter({
      url: "http://127.0.0.1:9/v1/traces",
      timeoutMillis: 500,
      selfObsMeterProvider: theirs.provider,
    } as never);
    await new Promise<void>((done) => otlp.export([], () => done()));
    const own = exporterOn(new FaultyFileSystem());
    own.recordEnd(span(0));
    expect(await described(metrics)).toEqual(await described(theirs));
    await Promise.all([own.shutdown(), otlp.shutdown(), theirs.provider.shutdown()]);
  });
});

describe("P6 a meter provider that fails loses its metrics and nothing else", () => {
  const thrower = () => {
    throw new Error("no meter");
  };
  const instrument = { addCallback() {}, record() {} };
  const meter = {
    createObservableCounter: () => instrument,
    createObservableUpDownCounter: () => instrument,
    createHistogram: () => instrument,
  };
  test.for<[what: string, provider: unknown]>([
    ["getMeter throws", { getMeter: thrower }],
    ["getMeter gives nothing", { getMeter() {} }],
    ["no counter", { getMeter: () => ({ ...meter, createObservableCounter: thrower }) }],
    ["no up-down counter", { getMeter: () => ({ ...meter, createObservableUpDownCounter: thrower }) }],
    ["no histogram", { getMeter: () => ({ ...meter, createHistogram: thrower }) }],
    ["an older API", { getMeter: () => ({ createCounter: () => instrument }) }],
    ["record throws", { getMeter: () => ({ ...meter, createHistogram: () => ({ record: thrower }) }) }],
    [
      "callbacks are not taken",
      { getMeter: () => ({ ...meter, createObservableCounter: () => ({ addCallback: thrower }) }) },
    ],
  ])("P6 %s", async ([, provider]) => {
    const selfObsMeterProvider = provider as MeterProvider;
    const exporter = exporterOn(new FaultyFileSystem(), selfObsMeterProvider);
    const processor = new CrashSafeSpanProcessor(exporter, { selfObsMeterProvider });
    const queue = new ScriptedExporter((call) => call.answer());
    const queued = new CrashSafeSpanProcessor(queue, { selfObsMeterProvider }, { clock: new HandClock() });
    for (let n = 0; n < 1_000; n++) processor.onEnd(span(n));
    endSpans(queued, 10);
    await Promise.all([processor.shutdown(), queued.shutdown()]);
    expect(exporter.stats()).toMatchObject({ exported: 1_000, dropped: 0, faults: 0 });
    expect(queued.stats()).toMatchObject({ exported: 10 });
    // At most one report by each component that uses the provider.
    expect(reported.length).toBeLessThanOrEqual(3);
    for (const line of reported) expect(line).toMatch("selfObsMeterProvider");
  });

  test.for([null, 1, "otlp", {}])("P6 %o is an error at construction", (wrong) => {
    const options = { selfObsMeterProvider: wrong as unknown as MeterProvider };
    const message = /selfObsMeterProvider is .*, and must be a MeterProvider/;
    expect(() => new CrashSafeFileSpanExporter({ dir, ...options })).toThrow(message);
    expect(() => new CrashSafeSpanProcessor(new ScriptedExporter(), options)).toThrow(message);
  });
});
