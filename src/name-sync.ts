/**
 * Names on the disk: a file that was created or renamed keeps its name through a power cut only when its directory
 * was synced since (fsync(2)). Journaling file systems often do that on the side, with the next sync of any file;
 * nothing says that they must, and no other file may be synced in time.
 */
import { dirname } from "node:path";
import type { AppendFile } from "./append-file.js";
import { call, type Plan } from "./plan.js";

/** Makes the names of those of these files durable that are not. Throws when the file system refuses: then none are. */
export function* syncNames(dir: string, files: readonly AppendFile[]): Plan<void> {
  const renamed = files.filter(({ hasNewName }) => hasNewName);
  if (renamed.length === 0) return;
  // Before the call: a file that is renamed while it runs needs another.
  for (const file of renamed) file.hasNewName = false;
  try {
    yield* call("syncDirectory", dir);
    for (const file of renamed) {
      const { newDirectory } = file;
      if (newDirectory === undefined) continue;
      for (let made = dir; made.length >= newDirectory.length; made = dirname(made))
        yield* call("syncDirectory", dirname(made));
      file.newDirectory = undefined;
    }
  } catch (error) {
    for (const file of renamed) file.hasNewName = true;
    throw error;
  }
}
