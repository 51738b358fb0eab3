/**
 * Options of the span processor: those of the program over the environment over the defaults.
 */
import type { MeterProvider } from "@opentelemetry/api";
import { meterProvider } from "../otel/metrics.js";
import { type Environment, numberIn, variableOf } from "../platform/environment.js";
import { invalidOption, shownValue } from "../platform/errors.js";
import { checked, integer, longestTimerMillis, rejectUnknownOptions } from "../platform/options.js";
import type { BatchLimits } from "./batch-queue.js";

/**
 * Options of `CrashSafeSpanProcessor`. In front of a live exporter only the timeout and the meter provider have an
 * effect. In front of any other exporter the variables `OTEL_BSP_*` set what the program does not give.
 */
export interface CrashSafeSpanProcessorOptions {
  /** Longest time from the end of a span to the export of its batch, in milliseconds. 0 or more; default 1000. */
  readonly scheduledDelayMillis?: number | undefined;
  /** Another name of `scheduledDelayMillis`, which is the name in the SDK. */
  readonly scheduleDelayMillis?: number | undefined;
  /** Number of spans that may wait beside the batch that is exported; more are dropped and counted. Default 65536. */
  readonly maxQueueSize?: number | undefined;
  /**
   * Number of spans in one batch; so many waiting spans are exported at once. Default 512. A number above `maxQueueSize`
   * is logged, and is `maxQueueSize` then.
   */
  readonly maxExportBatchSize?: number | undefined;
  /** Milliseconds for one `export()`, for one flush, and for the shutdown of the exporter. Default 30000. */
  readonly exportTimeoutMillis?: number | undefined;
  /** Receives the metrics of this processor (semantic conventions, "OTel SDK metrics"). Default: none are recorded. */
  readonly selfObsMeterProvider?: MeterProvider | undefined;
}

/** @internal Options with their defaults, and a message for each value that is not used as it was given. */
export interface ResolvedProcessorOptions {
  readonly limits: BatchLimits;
  readonly warnings: readonly string[];
  readonly meterProvider: MeterProvider | undefined;
}

const component = "CrashSafeSpanProcessor";

type Name = keyof BatchLimits;

/** The defaults, and the variables that batch processors read (OpenTelemetry specification, "Environment variables"). */
const options: Readonly<Record<Name, { readonly default: number; readonly variable: string }>> = {
  scheduledDelayMillis: { default: 1000, variable: "OTEL_BSP_SCHEDULE_DELAY" },
  maxQueueSize: { default: 65_536, variable: "OTEL_BSP_MAX_QUEUE_SIZE" },
  maxExportBatchSize: { default: 512, variable: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" },
  exportTimeoutMillis: { default: 30_000, variable: "OTEL_BSP_EXPORT_TIMEOUT" },
};

const names: readonly (keyof CrashSafeSpanProcessorOptions)[] = [
  ...(Object.keys(options) as Name[]),
  "scheduleDelayMillis",
  "selfObsMeterProvider",
];

/**
 * The delay, under either of its names.
 *
 * @throws CrashSafeFileError `INVALID_OPTION` when both names are given, with different values
 */
function delayOf({ scheduledDelayMillis, scheduleDelayMillis }: CrashSafeSpanProcessorOptions): unknown {
  if (scheduledDelayMillis === undefined) return scheduleDelayMillis;
  if (scheduleDelayMillis === undefined || scheduleDelayMillis === scheduledDelayMillis)
    return scheduledDelayMillis;
  throw invalidOption(
    component,
    "scheduleDelayMillis",
    scheduleDelayMillis,
    `equal to scheduledDelayMillis (${shownValue(scheduledDelayMillis)}): both are names of one option`,
  );
}

/** What the values of one option are, given the other options. */
interface Range {
  readonly least: number;
  readonly most: number;
  /** Instead of the one in the table. */
  readonly default?: number;
}

/**
 * @internal The options of the program over the environment over the defaults. A live exporter gets no batches: its
 * processor passes an empty `env`.
 *
 * An invalid option is an error. An invalid variable is ignored and logged: the variable belongs to all batch processors
 * of the process, and the specification asks for it.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option, its value and what is allowed
 */
export function resolveProcessorOptions(
  given: CrashSafeSpanProcessorOptions | null,
  env: Environment = {},
): ResolvedProcessorOptions {
  rejectUnknownOptions(component, given, names);
  const user = given ?? {};
  const warnings: string[] = [];

  const resolve = (name: Name, range: Range): number => {
    const check = integer(range.least, range.most);
    const own: unknown = name === "scheduledDelayMillis" ? delayOf(user) : user[name];
    if (own !== undefined) return checked(component, name, own, check);
    const { variable } = options[name];
    const standard = range.default ?? options[name].default;
    const text = variableOf(env, variable);
    if (text === undefined) return standard;
    const value = numberIn(text);
    // Timeouts of 0 have no end (specification, "Timeout").
    if (name === "exportTimeoutMillis" && value === 0) return range.most;
    if (check.accepts(value)) return value;
    warnings.push(
      `${variable} is ${shownValue(text)} and is ignored: it must be ${check.allowed}; ${name} is ${standard}`,
    );
    return standard;
  };

  const scheduledDelayMillis = resolve("scheduledDelayMillis", { least: 0, most: longestTimerMillis });
  // A variable makes no option invalid: where the program gives only the batch, the queue must have room for it.
  const batch = user.maxQueueSize === undefined ? user.maxExportBatchSize : undefined;
  const maxQueueSize = resolve("maxQueueSize", {
    least: typeof batch === "number" && batch >= 1 ? batch : 1,
    most: Number.MAX_SAFE_INTEGER,
  });
  const wanted = resolve("maxExportBatchSize", {
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
    default: Math.min(options.maxExportBatchSize.default, maxQueueSize),
  });
  // As in the SDK: a batch that is never full would wait for its delay each time.
  const maxExportBatchSize = Math.min(wanted, maxQueueSize);
  if (wanted > maxQueueSize)
    warnings.push(
      `maxExportBatchSize is ${wanted}, which is more than maxQueueSize; it is ${maxQueueSize} (maxQueueSize) now`,
    );
  const exportTimeoutMillis = resolve("exportTimeoutMillis", { least: 1, most: longestTimerMillis });
  return {
    limits: { scheduledDelayMillis, maxQueueSize, maxExportBatchSize, exportTimeoutMillis },
    warnings,
    meterProvider: checked(component, "selfObsMeterProvider", user.selfObsMeterProvider, meterProvider),
  };
}
