/**
 * The one way a document takes its name: under the session's lock, against the document it was built on, by a
 * rename.
 *
 * The lock is a directory, `<name>.json.lock`, and a claim in it *is* the document to be committed: renamed in
 * (a built copy) or linked in (an open document sealed where it stands). Whoever lists the directory and finds
 * no other claim may go on; committing renames the claim onto the document. Taking a claim away is therefore
 * always safe: if its owner was dead, it is gone, and if it was only stopped, its rename finds nothing and it
 * builds again. So claims of the dead are removed at once, and those of the living after `patienceMillis`.
 */

import type { Clock } from "./clock.js";
import type { DirectoryTally } from "./directory-tally.js";
import { errorCode, type FileCalls, type FileStat, type FileSystem } from "./file-system.js";
import { isGone, type Liveness } from "./owner.js";
import { type Plan, pause } from "./plan.js";
import { documentPath, lockPath, type SessionFiles } from "./session-name.js";

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
export interface CommitRequest {
  readonly files: SessionFiles;
  readonly token: string;
  /** The finished file. `move`: a copy, which the commit takes. `link`: stays where it is as well. */
  readonly source: string;
  readonly by: "move" | "link";
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
export function* commit(ports: CommitPorts, request: CommitRequest): Plan<CommitOutcome> {
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
  const lock = lockPath(request.files);
  const claim = `${lock}/${request.token}`;
  const claimed = enter(calls, request, lock, claim);
  if (claimed !== "entered") return claimed;
  let outcome: CommitOutcome | "busy" | undefined;
  try {
    const claims = listClaims(calls, lock);
    const others = claims.filter((token) => token !== request.token);
    // Taken away while we stood still.
    if (others.length === claims.length) outcome = "superseded";
    else if (remain(calls, liveness, lock, others, outOfPatience)) outcome = "busy";
    else if (!isSame(calls.lstat(documentPath(request.files)), request.base)) outcome = "superseded";
    else outcome = renameClaim(calls, claim, documentPath(request.files));
  } finally {
    if (outcome !== "committed") withdraw(calls, request, claim);
    // rename(2) of two links to one file does nothing and leaves both: then the claim is still there.
    if (!tryRemoveDirectory(calls, lock) && outcome === "committed") {
      tryUnlink(calls, claim);
      tryRemoveDirectory(calls, lock);
    }
  }
  return outcome;
}

function enter(
  calls: FileCalls,
  request: CommitRequest,
  lock: string,
  claim: string,
): "entered" | "superseded" | "unlinkable" {
  for (let attempt = 0; ; attempt++) {
    try {
      calls.mkdir(lock);
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error;
      // Never through a planted symlink, into somebody's directory.
      if (calls.lstat(lock)?.isDirectory === false) throw error;
    }
    try {
      if (request.by === "move") calls.rename(request.source, claim);
      else calls.link(request.source, claim);
      return "entered";
    } catch (error) {
      const code = errorCode(error);
      if (request.by === "link" && noHardLinks.has(code ?? "")) {
        tryRemoveDirectory(calls, lock);
        return "unlinkable";
      }
      if (code === "EEXIST") {
        calls.unlink(claim);
        continue;
      }
      // ENOENT: the source was taken, or another committer removed the empty lock directory just now.
      if (code === "ENOENT" && !calls.exists(request.source)) return "superseded";
      if (code !== "ENOENT" || attempt > 100) throw error;
    }
  }
}

/** link(2): EPERM and ENOTSUP where the file system has none, EMLINK and EXDEV for odd mounts. */
const noHardLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV", "EINVAL"]);

function listClaims(calls: FileCalls, lock: string): string[] {
  try {
    return calls.readdir(lock);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Whether any of the claims stays; those of the dead go, and when patience has ended, all. */
function remain(
  calls: FileCalls,
  liveness: Liveness,
  lock: string,
  others: readonly string[],
  outOfPatience: boolean,
): boolean {
  let remaining = 0;
  for (const other of others) {
    if (outOfPatience || isGone(liveness, other)) tryUnlink(calls, `${lock}/${other}`);
    else remaining++;
  }
  return remaining > 0;
}

function renameClaim(calls: FileCalls, claim: string, path: string): CommitOutcome {
  try {
    calls.rename(claim, path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "superseded";
    throw error;
  }
  return "committed";
}

function withdraw(calls: FileCalls, request: CommitRequest, claim: string): void {
  try {
    if (request.by === "move") calls.rename(claim, request.source);
  } catch {
    // Taken away, or its directory is gone.
  }
  tryUnlink(calls, claim);
}

/** Removes a file; that it cannot go now does no harm. Returns whether it is gone. */
export function tryUnlink(calls: FileCalls, path: string): boolean {
  try {
    calls.unlink(path);
    return true;
  } catch (error) {
    // Swept by the next recovery or retention.
    return errorCode(error) === "ENOENT";
  }
}

/** Copies made before it is given up: whoever sweeps them, and holds their owner for dead, looks once in seconds. */
const maxCopies = 5;

/** Whether the last of so many copies failed to take its name because somebody swept it, and is to be made again. */
export const isSwept = (error: unknown, copies: number): boolean =>
  errorCode(error) === "ENOENT" && copies < maxCopies;

/** Removes a directory if it is empty; `false` when another claim is in it, or another committer removed it. */
export function tryRemoveDirectory(calls: FileCalls, path: string): boolean {
  try {
    calls.rmdir(path);
    return true;
  } catch {
    return false;
  }
}
