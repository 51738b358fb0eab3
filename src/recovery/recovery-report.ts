/**
 * What a recovery has to say.
 */
import type { SessionStatus } from "../format/trace-file.js";

/** What recovery found and did for one session. */
export interface RecoveredSession {
  /** The raw session id, as far as it is known. */
  readonly id: string;
  /** The document. */
  readonly path: string;
  /** `rebuilt`: a new document was written; `committed`: a finished one only got its name; `swept`: nothing was missing. */
  readonly action: "rebuilt" | "committed" | "swept";
  readonly status: SessionStatus;
  /** Spans that the document lacked. */
  readonly recoveredSpans: number;
  /** Names of spans that were running. */
  readonly interrupted: readonly string[];
  /** Bytes of a record that was being written. */
  readonly tornBytes: number;
  /** Lines that were not spans; the file they stand in is kept as `keptAs`. */
  readonly corruptLines: number;
  readonly keptAs: readonly string[];
}

/** A session whose recovery failed; its files stay as they are. */
export interface RecoveryFailure {
  readonly path: string;
  readonly error: unknown;
}

/** What recovery did in a directory. */
export interface RecoveryReport {
  readonly sessions: readonly RecoveredSession[];
  readonly failures: readonly RecoveryFailure[];
  /** Sessions that have a living writer, and were left alone. */
  readonly running: number;
}
