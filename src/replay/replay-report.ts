/** What a replay has to say. */

/** A session whose document was sent to its end. */
export interface ReplayedTrace {
  /** The raw session id, where the document has it. */
  readonly id: string | undefined;
  /** The document. */
  readonly path: string;
  /** Spans that this call sent, the roots of turns included; 0 where only the mark was missing. */
  readonly spans: number;
}

/** A session that was not sent, or not to its end; the next replay goes on there. */
export interface ReplayFailure {
  readonly path: string;
  /** Spans that this call sent before. */
  readonly spans: number;
  /** A `CrashSafeFileError` `EXPORT_FAILED` or `EXPORT_TIMEOUT`, or what the file system has against it. */
  readonly error: unknown;
}

/** What a replay did in a directory. */
export interface ReplayReport {
  readonly sessions: readonly ReplayedTrace[];
  readonly failures: readonly ReplayFailure[];
  /** Sessions that were sent to their end before. */
  readonly settled: number;
  /** Sessions that have a living writer, and were left alone. */
  readonly running: number;
}
