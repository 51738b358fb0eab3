/**
 * What the exporter has done, in numbers: for `stats()` and for the metrics.
 */
import type { MeterProvider } from "@opentelemetry/api";
import type { DirectoryUser } from "../directory/shared-directory.js";
import { ComponentMetrics } from "../otel/metrics.js";
import type { Clock } from "../platform/clock.js";
import { type FaultLog, type LossReason, lossType } from "./fault-log.js";

/**
 * What an exporter has done since it was made. The last four are of its directory: exporters of one process that
 * share it have them in common.
 */
export interface FileExporterStats {
  /** Spans in a file: they survive the process. Metric `otel.sdk.exporter.span.exported`. */
  readonly exported: number;
  /** Spans that wait in memory for a disk that takes nothing. Metric `otel.sdk.exporter.span.inflight`. */
  readonly inflight: number;
  /** Both together. */
  readonly recorded: number;
  /** Spans that came after the end, could not be read, or for which there was no room. */
  readonly dropped: number;
  /**
   * Starts of spans for which there was no room: such a span is lost if the process crashes before the span ends. Not
   * counted in `dropped`, since the ends of the spans may be recorded.
   */
  readonly droppedStarts: number;
  /** `dropped`, by the `error.type` of `otel.sdk.exporter.span.exported`. */
  readonly lostBy: Readonly<Record<string, number>>;
  /** File-system calls that failed. Not a number of spans, and nothing is lost by one. */
  readonly faults: number;
  /** Batches, and spans that a live processor handed over: what `otel.sdk.exporter.operation.duration` counts. */
  readonly operations: number;
  /** Milliseconds that they took on the caller's thread, all together. */
  readonly operationMillis: number;
  /** Sessions that are open, or wait for the disk to be ended. */
  readonly openSessions: number;
  /** Bytes that wait in memory: records of spans, and of what is open. At most 32 MB per file. */
  readonly queuedBytes: number;
  /** Bytes written to any file of the directory. */
  readonly writtenBytes: number;
  /** Documents that were written or replaced. */
  readonly publishedDocuments: number;
  /** Sessions of dead processes that were finished. */
  readonly recoveredSessions: number;
}

/** @internal Counts them. */
export class ExporterAccount {
  readonly #clock: Clock;
  readonly #log: FaultLog;
  readonly #metrics: ComponentMetrics;
  readonly #directory: DirectoryUser;
  #recorded = 0;
  #exported = 0;
  #operations = 0;
  #operationMillis = 0;

  constructor(directory: DirectoryUser, clock: Clock, log: FaultLog, provider: MeterProvider | undefined) {
    this.#directory = directory;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = new ComponentMetrics("CrashSafeFileSpanExporter", provider, (error) =>
      log.metrics(error),
    );
    this.#metrics.counter(
      "otel.sdk.exporter.span.exported",
      "The number of spans for which the export has finished, either successful or failed.",
      () => ({ done: this.#countExported().exported, lostBy: log.lostBy }),
    );
    this.#metrics.state(
      "otel.sdk.exporter.span.inflight",
      "The number of spans which were passed to the exporter, but that have not been exported yet (neither successful, nor failed).",
      () => this.#countExported().inflight,
    );
    this.#metrics.durations(
      "otel.sdk.exporter.operation.duration",
      "The duration of exporting a batch of telemetry records.",
    );
  }

  /** One span is recorded, or lost. */
  span(lost: LossReason | undefined): void {
    if (lost === undefined) this.#recorded++;
    else this.#log.drop(lost);
  }

  /** An operation begins. */
  begin(): number {
    return this.#clock.monotonic();
  }

  /** It is over. */
  end(begun: number, lost: LossReason | undefined): void {
    const millis = this.#clock.monotonic() - begun;
    this.#operations++;
    this.#operationMillis += millis;
    this.#metrics.record(millis, lost && lossType(lost));
  }

  stats(): FileExporterStats {
    const { queuedLines: _, ...counts } = this.#directory.counts();
    return {
      ...this.#countExported(),
      recorded: this.#recorded,
      dropped: this.#log.dropped,
      droppedStarts: this.#log.droppedStarts,
      lostBy: this.#log.lostBy,
      faults: this.#log.faults,
      operations: this.#operations,
      operationMillis: this.#operationMillis,
      ...counts,
    };
  }

  /** The exporter has ended; what is counted stays. */
  close(): void {
    this.#metrics.stop();
  }

  /** Queued lines are not written yet. Queued lines of another exporter never take back what was counted. */
  #countExported(): { exported: number; inflight: number } {
    this.#exported = Math.max(this.#exported, this.#recorded - this.#directory.counts().queuedLines);
    return { exported: this.#exported, inflight: this.#recorded - this.#exported };
  }
}
