/**
 * The one way a document takes its name: under the session's lock, against the document it was built on, by a
 * rename.
 *
 * Committing renames the committer's claim on the lock (`lock.ts`) onto the document. Taking a claim away is therefore
 * always safe: if its owner was dead, it is gone, and if it was only stopped, its rename finds nothing and it
 * builds again. So claims of the dead are removed at once, and those of the living after `patienceMillis`.
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
import { type Gensync, pause } from "../platform/gensync.js";
import type { DirectoryTally } from "../platform/io-counters.js";
import type { Liveness } from "../platform/liveness.js";
import { type Entrance, SessionLock } from "./lock.js";

/** How long a living (or stopped) holder keeps others waiting. It needs the lock for some 50 µs. */
const patienceMillis = 250;

/** Which file a commit was built against. With the file held open the inode is enough; else also its times. */
export interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size?: number;
  readonly ctimeNs?: bigint;
}

/** Whether a file is the one that was meant; a missing file is `undefined` on both sides. */
export function isSame(current: FileStat | undefined, expected: Identity | undefined): boolean {
  // What is not a regular file (a planted symlink) counts as no document: the rename replaces it.
  if (current === undefined || !current.isFile) return expected === undefined;
  if (expected === undefined || current.dev !== expected.dev || current.ino !== expected.ino) return false;
  return (
    expected.ctimeNs === undefined || (current.ctimeNs === expected.ctimeNs && current.size === expected.size)
  );
}

/** What is to be committed. */
export interface CommitRequest extends Entrance {
  readonly files: SessionFiles;
  /** The document that the source was built against. */
  readonly base: Identity | undefined;
  /** Asked in the same turn as the rename: the crash fence says no. */
  mayCommit(): boolean;
}

/**
 * - `committed`: the document is there
 * - `superseded`: another document is there than the base, or the claim was taken away; build again
 * - `fenced`: `mayCommit` said no
 * - `unlinkable`: this file system has no hard links; move a copy instead
 */
export type CommitOutcome = "committed" | "superseded" | "fenced" | "unlinkable";

/** Where a commit happens. */
export interface CommitPorts {
  readonly fileSystem: FileSystem;
  readonly liveness: Liveness;
  readonly clock: Clock;
  /** Counts documents, where somebody wants to know. */
  readonly tally?: DirectoryTally;
}

/** Commits, waiting for other claims. Throws when the file system refuses. */
export function* commit(ports: CommitPorts, request: CommitRequest): Gensync<CommitOutcome> {
  const deadline = ports.clock.monotonic() + patienceMillis;
  for (;;) {
    const outcome = tryCommit(ports, request, ports.clock.monotonic() >= deadline);
    if (outcome === "committed" && ports.tally) ports.tally.publishedDocuments++;
    if (outcome !== "busy") return outcome;
    // Uneven waits, so that two who withdraw for each other do not meet again.
    yield* pause(1 + Math.floor(Math.random() * 5));
  }
}

/** One synchronous attempt; whatever its end, the claim is not left behind. */
function tryCommit(
  { fileSystem: { sync: calls }, liveness }: CommitPorts,
  request: CommitRequest,
  outOfPatience: boolean,
): CommitOutcome | "busy" {
  if (!request.mayCommit()) return "fenced";
  const lock = new SessionLock(calls, request.files);
  const claimed = lock.enter(request);
  if (claimed !== "entered") return claimed;
  const claim = lock.claim(request.token);
  let outcome: CommitOutcome | "busy" | undefined;
  try {
    const claims = lock.list();
    const others = claims.filter((token) => token !== request.token);
    // Taken away while we stood still.
    if (others.length === claims.length) outcome = "superseded";
    else if (lock.clear(others, liveness, outOfPatience)) outcome = "busy";
    else if (!isSame(calls.lstat(documentPath(request.files)), request.base)) outcome = "superseded";
    else outcome = renameClaim(calls, claim, documentPath(request.files));
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

function renameClaim(calls: FileCalls, claim: string, path: string): CommitOutcome {
  // The source was replaced after it was written: a document must not be a link to a file of the user.
  if (calls.lstat(claim)?.isFile === false) throw noRegularFile(claim);
  try {
    calls.rename(claim, path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "superseded";
    throw error;
  }
  return "committed";
}

/** Copies made before it is given up: whoever sweeps them, and holds their owner for dead, looks once in seconds. */
const maxCopies = 5;

/** Whether the last of so many copies failed to take its name because somebody swept it, and is to be made again. */
export const isSwept = (error: unknown, copies: number): boolean =>
  errorCode(error) === "ENOENT" && copies < maxCopies;
