/**
 * How an entry ends: closed to spans at once, then its final document is written, in the background or before a call
 * returns. The directory decides which entries end (`trace-directory.ts`).
 */

import type { SessionEnd } from "../format/session-end.js";
import { tryUnlink } from "../platform/file-system.js";
import { OperationCancelled, runAsync, runSync } from "../platform/gensync.js";
import { recreateIfRemoved } from "../storage/merge.js";
import { seal } from "../storage/seal.js";
import type { SessionEntry } from "./sessions.js";

/**
 * Closes an open entry to spans, at once: a span that starts while the final document waits for its turn belongs to
 * what follows, and must not be closed by this end. Returns the open spans as their processors know them; `undefined`
 * when the entry was not open.
 */
export function beginEnd(entry: SessionEntry, end: SessionEnd): readonly object[] | undefined {
  const { writer } = entry;
  if (!writer.life.end()) return undefined;
  entry.endAs(end);
  return writer.session.openSpans.sources();
}

/** Cancels all work that is under way for an entry: no copy of it can commit any more. */
export function cancelWork(entry: SessionEntry): void {
  const { writer } = entry;
  writer.cancelWork();
  entry.publisher.cancel();
  // The names stay known: a copy that is created only now is removed by the operation that asked for it.
  for (const path of writer.temps) tryUnlink(writer.ports.fileSystem.sync, path);
}

/** Writes the final document. Returns whether it is written: not when another end overtook this one. */
export async function finalize({ writer, end }: SessionEntry): Promise<boolean> {
  if (!end) return false;
  const { epoch, ports } = writer;
  recreateIfRemoved(writer);
  try {
    await runAsync(ports.fileSystem, seal(writer, end), () => writer.epoch !== epoch);
    return writer.epoch === epoch;
  } catch (error) {
    if (error instanceof OperationCancelled) return false;
    throw error;
  }
}

/**
 * Like {@link finalize}, before it returns. Throws when the file system refuses: then the side files stay. `isAlone`: as
 * for `seal`.
 */
export function finalizeNow({ writer, end }: SessionEntry, isAlone = false): boolean {
  if (!end) return false;
  recreateIfRemoved(writer);
  return runSync(writer.ports.fileSystem, seal(writer, end, isAlone));
}
