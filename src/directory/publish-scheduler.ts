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
import { type Pace, PublishBudget } from "./publish-budget.js";

/** After a failure the next try waits 500 ms; each further failure doubles the wait, up to 30 s. */
const firstRetryMillis = 500;
const lastRetryMillis = 30_000;

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
