/**
 * Removing what dead owners left half built: copies that never got a name, claims on a lock. Nothing in them is
 * needed: all lines stand in open documents. And markers of documents that somebody removed.
 */

import { documentPath, parseEntry } from "../format/file-names.js";
import { tryUnlink } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { isGone } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { SessionLock } from "../storage/lock.js";

/** Sweeps a directory. Only owners that are provably dead lose anything; but a claim goes when it is an hour old. */
export function* sweepDead({ liveness, clock, fileSystem }: CommitPorts, dir: string): Gensync<void> {
  const { sync: calls } = fileSystem;
  for (const fileName of yield* io.readdir(dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "replayed" && !(yield* io.exists(documentPath({ dir, name: entry.name }))))
      tryUnlink(calls, path);
    if (entry.type === "temp" && isGone(liveness, entry.token)) tryUnlink(calls, path);
    if (entry.type === "lock") new SessionLock(calls, { dir, name: entry.name }).sweep(liveness, clock.now());
  }
}
