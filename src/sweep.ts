/**
 * Removing what dead owners left half built: copies that never got a name, claims on a lock. Nothing in them is
 * needed: all lines stand in open documents. And markers of documents that somebody removed.
 */
import { type CommitPorts, tryRemoveDirectory, tryUnlink } from "./commit.js";
import { errorCode } from "./file-system.js";
import { isGone } from "./owner.js";
import { call, type Plan } from "./plan.js";
import { documentPath, parseEntry } from "./session-name.js";

/** Sweeps a directory. Only owners that are provably dead lose anything. */
export function* sweepDead({ fileSystem: { sync: calls }, liveness }: CommitPorts, dir: string): Plan<void> {
  for (const fileName of yield* call("readdir", dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "replayed" && !(yield* call("exists", documentPath({ dir, name: entry.name }))))
      tryUnlink(calls, path);
    if (entry.type === "temp" && isGone(liveness, entry.token)) tryUnlink(calls, path);
    if (entry.type !== "lock") continue;
    for (const token of yield* claimsIn(path)) {
      if (isGone(liveness, token)) tryUnlink(calls, `${path}/${token}`);
    }
    tryRemoveDirectory(calls, path);
  }
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
