/**
 * When the document of a session is published: on a budget of bytes, one session at a time, and again whenever the
 * document lacks something when a publish ends.
 */

import type { SerialQueue } from "../platform/async.js";
import type { Timer } from "../platform/clock.js";
import { OperationCancelled, runAsync, runSync } from "../platform/gensync.js";
import { AppendLog } from "../storage/append-log.js";
import { publish } from "../storage/publish.js";
import { backgroundSyncBytes } from "../storage/seal.js";
import type { SessionWriter } from "../storage/session-writer.js";

/** Refill and size of the token bucket. */
export interface Pace {
  /** 1 MB/s by default. */
  readonly bytesPerSecond: number;
  /** Most tokens that the bucket holds: 32 MB by default, or one document if that is larger. */
  readonly maxBytes: number;
}

export const defaultPace: Pace = { bytesPerSecond: 1_000_000, maxBytes: 32_000_000 };

/** The first event after quiet is published this much later, together with the events that follow at once. */
const settleMillis = 20;

/** How many times as large as its last copy a document must be. */
const growth = 4;

/**
 * The token bucket of one session: a copy is as large as the document, so copies are paid.
 *
 * A session may publish when its document is at least four times as large as the last copy, or when the bucket covers
 * the copy. The bucket begins empty and refills at `bytesPerSecond`. All copies on growth together are at most four
 * thirds of the document; the bucket pays for every other copy. With one append per span, and at most one more for a
 * start that carries everything, bytes written stay within 4x the data plus the rate times the time.
 * (5,000 spans of 5 KB, one per turn: 2.8x with a factor of four, 3.3x of three, 3.1x of six, which copies late. The
 * factor counts only where a session grows faster than its bucket refills.)
 */
export class PublishBudget {
  readonly #limits: Pace;
  #tokens = 0;
  #refilledAt: number;
  #lastSize = 0;

  constructor(limits: Pace, nowMillis: number) {
    this.#limits = limits;
    this.#refilledAt = nowMillis;
  }

  /** Whether the document has grown enough since its last copy to be published without tokens. */
  hasGrown(sizeBytes: number): boolean {
    return sizeBytes >= growth * this.#lastSize;
  }

