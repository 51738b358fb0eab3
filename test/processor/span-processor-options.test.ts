/** How options and environment variables are combined, for the processor. */
import { diag } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { LiveSpanExporter } from "../../src/otel/types.js";
import type { Environment } from "../../src/platform/environment.js";
import { CrashSafeFileError } from "../../src/platform/errors.js";
import {
  CrashSafeSpanProcessor,
  type CrashSafeSpanProcessorOptions,
} from "../../src/processor/span-processor.js";
import { resolveProcessorOptions } from "../../src/processor/span-processor-options.js";
import { HandClock, listenToDiag, ScriptedExporter, tracerInto } from "../support/span-processor-stage.js";

const longest = 2 ** 31 - 1;
const standard = {
  scheduledDelayMillis: 1000,
  maxQueueSize: 65_536,
  maxExportBatchSize: 512,
  exportTimeoutMillis: 30_000,
};

let reported: string[];

beforeEach(() => {
  reported = listenToDiag();
});
afterEach(() => {
  diag.disable();
  vi.unstubAllEnvs();
});

describe("OTEL_BSP_* variables set the options of a batch processor that the program leaves out", () => {
  test.for<[user: CrashSafeSpanProcessorOptions, env: Environment, limits: Partial<typeof standard>]>([
    [{}, {}, {}],
    [{}, { OTEL_BSP_SCHEDULE_DELAY: "200" }, { scheduledDelayMillis: 200 }],
    [{}, { OTEL_BSP_SCHEDULE_DELAY: "0" }, { scheduledDelayMillis: 0 }],
    [{ scheduledDelayMillis: 7 }, { OTEL_BSP_SCHEDULE_DELAY: "200" }, { scheduledDelayMillis: 7 }],
    [{ scheduleDelayMillis: 7 }, { OTEL_BSP_SCHEDULE_DELAY: "200" }, { scheduledDelayMillis: 7 }],
    [{ scheduleDelayMillis: 7, scheduledDelayMillis: 7 }, {}, { scheduledDelayMillis: 7 }],
    [{}, { OTEL_BSP_MAX_QUEUE_SIZE: " 2048 " }, { maxQueueSize: 2048 }],
    [{}, { OTEL_BSP_MAX_QUEUE_SIZE: "100" }, { maxQueueSize: 100, maxExportBatchSize: 100 }],
    [{}, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "64" }, { maxExportBatchSize: 64 }],
    [{ maxExportBatchSize: 4 }, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "64" }, { maxExportBatchSize: 4 }],
    [{}, { OTEL_BSP_EXPORT_TIMEOUT: "500" }, { exportTimeoutMillis: 500 }],
    [{}, { OTEL_BSP_EXPORT_TIMEOUT: "0" }, { exportTimeoutMillis: longest }],
    [{}, { OTEL_BSP_EXPORT_TIMEOUT: " " }, {}],
  ])("%o with %o", ([user, env, limits]) => {
    expect(resolveProcessorOptions(user, env)).toEqual({ limits: { ...standard, ...limits }, warnings: [] });
  });

  test("the variables apply only in front of an exporter that gets batches", async () => {
    vi.stubEnv("OTEL_BSP_MAX_QUEUE_SIZE", "3");
    const clock = new HandClock();
    const foreign = new CrashSafeSpanProcessor(new ScriptedExporter(), {}, { clock });
    const tracer = tracerInto(foreign);
    for (let n = 0; n < 8; n++) tracer.startSpan(`span ${n}`).end();
    expect(foreign.stats()).toMatchObject({ queued: 3, dropped: 2 });

    vi.stubEnv("OTEL_BSP_MAX_QUEUE_SIZE", "none");
    reported.length = 0;
    const live = Object.assign(new ScriptedExporter(), { recordStart() {}, recordEnd() {}, crash() {} });
    new CrashSafeSpanProcessor(live satisfies LiveSpanExporter, {}, { clock });
    expect(reported).toEqual([]);
  });
});

