/**
 * Removing what dead owners left half built: copies that never got a name, claims on a lock. Nothing in them is
 * needed: all lines stand in open documents. And markers of documents that somebody removed.
 */
import { type CommitPorts, tryRemoveDirectory, tryUnlink } from "./commit.js";
import { errorCode } from "./file-system.js";
import { isGone } from "./owner.js";
import { call, type Plan } from "./plan.js";
import { documentPath, parseEntry } from "./session-name.js";

/** A commit is over in milliseconds: a claim that is older was left by a process nobody can ask about. */
const staleClaimMillis = 3_600_000;

/** Sweeps a directory. Only owners that are provably dead lose anything; but a claim goes when it is an hour old. */
export function* sweepDead(ports: CommitPorts, dir: string): Plan<void> {
  const { liveness, clock } = ports;
  const { sync: calls } = ports.fileSystem;
  for (const fileName of yield* call("readdir", dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "replayed" && !(yield* call("exists", documentPath({ dir, name: entry.name }))))
      tryUnlink(calls, path);
    if (entry.type === "temp" && isGone(liveness, entry.token)) tryUnlink(calls, path);
    if (entry.type !== "lock") continue;
    for (const token of yield* claimsIn(path)) {
      const claim = `${path}/${token}`;
      if (isGone(liveness, token) || clock.now() - (yield* changedAt(claim)) > staleClaimMillis)
        tryUnlink(calls, claim);
    }
    tryRemoveDirectory(calls, path);
  }
}

/** When it was put there, which is no change of what is in it. */
function* changedAt(path: string): Plan<number> {
  const stat = yield* call("lstat", path);
  return stat ? Number(stat.ctimeNs / 1_000_000n) : Number.POSITIVE_INFINITY;
}

function* claimsIn(lock: string): Plan<string[]> {
  try {
    return yield* call("readdir", lock);
  } catch (error) {
    // Committed and removed since the directory was read, or something else planted there.
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return [];
    throw error;
  }
}
