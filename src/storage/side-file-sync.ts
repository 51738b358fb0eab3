/**
 * Syncs of side files, of what is in them and of their names.
 *
 * A file that was created or renamed keeps its name through a power cut only when its directory was synced since
 * (fsync(2)). Journaling file systems often do that on the side, with the next sync of any file; nothing says that they
 * must, and no other file may be synced in time.
 */
import { dirname } from "node:path";
import { type Gensync, io, runSync } from "../platform/gensync.js";
import type { AppendFile } from "./append-log.js";
import type { WriterPorts } from "./writer-ports.js";

/** Makes the names of those of these files durable that are not. Throws when the file system refuses: then none are. */
export function* syncNames(dir: string, files: readonly AppendFile[]): Gensync<void> {
  const renamed = files.filter(({ hasNewName }) => hasNewName);
  if (renamed.length === 0) return;
  // Before the call: a file that is renamed while it runs needs another.
  for (const file of renamed) file.hasNewName = false;
  try {
    yield* io.syncDirectory(dir);
    for (const file of renamed) {
      const { newDirectory } = file;
      if (newDirectory === undefined) continue;
      for (let made = dir; made.length >= newDirectory.length; made = dirname(made))
        yield* io.syncDirectory(dirname(made));
      file.newDirectory = undefined;
    }
  } catch (error) {
    for (const file of renamed) file.hasNewName = true;
    throw error;
  }
}

/** Syncs files and their names before it returns. A fault is reported. */
export function syncFilesNow(
  { fileSystem, events }: WriterPorts,
  dir: string,
  files: readonly AppendFile[],
): void {
  try {
    for (const file of files) file.syncNow();
    if (files.some(({ hasNewName }) => hasNewName)) runSync(fileSystem, syncNames(dir, files));
  } catch (error) {
    events.onFault(error, files.at(-1)?.path ?? dir);
  }
}

/** Waits until all that a file has got is on the disk, also what a sync that is under way is still to bring there. */
export function* syncAll(file: AppendFile): Gensync<void> {
  if (file.unsynced > 0 || file.syncs > 0) yield* syncNow(file);
}

/** Syncs what a file has got since the last sync began. */
export function* syncFile(file: AppendFile): Gensync<void> {
  if (file.unsynced > 0) yield* syncNow(file);
}

function* syncNow(file: AppendFile): Gensync<void> {
  const held = file.ensureOpen().hold();
  const pending = file.unsynced;
  file.unsynced = 0;
  file.syncs++;
  try {
    yield* io.fdatasync(held.fd);
  } catch (error) {
    file.unsynced += pending;
    throw error;
  } finally {
    file.syncs--;
    held.release();
  }
}