describe("a variable with an invalid value is ignored, and reported with its value and what is allowed", () => {
  test.for<[user: CrashSafeSpanProcessorOptions, env: Environment, limits: Partial<typeof standard>, RegExp]>(
    [
      [
        {},
        { OTEL_BSP_SCHEDULE_DELAY: "5s" },
        {},
        /^OTEL_BSP_SCHEDULE_DELAY is "5s" and is ignored: it must be an integer from 0 to 2147483647; scheduledDelayMillis is 1000$/,
      ],
      [{}, { OTEL_BSP_SCHEDULE_DELAY: "-1" }, {}, /^OTEL_BSP_SCHEDULE_DELAY is "-1"/],
      [{}, { OTEL_BSP_SCHEDULE_DELAY: "1.5" }, {}, /^OTEL_BSP_SCHEDULE_DELAY is "1.5"/],
      [{}, { OTEL_BSP_EXPORT_TIMEOUT: "99999999999" }, {}, /^OTEL_BSP_EXPORT_TIMEOUT is "99999999999"/],
      [{}, { OTEL_BSP_MAX_QUEUE_SIZE: "0" }, {}, /^OTEL_BSP_MAX_QUEUE_SIZE is "0" .* from 1 to/],
      [{}, { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "0" }, {}, /^OTEL_BSP_MAX_EXPORT_BATCH_SIZE is "0"/],
      [
        {},
        { OTEL_BSP_MAX_QUEUE_SIZE: "100", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "512" },
        { maxQueueSize: 100, maxExportBatchSize: 100 },
        /^maxExportBatchSize is 512, which is more than maxQueueSize; it is 100 \(maxQueueSize\) now$/,
      ],
      [
        { maxExportBatchSize: 256 },
        { OTEL_BSP_MAX_QUEUE_SIZE: "100" },
        { maxExportBatchSize: 256 },
        /^OTEL_BSP_MAX_QUEUE_SIZE is "100" .* from 256 to \d+; maxQueueSize is 65536$/,
      ],
    ],
  )("%o with %o", ([user, env, limits, warning]) => {
    const resolved = resolveProcessorOptions(user, env);
    expect(resolved.limits).toEqual({ ...standard, ...limits });
    expect(resolved.warnings).toHaveLength(1);
    expect(resolved.warnings[0]).toMatch(warning);
  });

  test("an invalid variable is reported once, at construction", () => {
    vi.stubEnv("OTEL_BSP_SCHEDULE_DELAY", "soon");
    const processor = new CrashSafeSpanProcessor(new ScriptedExporter(), {}, { clock: new HandClock() });
    const tracer = tracerInto(processor);
    for (let n = 0; n < 1_000; n++) tracer.startSpan(`span ${n}`).end();
    expect(reported).toHaveLength(1);
    expect(reported[0]).toMatch(/^CrashSafeSpanProcessor: OTEL_BSP_SCHEDULE_DELAY is "soon" and is ignored/);
  });
});

describe("an option with an invalid value is an error", () => {
  const wrong = (user: unknown) => user as CrashSafeSpanProcessorOptions;
  test.for<[user: CrashSafeSpanProcessorOptions, message: string]>([
    [
      { scheduledDelayMillis: -1 },
      "CrashSafeSpanProcessor: scheduledDelayMillis is -1, and must be an integer from 0",
    ],
    [{ maxQueueSize: 0 }, "maxQueueSize is 0, and must be an integer from 1"],
    [
      { scheduledDelayMillis: 10, scheduleDelayMillis: 11 },
      "scheduleDelayMillis is 11, and must be equal to scheduledDelayMillis (10): both are names of one option",
    ],
    [{ scheduleDelayMillis: -1 }, "scheduledDelayMillis is -1"],
    [{ maxExportBatchSize: 0 }, "maxExportBatchSize is 0, and must be an integer from 1"],
    [{ exportTimeoutMillis: 0 }, "exportTimeoutMillis is 0, and must be an integer from 1 to 2147483647"],
    [wrong({ maxQueueSize: "9" }), 'maxQueueSize is "9"'],
    [wrong({ maxExportBatchSize: Symbol("9") }), "maxExportBatchSize is Symbol(9)"],
    [wrong({ scheduledDelayMillis: null }), "scheduledDelayMillis is null"],
  ])("%o", ([user, message]) => {
    const env = { OTEL_BSP_SCHEDULE_DELAY: "1", OTEL_BSP_EXPORT_TIMEOUT: "1" };
    expect(() => resolveProcessorOptions(user, env)).toThrow(message);
    expect(() => resolveProcessorOptions(user, env)).toThrow(CrashSafeFileError);
  });
});
