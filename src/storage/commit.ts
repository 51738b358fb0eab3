/**
 * The one way a document takes its name: under the session's lock, against the document it was built on, by a
 * rename.
 *
 * Committing renames the committer's claim on the lock (`lock.ts`) onto the document. Taking a claim away is therefore
 * always safe: if its owner was dead, it is gone, and if it was only stopped, its rename finds nothing and it
 * builds again. So claims of the dead are removed at once, and those of the living after `lockTimeoutMillis`.
 */

import { documentPath, type SessionFiles } from "../format/file-names.js";
import type { Clock } from "../platform/clock.js";
import {
  errorCode,
  type FileCalls,
  type FileStat,
  type FileSystem,
  noRegularFile,
  tryUnlink,
} from "../platform/file-system.js";
import { type Gensync, io, pause, runSync } from "../platform/gensync.js";
import { isHeld, isUnlinkable, locksOpenFiles } from "../platform/ground.js";
import type { IoCounters } from "../platform/io-counters.js";
import type { Liveness } from "../platform/liveness.js";
import { type Identity, isSameFile, isVersion } from "./identity.js";
import { type Entrance, SessionLock } from "./lock.js";

/** How long a commit waits for a claim whose owner is alive or stopped. A commit holds the lock for about 50 µs. */
const lockTimeoutMillis = 250;

/**
 * Attempts while another program holds the document (Windows: virus scanners, indexers, a viewer): with the waits between
 * them, some 250 ms.
 */
const heldAttempts = 9;

/** A commit to make. */
export interface CommitRequest extends Entrance {
  readonly files: SessionFiles;
  /** The document that the source was built against. */
  readonly base: Identity | undefined;
  /** A file whose owner a document gets that replaces none. Absent: the document belongs to this process. */
  readonly owner?: FileStat | undefined;
  /** Called in the same turn as the rename; `false` after a crash fence. */
  mayCommit(): boolean;
}

/**
 * - `committed`: the document has its name
 * - `superseded`: the document is not the base any more, or the claim was removed; to be built again
 * - `fenced`: `mayCommit` returned false
 * - `unlinkable`: this file system has no hard links; a copy must be moved instead
 */
export type CommitOutcome = "committed" | "superseded" | "fenced" | "unlinkable";

/** What a commit works with. */
export interface CommitPorts {
  readonly fileSystem: FileSystem;
  readonly liveness: Liveness;
  readonly clock: Clock;
  /** Counts committed documents. */
  readonly counters?: IoCounters;
}

/** Commits; waits for the claims of other writers. Throws when the file system refuses. */
export function* commit(ports: CommitPorts, request: CommitRequest): Gensync<CommitOutcome> {
  const deadline = ports.clock.monotonic() + lockTimeoutMillis;
  for (let attempt = 1; ; attempt++) {
    const outcome = tryCommit(ports, request, ports.clock.monotonic() >= deadline);
    if (outcome === "committed") ports.counters?.published();
    if (typeof outcome === "object") yield* waitForHolder(attempt, outcome.error, ports.fileSystem);
    else if (outcome !== "busy") return outcome;
    // Random waits: two writers that withdraw for each other do not meet again.
    else yield* pause(1 + Math.floor(Math.random() * 5));
  }
}

/** Waits after an attempt that another program's hold on the file has refused. Throws the error after the last attempt. */
function* waitForHolder(attempt: number, error: unknown, { ground }: FileSystem): Gensync<void> {
  if (attempt >= heldAttempts) {
    ground?.renameGivenUp();
    throw error;
  }
  yield* pause(Math.min(50, 2 ** attempt));
}

/** Replaces a file that is no document and needs no lock. */
export function* replaceFile(fileSystem: FileSystem, from: string, to: string): Gensync<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return yield* io.rename(from, to);
    } catch (error) {
      if (!isHeld(error)) throw error;
      yield* waitForHolder(attempt, error, fileSystem);
    }
  }
}

/** Another program holds the document. */
interface Held {
  readonly error: unknown;
}

/**
 * Gives a document that replaces none its name by link(2): the file system decides between two writers, and no lock is made.
 * In the turn of the link every claim of another writer is taken away: it may have seen before the link that there is no
 * document, and would replace this one. The source keeps its own name as well. In any other case this is {@link commit}.
 *
 * A trace without a session has 4 calls that change the directory instead of 7, a recovered session 4 instead of 6, and the
 * crash fence of a session without a document 3 instead of 6.
 */