  /** Milliseconds to wait before a document of this size may be published. Monotonic time. */
  delay(sizeBytes: number, nowMillis: number): number {
    this.#refill(sizeBytes, nowMillis);
    if (this.hasGrown(sizeBytes)) return settleMillis;
    const missing = sizeBytes - this.#tokens;
    return Math.max(settleMillis, Math.ceil((missing / this.#limits.bytesPerSecond) * 1000));
  }

  /** A copy of this size was written, for whatever reason. */
  charge(sizeBytes: number, nowMillis: number): void {
    this.#refill(sizeBytes, nowMillis);
    this.#tokens = Math.max(0, this.#tokens - sizeBytes);
    this.#lastSize = sizeBytes;
  }

  #refill(sizeBytes: number, nowMillis: number): void {
    const earned = ((nowMillis - this.#refilledAt) / 1000) * this.#limits.bytesPerSecond;
    this.#tokens = Math.min(Math.max(this.#limits.maxBytes, sizeBytes), this.#tokens + Math.max(0, earned));
    this.#refilledAt = nowMillis;
  }
}

/** After a failure the next try waits 500 ms; each further failure doubles the wait, up to 10 s. */
const firstRetryMillis = 500;
const lastRetryMillis = 10_000;

/** Queues that all directories of a process share: the host's thread pool has four threads. */
export interface WorkQueues {
  readonly publish: SerialQueue;
  readonly sync: SerialQueue;
}

/** The next publish of a session. */
interface Scheduled {
  readonly timer: Timer;
  /** A document that grows meanwhile is not published earlier. */
  readonly isUrgent: boolean;
}

/** The scheduler of one session. */
export class PublishScheduler {
  readonly #writer: SessionWriter;
  readonly #queues: WorkQueues;
  readonly #budget: PublishBudget;
  readonly #onUse: () => void;
  #scheduled: Scheduled | undefined;
  #retryMillis = 0;
  #isSyncing = false;
  /** Size of the last tail: open spans are copied with each publish, like lines. */
  #tailBytes = 0;

  /** `onUse` is called after work on the session: its files may be open now. */
  constructor(writer: SessionWriter, queues: WorkQueues, pace: Pace, onUse: () => void) {
    this.#writer = writer;
    this.#queues = queues;
    this.#budget = new PublishBudget(pace, writer.ports.clock.monotonic());
    this.#onUse = onUse;
  }

  /** Something was recorded. Cheap: most calls find the publish scheduled. */
  changed(): void {
    const { log } = this.#writer;
    if (log.unsynced > backgroundSyncBytes) this.sync([log]);
    if (this.#scheduled && (this.#scheduled.isUrgent || !this.#budget.hasGrown(this.#copyBytes))) return;
    this.#scheduled?.timer.cancel();
    this.#schedule();
  }

  /** Publishes until the document holds everything recorded before the call. Rejects when the disk refuses. */
  async flush(): Promise<void> {
    const writer = this.#writer;
    const { version } = writer;
    while (writer.canPublish && (writer.publishedVersion < version || !writer.log.isSettled)) {
      await this.#queues.publish.run(() => this.#publish());
    }
    if (writer.publishedVersion < version) throw crashNotWritten();
  }

  /** Publishes before it returns. Throws when the disk refuses. */
  publishNow(): void {
    runSync(this.#writer.ports.fileSystem, publish(this.#writer, this.#charge));
  }

  /** Syncs files of the session off-thread, unless such a sync is under way: callers repeat the call. */
  sync(logs: readonly AppendLog[]): void {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    const writer = this.#writer;
    const { durability, fileSystem, events } = writer.ports;
    this.#queues.sync
      .run(async () => {
        // Repeated for bytes that were written during a sync: no later record may ask for their sync.
        do {
          for (const log of logs) if (writer.life.isOpen) await runAsync(fileSystem, log.syncNew());
          if (durability !== "process" && writer.life.isOpen)
            await runAsync(fileSystem, AppendLog.syncNames(writer.files.dir, logs));
        } while (writer.life.isOpen && writer.log.unsynced > backgroundSyncBytes);
      })
      .catch((error: unknown) => events.onFault(error, writer.log.path))
      .finally(() => {
        this.#isSyncing = false;
        this.#used();
      });
  }

  /** No publish begins any more: the session has ended. */
  cancel(): void {
    this.#scheduled?.timer.cancel();
    this.#scheduled = undefined;
  }

  /** About how many bytes a publish copies. */
  get #copyBytes(): number {
    return this.#writer.log.size + this.#tailBytes;
  }

  readonly #charge = (copiedBytes: number, tailBytes: number): void => {
    this.#tailBytes = tailBytes;
    this.#budget.charge(copiedBytes, this.#writer.ports.clock.monotonic());
  };

  #schedule(): void {
    const { clock } = this.#writer.ports;
    const delay = Math.max(this.#retryMillis, this.#budget.delay(this.#copyBytes, clock.monotonic()));
    const timer = clock.after(delay, () => void this.#queues.publish.run(() => this.#publishScheduled()));
    this.#scheduled = { timer, isUrgent: this.#retryMillis > 0 || this.#budget.hasGrown(this.#copyBytes) };
  }

  async #publishScheduled(): Promise<void> {
    const writer = this.#writer;
    let failure: { readonly error: unknown } | undefined;
    try {
      if (writer.life.isOpen && !writer.isPublished) await this.#publish();
      this.#retryMillis = 0;
    } catch (error) {
      this.#retryMillis = Math.min(lastRetryMillis, Math.max(firstRetryMillis, 2 * this.#retryMillis));
      failure = { error };
    } finally {
      // However the publish ended: records that came meanwhile, or could not be written, get the next one.
      this.#scheduled = undefined;
      if (writer.life.isOpen && !writer.isPublished) this.#schedule();
    }
    if (failure) writer.ports.events.onFault(failure.error, writer.path);
  }

  async #publish(): Promise<void> {
    const writer = this.#writer;
    if (!writer.canPublish) return;
    const { epoch } = writer;
    try {
      await runAsync(writer.ports.fileSystem, publish(writer, this.#charge), () => writer.epoch !== epoch);
    } catch (error) {
      if (!(error instanceof OperationCancelled)) throw error;
    } finally {
      this.#used();
    }
  }

  #used(): void {
    if (this.#writer.life.isOpen) this.#onUse();
  }
}

/** For callers whose work a crash overtook, while the file system refuses the crashed session's final document. */
export const crashNotWritten = (): Error =>
  new Error("the session crashed and its final document could not be written yet; it will be retried");
