/**
 * What a user may set on the span processor, merged with the defaults and checked.
 */
import type { PumpLimits } from "./export-pump.js";
import { CrashSafeFileError } from "./trace-error.js";

/** Options of `CrashSafeSpanProcessor`. They do not concern a live exporter, apart from the timeout. */
export interface CrashSafeSpanProcessorOptions {
  /** Milliseconds, at most, from the end of a span to the export of its batch. 0 or more; default 1000. */
  readonly scheduleDelayMillis?: number | undefined;
  /** Spans that may wait; beyond it, new ones are dropped and counted. Default 65536. */
  readonly maxQueueSize?: number | undefined;
  /** Spans in one batch; as many waiting are exported at once. At most `maxQueueSize`. Default 512. */
  readonly maxExportBatchSize?: number | undefined;
  /** Milliseconds for one `export()`, for one flush, and for the exporter's shutdown. Default 30000. */
  readonly exportTimeoutMillis?: number | undefined;
}

const defaults: PumpLimits = Object.freeze({
  scheduleDelayMillis: 1000,
  maxQueueSize: 65_536,
  maxExportBatchSize: 512,
  exportTimeoutMillis: 30_000,
});

/** Beyond this Node's timers fire after 1 ms. */
const longestTimerMillis = 2 ** 31 - 1;

/**
 * The user's options over the defaults.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option, its value and what is allowed.
 */
export function resolveProcessorOptions(user: CrashSafeSpanProcessorOptions): PumpLimits {
  const {
    scheduleDelayMillis = defaults.scheduleDelayMillis,
    maxQueueSize = defaults.maxQueueSize,
    maxExportBatchSize = Math.min(defaults.maxExportBatchSize, maxQueueSize),
    exportTimeoutMillis = defaults.exportTimeoutMillis,
  } = user;
  checkInteger("scheduleDelayMillis", scheduleDelayMillis, 0, longestTimerMillis);
  checkInteger("maxQueueSize", maxQueueSize, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("maxExportBatchSize", maxExportBatchSize, 1, maxQueueSize, " (maxQueueSize)");
  checkInteger("exportTimeoutMillis", exportTimeoutMillis, 1, longestTimerMillis);
  return { scheduleDelayMillis, maxQueueSize, maxExportBatchSize, exportTimeoutMillis };
}

function checkInteger(option: string, value: unknown, least: number, most: number, mostIs = ""): void {
  if (Number.isInteger(value) && Number(value) >= least && Number(value) <= most) return;
  throw new CrashSafeFileError(
    "INVALID_OPTION",
    `${option} is ${String(value)}; it must be an integer from ${least} to ${most}${mostIs}`,
  );
}