export function* commitFirst(ports: CommitPorts, request: CommitRequest): Gensync<CommitOutcome> {
  const { fileSystem, counters } = ports;
  const { sync: calls, ground } = fileSystem;
  // Where an open file is locked, the copy could not be removed before it is closed.
  if (locksOpenFiles(fileSystem) || ground?.refuses("hardLinks") || ground?.refuses("stableInodes"))
    return yield* commit(ports, request);
  if (!request.mayCommit()) return "fenced";
  const path = documentPath(request.files);
  const own = calls.lstat(request.source);
  if (own?.isFile === false) throw noRegularFile(request.source);
  try {
    if (own) keepOwner(calls, request.source, own, request.owner);
    calls.link(request.source, path);
  } catch (error) {
    if (isUnlinkable(error)) ground?.refuse("hardLinks", error);
    return yield* commit(ports, request);
  }
  if (new SessionLock(calls, request.files).takeAll() && !isSameName(calls, request.source, path))
    return "superseded";
  counters?.published();
  return "committed";
}

/** One synchronous attempt, which leaves no claim behind whatever its outcome. */
function tryCommit(
  { fileSystem, liveness }: CommitPorts,
  request: CommitRequest,
  isTimedOut: boolean,
): CommitOutcome | "busy" | Held {
  const { sync: calls } = fileSystem;
  if (!request.mayCommit()) return "fenced";
  const lock = new SessionLock(calls, request.files, (error) =>
    fileSystem.ground?.refuse("hardLinks", error),
  );
  const claimed = lock.enter(request);
  if (claimed !== "entered") return claimed;
  const claim = lock.claim(request.token);
  let outcome: CommitOutcome | "busy" | Held | undefined;
  try {
    const claims = lock.list();
    const others = claims.filter((token) => token !== request.token);
    // Taken away while we stood still.
    if (others.length === claims.length) outcome = "superseded";
    else if (lock.clear(others, liveness, isTimedOut)) outcome = "busy";
    else if (!runSync(fileSystem, isVersion(fileSystem, documentPath(request.files), request.base)))
      outcome = "superseded";
    else outcome = renameClaim(fileSystem, claim, request);
  } finally {
    if (outcome !== "committed") lock.withdraw(request);
    // rename(2) of two links to one file does nothing and leaves both: then the claim is still there.
    if (!lock.leave() && outcome === "committed") {
      tryUnlink(calls, claim);
      lock.leave();
    }
  }
  return outcome;
}

/** Whether two names are one file. */
function isSameName(calls: FileCalls, one: string, other: string): boolean {
  const [a, b] = [calls.lstat(one), calls.lstat(other)];
  return a !== undefined && b !== undefined && isSameFile(a, { dev: b.dev, ino: b.ino });
}

function renameClaim(
  fileSystem: FileSystem,
  claim: string,
  { files, base, owner }: CommitRequest,
): CommitOutcome | Held {
  const { sync: calls } = fileSystem;
  const path = documentPath(files);
  const own = calls.lstat(claim);
  // The source was replaced after it was written: a document must not be a link to a file of the user.
  if (own?.isFile === false) throw noRegularFile(claim);
  const replaced = calls.lstat(path);
  if (own) keepOwner(calls, claim, own, replaced?.isFile ? replaced : owner);
  const wasKnown = locksOpenFiles(fileSystem);
  try {
    calls.rename(claim, path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "superseded";
    if (isHeld(error)) {
      // Perhaps this process holds the document, which it does not once that is known: to be built again, on the content.
      const isOurs = locksOpenFiles(fileSystem) && (!wasKnown || (base && !("content" in base)));
      return isOurs ? "superseded" : { error };
    }
    throw error;
  }
  return "committed";
}

/**
 * A document keeps the owner and the permissions of the file that it replaces: root's recovery would take it from its user.
 * Only root can give a file away; without that, permissions which another user has chosen would open a file of ours.
 */
function keepOwner(calls: FileCalls, claim: string, own: FileStat, like: FileStat | undefined): void {
  if (!like) return;
  // Its owner can write it, whatever a user took away: an append log that is linked as a claim is written again after a failure.
  const mode = like.mode | 0o600;
  if (like.uid === own.uid && like.gid === own.gid && mode === own.mode) return;
  if (like.uid !== own.uid && process.getuid?.() !== 0) return;
  try {
    calls.adopt(claim, { ...like, mode });
  } catch {
    // User namespaces, FAT, some network shares: the document belongs to this process.
  }
}

/** Copies to build at most: a process that takes the owner for dead sweeps them once in some seconds. */
const maxCopies = 5;

/** Whether a copy failed to take its name because another process swept it, and the copy is to be built again. */
export const isSwept = (error: unknown, copies: number): boolean =>
  errorCode(error) === "ENOENT" && copies < maxCopies;
