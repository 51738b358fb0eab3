/**
 * Removes leftovers of dead processes that hold no spans: unfinished copies, claims on a lock, and replay checkpoints of
 * documents that were removed. All lines of an unfinished copy are in append logs and documents.
 */

import { documentPath, parseEntry } from "../format/file-names.js";
import { tryUnlink } from "../platform/file-system.js";
import { isDead } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { SessionLock } from "../storage/lock.js";

/** Sweeps a directory. Removes files of certainly dead owners only, except a claim that is an hour old. */
export async function sweepDead({ liveness, clock, fileSystem }: CommitPorts, dir: string): Promise<void> {
  const { sync: calls, async: later } = fileSystem;
  for (const fileName of await later.readdir(dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "replayed" && !(await later.exists(documentPath({ dir, name: entry.name }))))
      tryUnlink(calls, path);
    if (entry.type === "temp" && isDead(liveness, entry.token)) tryUnlink(calls, path);
    if (entry.type === "lock") new SessionLock(calls, { dir, name: entry.name }).sweep(liveness, clock.now());
  }
}
