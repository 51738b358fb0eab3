/**
 * Building a file under a temporary name: created, filled, and removed again unless the file took another name.
 */
import { createNow, type Descriptor } from "../platform/descriptor.js";
import { type FileSystem, tryUnlink } from "../platform/file-system.js";
import type { Gensync } from "../platform/gensync.js";

/** A file that is being built. */
export interface NewFile {
  readonly path: string;
  /** Released when the building ends: a caller that keeps the file open holds the descriptor once more. */
  readonly descriptor: Descriptor;
  readonly fd: number;
  /** The file has another name now: at the end there is nothing to unlink. */
  markRenamed(): void;
}

/**
 * Creates a file, gives it to `build`, and returns the result of `build`. At the end the file is closed, and unlinked
 * unless `build` has marked it as renamed. The file is created on this thread: created in the pool, it could appear after
 * the crash fence, in a process that ends before the file could be removed.
 */
export function* buildFile<T>(
  fileSystem: FileSystem,
  path: string,
  build: (file: NewFile) => Gensync<T>,
): Gensync<T> {
  const descriptor = createNow(fileSystem, path);
  let isRenamed = false;
  const markRenamed = () => {
    isRenamed = true;
  };
  try {
    fileSystem.ground?.probeInodes(fileSystem.sync, descriptor.fd, path);
    return yield* build({ path, descriptor, fd: descriptor.fd, markRenamed });
  } finally {
    descriptor.release();
    // An unlink of a name that is gone costs a system call and an exception on the main thread.
    if (!isRenamed) tryUnlink(fileSystem.sync, path);
  }
}
