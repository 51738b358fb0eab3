/**
 * What the exporter has done, in numbers: for `stats()` and for the metrics.
 */
import type { MeterProvider } from "@opentelemetry/api";
import type { DirectoryUser } from "../directory/shared-directory.js";
import { ComponentMetrics } from "../otel/metrics.js";
import type { Clock } from "../platform/clock.js";
import { type FaultLog, type LossReason, lossType } from "./fault-log.js";

/**
 * What an exporter has done since it was made. The last four members are those of its directory, which exporters of one
 * process share.
 */
export interface FileExporterStats {
  /** Spans in a file: they survive the process. Metric `otel.sdk.exporter.span.exported`. */
  readonly exported: number;
  /** Spans that wait in memory because writing to the disk fails. Metric `otel.sdk.exporter.span.inflight`. */
  readonly inflight: number;
  /** `exported` and `inflight` together. */
  readonly recorded: number;
  /** Spans that are in no file: they came after an end, could not be read, or did not fit into the retry queue. */
  readonly dropped: number;
  /**
   * Starts of spans that did not fit into the retry queue. Such a span is lost if the process crashes before the span
   * ends. Not counted in `dropped`, because the end of the span may be recorded.
   */
  readonly droppedStarts: number;
  /** `dropped`, by the `error.type` of `otel.sdk.exporter.span.exported`. */
  readonly lostBy: Readonly<Record<string, number>>;
  /** Calls of the file system that failed. Not a number of spans: a failed call loses nothing. */
  readonly faults: number;
  /** Batches, and spans from a live processor: the count of `otel.sdk.exporter.operation.duration`. */
  readonly operations: number;
  /** Milliseconds that all operations took on the thread of the caller. */
  readonly operationMillis: number;
  /** Sessions that are open, or whose final document is not written yet. */
  readonly openSessions: number;
  /** Bytes that wait in memory because writing to the disk fails. At most 32 MB per file, and 64 MB of all. */
  readonly queuedBytes: number;
  /** Bytes written to any file of the directory. */
  readonly writtenBytes: number;
  /** Documents that were written or replaced. */
  readonly publishedDocuments: number;
  /** Sessions of dead processes that were recovered. */
  readonly recoveredSessions: number;
  /**
   * What the file system of the directory refuses, as far as it was used: what is refused (`sync`, `directorySync`,
   * `hardLinks`, `stableInodes`, `openFiles`, `nameCharacters`) to the code of the error. What each costs is in docs/ground.md.
   */
  readonly refused: Readonly<Record<string, string>>;
}

/** @internal Counts what one exporter does. */
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

  /** Counts a span as recorded, or as lost. */
  span(lost: LossReason | undefined): void {
    if (lost === undefined) this.#recorded++;
    else this.#log.drop(lost);
  }

  /** Spans that were recorded turn out to be in no document. */
  lose(reason: LossReason, spans: number): void {
    this.#recorded -= spans;
    this.#log.drop(reason, spans);
  }

  /** Recorded spans that are in no file, because writing to the disk fails. */
  get waiting(): number {
    return Math.min(this.#countExported().inflight, this.#directory.counts().queuedLines);
  }

  /** Begins an operation; returns its time for {@link end}. */
  begin(): number {
    return this.#clock.monotonic();
  }

  /** Ends an operation. */
  end(begun: number, lost: LossReason | undefined): void {
    const millis = this.#clock.monotonic() - begun;
    this.#operations++;
    this.#operationMillis += millis;
    this.#metrics.record(millis, lost && lossType(lost));
  }

  stats(): FileExporterStats {
    const { queuedLines: _, undecidedSpans: _undecided, ...counts } = this.#directory.counts();
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

  /** The exporter has ended. The counters stay. */
  close(): void {
    this.#metrics.stop();
  }

  /** Queued lines, and spans that may be dropped, are not exported yet. The count never falls, although lines of another exporter may queue up. */
  #countExported(): { exported: number; inflight: number } {
    const { queuedLines, undecidedSpans } = this.#directory.counts();
    this.#exported = Math.max(this.#exported, this.#recorded - queuedLines - undecidedSpans);
    return { exported: this.#exported, inflight: this.#recorded - this.#exported };
  }
}
