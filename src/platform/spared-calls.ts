/**
 * Calls that a file system has refused again and again are made less often: in between they fail at once, with the last
 * error. Thousands of sessions on a full disk would else spend their time with calls that cannot succeed.
 */
import type { Clock } from "./clock.js";
import { errorCode, type FileSystem } from "./file-system.js";

/** Refusals of the disk as a whole, as far as the code shows. Others are those of one file, or lack descriptors. */
const refusals = new Set([
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  "EIO",
  "EACCES",
  "EPERM",
  "ENOTCONN",
  "ESTALE",
  "ENXIO",
]);

/** Refused calls one after the other that are made all the same. */
const madeAtLeast = 500;
/** Then a call is made after each such time: the disk is found to accept calls again soon after it does. */
const sparedMillis = 10;

/** One kind of call. */
class Refused {
  readonly #clock: Clock;
  #inRow = 0;
  #nextAt = 0;
  #error: Error | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws the last error when the call is not to be made. */
  check(): void {
    if (this.#inRow < madeAtLeast || this.#error === undefined) return;
    const now = this.#clock.monotonic();
    if (now < this.#nextAt) throw this.#error;
    this.#nextAt = now + sparedMillis;
  }

  askAgain(): void {
    this.#nextAt = 0;
  }

  succeeded(): void {
    this.#inRow = 0;
  }

  failed(error: unknown): void {
    const code = errorCode(error);
    if (!(error instanceof Error) || !refusals.has(code ?? "")) return;
    this.#inRow++;
    if (this.#inRow < madeAtLeast) return;
    // Without the path, which is that of another file.
    this.#error = Object.assign(new Error(error.message.replace(/, \w+ '.*$/s, "")), { code });
  }
}

/** The calls of one directory that create files, and write. */
export class SparedCalls {
  readonly #creates: Refused;
  readonly #writes: Refused;
  readonly #directories: Refused;

  constructor(clock: Clock) {
    this.#creates = new Refused(clock);
    this.#writes = new Refused(clock);
    this.#directories = new Refused(clock);
  }

  /** A caller wants to know: the next call of each kind is made. */
  askAgain(): void {
    for (const refused of [this.#creates, this.#writes, this.#directories]) refused.askAgain();
  }

  /** The file system without the calls that are spared. */
  over(fileSystem: FileSystem): FileSystem {
    const { sync, async: later } = fileSystem;
    const [openNow, createNow] = [sync.open, now(this.#creates, sync.open)];
    const [openLater, createLater] = [later.open, afterwards(this.#creates, later.open)];
    return {
      ...fileSystem,
      sync: {
        ...sync,
        open: (path, mode) => (mode === "read" ? openNow : createNow)(path, mode),
        write: now(this.#writes, sync.write),
        mkdirs: now(this.#directories, sync.mkdirs),
      },
      async: {
        ...later,
        open: (path, mode) => (mode === "read" ? openLater : createLater)(path, mode),
        write: afterwards(this.#writes, later.write),
        mkdirs: afterwards(this.#directories, later.mkdirs),
      },
    };
  }
}

const now =
  <A extends readonly unknown[], R>(refused: Refused, call: (...args: A) => R) =>
  (...args: A): R => {
    refused.check();
    try {
      const result = call(...args);
      refused.succeeded();
      return result;
    } catch (error) {
      refused.failed(error);
      throw error;
    }
  };

const afterwards =
  <A extends readonly unknown[], R>(refused: Refused, call: (...args: A) => Promise<R>) =>
  async (...args: A): Promise<R> => {
    refused.check();
    try {
      const result = await call(...args);
      refused.succeeded();
      return result;
    } catch (error) {
      refused.failed(error);
      throw error;
    }
  };
