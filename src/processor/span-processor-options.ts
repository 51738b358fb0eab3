/**
 * Options of the span processor: the program's, the environment's and the defaults, in one place.
 */
import type { MeterProvider } from "@opentelemetry/api";
import { meterProviderOrNone } from "../otel/metrics.js";
import { type Environment, numberIn, variableOf } from "../platform/environment.js";
import { invalidOption, shownValue } from "../platform/errors.js";
import type { BatchLimits } from "./batch-queue.js";

/**
 * Options of `CrashSafeSpanProcessor`. They do not concern a live exporter, apart from the timeout and the meter. With any other, the
 * variables `OTEL_BSP_*` count where the program gives nothing.
 */
export interface CrashSafeSpanProcessorOptions {
  /** Milliseconds, at most, from the end of a span to the export of its batch. 0 or more; default 1000. */
  readonly scheduleDelayMillis?: number | undefined;
  /** Spans that may wait; beyond it, new ones are dropped and counted. Default 65536. */
  readonly maxQueueSize?: number | undefined;
  /** Spans in one batch; as many waiting are exported at once. At most `maxQueueSize`. Default 512. */
  readonly maxExportBatchSize?: number | undefined;
  /** Milliseconds for one `export()`, for one flush, and for the exporter's shutdown. Default 30000. */
  readonly exportTimeoutMillis?: number | undefined;
  /** Gets the metrics of this processor (semantic conventions, "OTel SDK metrics"). Default: none are recorded. */
  readonly selfObsMeterProvider?: MeterProvider | undefined;
}

/** @internal Options with their defaults, and what is to be told of variables that were left out. */
export interface ResolvedProcessorOptions {
  readonly limits: BatchLimits;
  readonly ignored: readonly string[];
  readonly meterProvider: MeterProvider | undefined;
}

const defaults: BatchLimits = Object.freeze({
  scheduleDelayMillis: 1000,
  maxQueueSize: 65_536,
  maxExportBatchSize: 512,
  exportTimeoutMillis: 30_000,
});

const who = "CrashSafeSpanProcessor";

type Name = keyof BatchLimits;

/** Batch processors read these (OpenTelemetry specification, "Environment variables"). */
const variables: Readonly<Record<Name, string>> = {
  scheduleDelayMillis: "OTEL_BSP_SCHEDULE_DELAY",
  maxQueueSize: "OTEL_BSP_MAX_QUEUE_SIZE",
  maxExportBatchSize: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
  exportTimeoutMillis: "OTEL_BSP_EXPORT_TIMEOUT",
};

/** Beyond this Node's timers fire after 1 ms. */
const longestTimerMillis = 2 ** 31 - 1;

/**
 * @internal The program's options over the environment's over the defaults. A live exporter has no batches: its processor is
 * given an empty `env`.
 *
 * An option that cannot work is an error. A variable is ignored instead, and told: it is not ours, all batch
 * processors of the process read it, and the specification says so.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option, its value and what is allowed.
 */
export function resolveProcessorOptions(
  user: CrashSafeSpanProcessorOptions,
  env: Environment = {},
): ResolvedProcessorOptions {
  const ignored: string[] = [];

  const resolve = (name: Name, least: number, most: number, standard: number, mostIs = ""): number => {
    const allowed = `an integer from ${least} to ${most}${mostIs}`;
    const isAllowed = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
    const given: unknown = user[name];
    if (given !== undefined) {
      if (isAllowed(given)) return given;
      throw invalidOption(who, name, given, allowed);
    }
    const variable = variables[name];
    const text = variableOf(env, variable);
    if (text === undefined) return standard;
    const value = numberIn(text);
    // Timeouts of 0 have no end (specification, "Timeout").
    if (name === "exportTimeoutMillis" && value === 0) return most;
    if (isAllowed(value)) return value;
    ignored.push(
      `${variable} is ${shownValue(text)} and is ignored: it must be ${allowed}; ${name} is ${standard}`,
    );
    return standard;
  };

  const scheduleDelayMillis = resolve(
    "scheduleDelayMillis",
    0,
    longestTimerMillis,
    defaults.scheduleDelayMillis,
  );
  // A variable makes no option wrong: where only the batch is the program's, the queue must have room for it.
  const batch = user.maxQueueSize === undefined ? user.maxExportBatchSize : undefined;
  const leastQueue = typeof batch === "number" && batch >= 1 ? batch : 1;
  const maxQueueSize = resolve("maxQueueSize", leastQueue, Number.MAX_SAFE_INTEGER, defaults.maxQueueSize);
  const standardBatch = Math.min(defaults.maxExportBatchSize, maxQueueSize);
  const maxExportBatchSize = resolve("maxExportBatchSize", 1, maxQueueSize, standardBatch, " (maxQueueSize)");
  const exportTimeoutMillis = resolve(
    "exportTimeoutMillis",
    1,
    longestTimerMillis,
    defaults.exportTimeoutMillis,
  );
  return {
    limits: { scheduleDelayMillis, maxQueueSize, maxExportBatchSize, exportTimeoutMillis },
    ignored,
    meterProvider: meterProviderOrNone(who, user.selfObsMeterProvider),
  };
}
