/**
 * The machine's file system whose asynchronous calls pause where a test wants, until it releases them: a rename, a
 * copy or a sync of any duration, without a clock.
 */
import type { AsyncFileCalls, FileCalls, FileSystem } from "../../src/platform/file-system.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";

/** `issued`: nothing has happened yet. `done`: the effect is on disk, and the promise is not settled. */
export type Moment = "issued" | "done";

/** A call that will pause. */
export interface Hold {
  /** Resolves when the call pauses. */
  readonly reached: Promise<void>;
  release(): void;
}

interface PlannedHold {
  readonly matches: (name: keyof FileCalls, number: number) => boolean;
  readonly moment: Moment;
  readonly arrive: () => void;
  readonly released: Promise<void>;
}

/** Syncs are requested and skipped: no test here is about power cuts, and a busy disk is slow. */
const unsynced: FileSystem = {
  sync: { ...nodeFileSystem.sync, fdatasync() {}, syncDirectory() {} },
  async: {
    ...nodeFileSystem.async,
    fdatasync: async (fd) => void (await nodeFileSystem.async.fstat(fd)),
    syncDirectory: async (path) => void (await nodeFileSystem.async.lstat(path)),
  },
};

export class PausedFileSystem implements FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  readonly locksOpenFiles: boolean | undefined;
  /** Names of the asynchronous calls since the last `mark`. */
  readonly names: (keyof FileCalls)[] = [];
  readonly #holds = new Set<PlannedHold>();
  /** Calls that have not returned. */
  readonly underway: (keyof FileCalls)[] = [];
  #onIdle: Array<() => void> = [];

  constructor(below: FileSystem = unsynced) {
    this.sync = below.sync;
    this.locksOpenFiles = below.locksOpenFiles;
    const names = Object.keys(below.async) as (keyof FileCalls)[];
    this.async = Object.fromEntries(
      names.map((name) => [
        name,
        (...args: never[]) =>
          this.#run(name, below.async[name] as (...args: never[]) => Promise<unknown>, args),
      ]),
    ) as unknown as AsyncFileCalls;
  }

  /** Restarts the count of calls, with the next call as number 1. */
  mark(): void {
    this.names.length = 0;
  }

  /** Pauses the call with this number, counted from the last `mark`. */
  holdNumber(number: number, moment: Moment): Hold {
    let isTaken = false;
    return this.hold((_, at) => {
      if (isTaken || at !== number) return false;
      isTaken = true;
      return true;
    }, moment);
  }

  /** Pauses every call that matches, from now until the release. */
  hold(matches: PlannedHold["matches"], moment: Moment): Hold {
    let arrive = () => {};
    let letGo = () => {};
    const reached = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const released = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const planned = { matches, moment, arrive, released };
    this.#holds.add(planned);
    return {
      reached,
      release: () => {
        this.#holds.delete(planned);
        letGo();
      },
    };
  }

  /** Resolves when no call is in flight and none follows from the last. */
  async idle(): Promise<void> {
    do {
      if (this.underway.length > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
      // Work that follows from the last call has been started when the event loop has turned.
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.underway.length > 0);
  }

  async #run(
    name: keyof FileCalls,
    call: (...args: never[]) => Promise<unknown>,
    args: never[],
  ): Promise<unknown> {
    const number = this.names.push(name);
    const hold = [...this.#holds].find((planned) => planned.matches(name, number));
    this.underway.push(name);
    try {
      if (hold?.moment === "issued") {
        hold.arrive();
        await hold.released;
      }
      const running = call(...args);
      if (hold?.moment !== "done") return await running;
      await running.catch(() => {});
      hold.arrive();
      await hold.released;
      return await running;
    } finally {
      this.underway.splice(this.underway.indexOf(name), 1);
      if (this.underway.length === 0) for (const settle of this.#onIdle.splice(0)) settle();
    }
  }
}
