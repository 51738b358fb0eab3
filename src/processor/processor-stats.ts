/**
 * What the processor has done, in numbers: for `stats()` and for the metrics.
 */
import type { MeterProvider } from "@opentelemetry/api";
import { ComponentMetrics } from "../otel/metrics.js";

/**
 * Where the sampled, ended spans are. Every one is in exactly one of `queued`, `exporting`, `exported`,
 * `recorded`, `failed` and `dropped`.
 */
export interface SpanProcessorStats {
  /** Waiting to be exported. Metric `otel.sdk.processor.span.queue.size`. */
  readonly queued: number;
  /** Spans that may wait: `maxQueueSize`. 0 with a live exporter. Metric `otel.sdk.processor.span.queue.capacity`. */
  readonly queueCapacity: number;
  /** In the `export()` call that has not answered. */
  readonly exporting: number;
  /** In batches the exporter answered with success. Metric `otel.sdk.processor.span.processed`. */
  readonly exported: number;
  /** Taken at once by a {@link LiveSpanExporter}. In the same metric. */
  readonly recorded: number;
  /** In batches that failed or timed out, or refused by a live exporter. */
  readonly failed: number;
  /** Never shown to the exporter: the queue was full, or the processor had ended. */
  readonly dropped: number;
  /** The failed and the dropped, by the `error.type` of `otel.sdk.processor.span.processed`. */
  readonly lostBy: Readonly<Record<string, number>>;
  /** Exceptions caught where they would have reached the application; not a number of spans. */
  readonly faults: number;
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
