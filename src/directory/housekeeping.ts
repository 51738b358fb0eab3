/**
 * What a directory needs from time to time while somebody writes to it: recovery of dead sessions, retention,
 * heartbeats, retries, ends of idle sessions.
 */
import type { Timer } from "../platform/clock.js";
import { runAsync } from "../platform/gensync.js";
import { recoverDirectory } from "../recovery/recover-directory.js";
import { prune, type Retention } from "../recovery/retention.js";
import type { TraceDirectory } from "./trace-directory.js";

const tendMillis = 1_000;
/** Well under the lease of owners that cannot be asked. */
const heartbeatMillis = 15_000;
/** Also the time until the files of a worker thread that was terminated are folded in. */
const recoverMillis = 10_000;
/** All documents are looked at, for their age and their size, no more often than this: that may be thousands. */
const measureMillis = 60_000;

export interface HousekeepingOptions extends Retention {
  readonly sessionIdleMillis: number;
}

export class Housekeeping {
  readonly #directory: TraceDirectory;
  readonly #options: HousekeepingOptions;
  readonly #onFault: (error: unknown, path: string) => void;
  readonly #timers: Timer[];
  #work: Promise<void> = Promise.resolve();
  #isWorking = false;
  #beats = 0;
  #measured = Number.NEGATIVE_INFINITY;

  constructor(
    directory: TraceDirectory,
    options: HousekeepingOptions,
    onFault: (error: unknown, path: string) => void,
  ) {
    this.#directory = directory;
    this.#options = options;
    this.#onFault = onFault;
    const { clock, durability } = directory.ports;
    this.#timers = [
      clock.after(0, () => this.tidy()),
      clock.every(tendMillis, () => this.#tend()),
      clock.every(recoverMillis, () => this.tidy()),
    ];
    if (durability === "interval") this.#timers.push(clock.every(1_000, () => directory.syncRecent()));
  }

  /** Recovers and prunes in the background; resolves when that has ended. */
  tidy(): Promise<void> {
    if (this.#isWorking) return this.#work;
    this.#isWorking = true;
    this.#work = this.#tidy().finally(() => {
      this.#isWorking = false;
    });
    return this.#work;
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  async #tidy(): Promise<void> {
    const { dir, ports } = this.#directory;
    try {
      const { failures, sessions } = await recoverDirectory(ports, dir);
      if (ports.tally) ports.tally.recoveredSessions += sessions.length;
      for (const { error, path } of failures) this.#onFault(error, path);
      if (await ports.fileSystem.async.isDirectory(dir)) {
        await runAsync(ports.fileSystem, prune(ports, dir, this.#limits()));
      }
    } catch (error) {
      this.#onFault(error, dir);
    }
  }

  #limits(): Retention {
    const now = this.#directory.ports.clock.monotonic();
    const isMeasured = now - this.#measured >= measureMillis;
    if (isMeasured) this.#measured = now;
    const { maxFiles } = this.#options;
    return isMeasured ? this.#options : { maxFiles, maxFileAgeMillis: 0, maxTotalBytes: 0 };
  }

  #tend(): void {
    this.#beats++;
    this.#directory.tend(this.#options.sessionIdleMillis, this.#beats % (heartbeatMillis / tendMillis) === 0);
  }
}
