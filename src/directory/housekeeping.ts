/**
 * What a directory needs from time to time while this process writes to it: recovery of dead sessions, retention,
 * heartbeats, retries, ends of idle sessions.
 */

import { inTurns } from "../platform/async.js";
import type { Timer } from "../platform/clock.js";
import { runAsync } from "../platform/gensync.js";
import { recoverDirectory } from "../recovery/recover-directory.js";
import { type PruneEvents, prune, type Retention, retentionFault } from "../recovery/retention.js";
import type { SessionEntry } from "./sessions.js";
import type { DirectoryListener } from "./shared-directory.js";
import type { TraceDirectory } from "./trace-directory.js";
import type { UnnamedTraces } from "./unnamed-traces.js";
import { seenPerTurn } from "./upkeep.js";

const tickMillis = 1_000;
/** Well under the 60 s lease of an owner whose liveness is unknown. */
const heartbeatMillis = 15_000;
/** Also the delay until the files of a terminated worker thread are folded in. */
const recoverMillis = 10_000;
/** Age and size of all documents are measured no more often than this: there may be thousands of documents. */
const measureMillis = 60_000;

export interface HousekeepingOptions extends Retention {
  readonly sessionIdleMillis: number;
}

export class Housekeeping {
  readonly #directory: TraceDirectory;
  readonly #unnamed: UnnamedTraces;
  readonly #options: HousekeepingOptions;
  readonly #onFault: (error: unknown, path: string) => void;
  readonly #events: PruneEvents;
  readonly #timers: Timer[];
  #work: Promise<void> = Promise.resolve();
  #isWorking = false;
  /** The look at all sessions for idle ones, while it lasts. */
  #round: Promise<void> | undefined;
  #ticks = 0;
  #measured = Number.NEGATIVE_INFINITY;

  constructor(
    directory: TraceDirectory,
    unnamed: UnnamedTraces,
    options: HousekeepingOptions,
    onFault: (error: unknown, path: string) => void,
    onRemoved: DirectoryListener["onRemoved"],
  ) {
    this.#directory = directory;
    this.#unnamed = unnamed;
    this.#options = options;
    this.#onFault = onFault;
    this.#events = { onRemoved, onKept: (file) => onFault(retentionFault(file), file.path) };
    const { clock, durability } = directory.ports;
    this.#timers = [
      clock.after(0, () => this.maintain()),
      clock.every(tickMillis, () => this.#onTick()),
      clock.every(recoverMillis, () => this.maintain()),
    ];
    if (durability === "interval") this.#timers.push(clock.every(1_000, () => this.#syncRecent()));
  }

  /** Recovers and prunes in the background; resolves when that has ended. */
  maintain(): Promise<void> {
    if (this.#isWorking) return this.#work;
    this.#isWorking = true;
    this.#work = this.#maintain().finally(() => {
      this.#isWorking = false;
    });
    return this.#work;
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  async #maintain(): Promise<void> {
    const { dir, ports } = this.#directory;
    try {
      const { failures, sessions } = await recoverDirectory(ports, dir);
      ports.counters?.recovered(sessions.length);
      for (const { error, path } of failures) this.#onFault(error, path);
      if (await ports.fileSystem.async.isDirectory(dir)) {
        await runAsync(ports.fileSystem, prune(ports, dir, this.#limits(), this.#events));
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

  #syncRecent(): void {
    this.#directory.upkeep.syncRecent();
    this.#unnamed.syncRecent();
  }

  #onTick(): void {
    this.#unnamed.tick();
    if (++this.#ticks % (heartbeatMillis / tickMillis) === 0) {
      this.#directory.upkeep.heartbeat();
      this.#unnamed.heartbeat();
    }
    this.#directory.upkeep.retry();
    if (this.#round) return;
    this.#round = inTurns(this.#directory.sessions, seenPerTurn, (entry) => {
      this.#endIfIdle(entry);
      return true;
    })?.finally(() => {
      this.#round = undefined;
    });
  }

  #endIfIdle(entry: SessionEntry): void {
    const { isExplicit, openSpans, writer, quietMillis, verdict } = entry;
    const silentMillis = this.#directory.ports.clock.monotonic() - writer.clock.lastActive;
    // The verdict of a process hook is final only after the silence of all sessions: a caller may shut down until then.
    const idleMillis = (verdict ? undefined : quietMillis) ?? this.#options.sessionIdleMillis;
    if (isIdle({ isExplicit, openSpans, silentMillis }, idleMillis))
      this.#directory.endIdle(entry).catch(() => {});
  }
}

/**
 * Whether a session ends by itself: spans opened it, no span is open, and nothing was recorded for longer than
 * `idleMillis`. The silence is measured by the monotonic clock: a clock that is set forward ends no session.
 */
export const isIdle = (
  session: { readonly isExplicit: boolean; readonly openSpans: number; readonly silentMillis: number },
  idleMillis: number,
): boolean => !session.isExplicit && session.openSpans === 0 && session.silentMillis > idleMillis;
