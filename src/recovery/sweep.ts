/**
 * Removes leftovers that hold no spans of their own: unfinished copies, claims on a lock, and replay checkpoints of
 * documents that were removed. The lines of an unfinished copy are in append logs and documents.
 */

import { documentPath, lockPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { tryUnlink } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { isDead } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { SessionLock } from "../storage/lock.js";
import { recognize } from "./own-documents.js";
import { lastWrite } from "./retention.js";

/**
 * A copy of an owner of unknown state is never built for longer than this. Copies of a living owner have no limit: a
 * machine that slept wakes up to copies that are hours old, and continues them.
 */
const staleMillis = 3_600_000;

/**
 * Sweeps a directory. Removes copies and claims of certainly dead owners, copies of owners of unknown state that are an
 * hour old, every claim that is an hour old, and empty locks of documents of ours that are an hour old.
 */
export function* sweep(ports: CommitPorts, dir: string): Gensync<void> {
  const { liveness, clock } = ports;
  const { sync: calls } = ports.fileSystem;
  for (const fileName of yield* io.readdir(dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "replayed" && !(yield* io.exists(documentPath({ dir, name: entry.name }))))
      tryUnlink(calls, path);
    if (entry.type === "temp") {
      const isLeftover =
        isDead(liveness, entry.token) ||
        (liveness.verdict(entry.token) === "unknown" &&
          (yield* isStaleCopy(ports, { dir, name: entry.name }, path)));
      if (isLeftover) tryUnlink(calls, path);
    }
    if (entry.type === "lock") {
      const lock = new SessionLock(calls, { dir, name: entry.name });
      lock.sweep(liveness, clock.now());
      if (yield* isStaleLock(ports, { dir, name: entry.name })) lock.leave();
    }
  }
}

/** Whether the lock of a document of ours was not touched for an hour: a lock that another program holds is renewed. */
function* isStaleLock({ fileSystem, clock }: CommitPorts, files: SessionFiles): Gensync<boolean> {
  const now = clock.now();
  const lock = yield* io.lstat(lockPath(files));
  if (!lock?.isDirectory || now - lastWrite(lock, now) <= staleMillis) return false;
  const document = yield* io.lstat(documentPath(files));
  return document?.isFile === true && (yield* recognize(fileSystem, files, document)).kind !== "foreign";
}

/** Whether a copy is old, and the document of its name, if there is one, is a document of ours. */
function* isStaleCopy(
  { fileSystem, clock }: CommitPorts,
  files: SessionFiles,
  path: string,
): Gensync<boolean> {
  const now = clock.now();
  const copy = yield* io.lstat(path);
  if (!copy?.isFile || now - lastWrite(copy, now) <= staleMillis) return false;
  const document = yield* io.lstat(documentPath(files));
  if (document === undefined) return true;
  return document.isFile && (yield* recognize(fileSystem, files, document)).kind !== "foreign";
}
