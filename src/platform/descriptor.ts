/**
 * A descriptor shared by the owner of a file and the work in flight on it: closed when the last of them lets
 * go, so that no read or sync in the thread pool meets a number that was closed and given to another file.
 */
import type { FileSystem } from "./file-system.js";

export class Descriptor {
  readonly fd: number;
  readonly #fileSystem: FileSystem;
  #holders = 1;

  constructor(fileSystem: FileSystem, fd: number) {
    this.#fileSystem = fileSystem;
    this.fd = fd;
  }

  /** One more holder; each must `release` once. */
  hold(): this {
    this.#holders++;
    return this;
  }

  /** Lets go. Closes off-thread: freeing the blocks of a large replaced file takes 6–15 ms at 28 MB. */
  release(): void {
    if (--this.#holders === 0) this.#fileSystem.async.close(this.fd).catch(() => {});
  }

  /** Lets go of a file that keeps its name, where somebody waits for the descriptor: nothing is freed by that. */
  releaseNow(): void {
    if (--this.#holders > 0) return;
    try {
      this.#fileSystem.sync.close(this.fd);
    } catch {
      // It is gone all the same (close(2)).
    }
  }
}

/**
 * Creates a file that a fence removes, on this thread: created in the pool, it could appear after the fence, in a
 * process that ends before anybody could remove it.
 */
export const createNow = (fileSystem: FileSystem, path: string): Descriptor =>
  new Descriptor(fileSystem, fileSystem.sync.open(path, "create"));
