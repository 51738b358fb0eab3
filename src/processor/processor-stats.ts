/**
 * What the processor has done, in numbers: for `stats()`, for the metrics, and for the log of lost spans.
 */
import type { MeterProvider } from "@opentelemetry/api";
import { type Diagnostics, errorTypeOf, LossAccount, type LossReason } from "../otel/diagnostics.js";
import { ComponentMetrics } from "../otel/metrics.js";
import type { Clock } from "../platform/clock.js";
import { type CrashSafeFileError, reasonOf } from "../platform/errors.js";

/**
 * Where the sampled, ended spans are. Every one is in exactly one of `queued`, `exporting`, `exported`,
 * `recorded`, `failed` and `dropped`.
 */
export interface SpanProcessorStats {
  /** Waiting to be exported. Metric `otel.sdk.processor.span.queue.size`. */
  readonly queued: number;
  /** Spans that may wait: `maxQueueSize`. 0 with a live exporter. Metric `otel.sdk.processor.span.queue.capacity`. */
  readonly queueCapacity: number;
  /** In the batch that left the queue and is about to be exported, or whose `export()` has not answered. */
  readonly exporting: number;
  /** In batches the exporter answered with success. Metric `otel.sdk.processor.span.processed`. */
  readonly exported: number;
  /** Passed at once to a {@link LiveSpanExporter}. In the same metric. */
  readonly recorded: number;
  /** In batches that failed or timed out, or refused by a live exporter. */
  readonly failed: number;
  /** Never passed to the exporter: the queue was full, or the processor had ended. */
  readonly dropped: number;
  /** The failed and the dropped spans by the `error.type` of `otel.sdk.processor.span.processed`. */
  readonly lostBy: Readonly<Record<string, number>>;
  /** Exceptions that were caught before they reached the application; not a number of spans. */
  readonly faults: number;
}

/** @internal Counts what becomes of the spans of one processor. No method throws. */
export class ProcessorAccount {
  readonly #diagnostics: Diagnostics;
  readonly #losses: LossAccount;
  #recorded = 0;

  /** `windowMillis`: after this time the spans are counted that followed the first lost one. */
  constructor(diagnostics: Diagnostics, clock: Clock, windowMillis: number) {
    this.#diagnostics = diagnostics;
    this.#losses = new LossAccount(diagnostics, clock, windowMillis);
  }

  get counters(): Pick<SpanProcessorStats, "recorded" | "failed" | "dropped" | "lostBy" | "faults"> {
    const { failed, dropped, lostBy, faults } = this.#losses;
    return { recorded: this.#recorded, failed, dropped, lostBy, faults };
  }

  /** A live exporter has accepted a span. */
  recorded(): void {
    this.#recorded++;
  }

  /** A batch is lost. Only the exporter knows whether a failure is worth a retry, so the processor never retries. */
  batchFailed(spans: number, error: CrashSafeFileError): void {
    const why = `${reasonOf(error)}. This processor does not send them again; check whether the backend of the exporter answers`;
    this.#losses.fail(spans, { type: failureType(error), why }, error.cause);
  }

  /** Spans do not reach the exporter. */
  drop(spans: number, reason: LossReason): void {
    this.#losses.drop(spans, reason);
  }

  /** Code of the exporter or of the host threw. Only the first fault of a kind is logged: a bad span may repeat. */
  fault(where: string, error: unknown, spansLost = 0): void {
    if (spansLost > 0) this.#losses.countFailed(spansLost, errorTypeOf(error));
    this.#losses.fault(where, {
      first: () =>
        this.#diagnostics.log(
          "error",
          `${where} threw; further faults of this kind are only counted (stats().faults). Check the code that the stack names`,
          error,
        ),
    });
  }

  /** Logs the drops that were only counted so far. */
  reportDrops(): void {
    this.#losses.reportDrops();
  }

  /** The processor has ended: logs every loss that was only counted so far. */
  end(): void {
    this.#losses.end();
  }
}

/** The `error.type` of a failed batch: a timeout, or the name of the exporter's error. */
function failureType({ code, cause }: CrashSafeFileError): string {
  if (code === "EXPORT_TIMEOUT") return "timeout";
  return cause instanceof Error ? errorTypeOf(cause) : "export_failed";
}

/** @internal Metrics of a processor; one with a live exporter has no queue. */
export function processorMetrics(
  provider: MeterProvider | undefined,
  stats: () => SpanProcessorStats,
  onFault: (error: unknown) => void,
): ComponentMetrics {
  const metrics = new ComponentMetrics("CrashSafeSpanProcessor", provider, onFault);
  metrics.counter(
    "otel.sdk.processor.span.processed",
    "The number of spans for which the processing has finished, either successful or failed.",
    () => {
      const { exported, recorded, lostBy } = stats();
      return { done: exported + recorded, lostBy };
    },
  );
  if (stats().queueCapacity === 0) return metrics;
  metrics.state(
    "otel.sdk.processor.span.queue.size",
    "The number of spans in the queue of a given instance of an SDK span processor.",
    () => stats().queued,
    0,
  );
  metrics.state(
    "otel.sdk.processor.span.queue.capacity",
    "The maximum number of spans the queue of a given instance of an SDK span processor can hold.",
    () => stats().queueCapacity,
    0,
  );
  return metrics;
}
