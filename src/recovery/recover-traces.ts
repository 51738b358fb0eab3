/**
 * Recovery of a directory as a call, and its report.
 */

import { resolve } from "node:path";
import type { SessionStatus } from "../format/trace-file.js";
import { systemClock } from "../platform/clock.js";
import { unreadableDirectory } from "../platform/errors.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { Ground, onGround } from "../platform/ground.js";
import { SystemLiveness } from "../platform/liveness.js";
import { checked, isBoolean, rejectUnknownOptions } from "../platform/options.js";
import { mustBePath, type PathLike } from "../platform/paths.js";
import { recoverDirectory, untilRecovered } from "./recover-directory.js";

/** What recovery found and did for one session. */
export interface RecoveredSession {
  /** The raw session id, or the name of the document if no file has the id. */
  readonly id: string;
  /** The document. */
  readonly path: string;
  /**
   * `rebuilt`: a new document was written; `committed`: a finished document only got its name; `swept`: the document
   * was complete, and only leftover files were removed.
   */
  readonly action: "rebuilt" | "committed" | "swept";
  /** How the session ended. */
  readonly status: SessionStatus;
  /** Spans that the document lacked. */
  readonly recoveredSpans: number;
  /** Names of spans that were running. */
  readonly interrupted: readonly string[];
  /** Bytes of a record that was being written. */
  readonly tornBytes: number;
  /** Lines that are no spans; the file that contains them is kept as one of `keptAs`. */
  readonly corruptLines: number;
  /** Paths of corrupt files, which recovery keeps under these names. */
  readonly keptAs: readonly string[];
}

/** A session whose recovery failed; its files stay as they are. */
export interface RecoveryFailure {
  /** The document or side file. */
  readonly path: string;
  /** Why it could not be recovered. */
  readonly error: unknown;
}

/** What recovery did in a directory. */
export interface RecoveryReport {
  /** What was completed. */
  readonly sessions: readonly RecoveredSession[];
  /** What could not be, and why. */
  readonly failures: readonly RecoveryFailure[];
  /** Sessions with a living writer, which recovery leaves alone. */
  readonly running: number;
}

/**
 * Finishes the sessions of dead processes in a directory: each document gets every span that was recorded, and spans
 * that were running are marked as interrupted. Idempotent, and safe while other processes write: their sessions are left
 * alone. Waits for recoveries of other processes, such as that of a new exporter, for half a minute at most; sessions
 * that are still being recovered then count as `running`. A new exporter does the same in the background.
 *
 * @param dir directory of trace documents; in a missing directory there is nothing to recover
 * @param options `dryRun`: only reports what would be done
 * @throws CrashSafeFileError `INVALID_OPTION` for an option that is invalid or does not exist; `READ_FAILED` if the
 *   directory cannot be read; a session that fails is in `failures`
 */
export async function recoverTraces(
  dir: PathLike,
  options: { readonly dryRun?: boolean } = {},
): Promise<RecoveryReport> {
  rejectUnknownOptions("recoverTraces", options, ["dryRun"]);
  const dryRun = checked("recoverTraces", "dryRun", options?.dryRun ?? false, isBoolean);
  const directory = resolve(mustBePath("recoverTraces", "dir", dir));
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const fileSystem = onGround(nodeFileSystem, new Ground());
  const ports = { fileSystem, clock: systemClock, liveness, dryRun };
  try {
    return await recoverDirectory(ports, directory, untilRecovered);
  } catch (error) {
    throw unreadableDirectory(directory, error);
  }
}
