/**
 * When the document of a session is published: on a budget of bytes, one session at a time, and again whenever the
 * document lacks something when a publish ends.
 */

import type { Timer } from "../platform/clock.js";
import { OperationCancelled, runAsync, runSync } from "../platform/gensync.js";
import type { WorkLane, WorkQueue } from "../platform/work-queue.js";
import { AppendLog } from "../storage/append-log.js";
import { publish } from "../storage/publish.js";
import { backgroundSyncBytes } from "../storage/seal.js";
import type { SessionWriter } from "../storage/session-writer.js";

/** Refill and size of the token bucket of a session. */
export interface Pace {
  /** 1 MB/s by default. */
  readonly bytesPerSecond: number;
  /** Most tokens that the bucket holds: 32 MB by default, or one document if that is larger. */
  readonly maxBytes: number;
  /** Tokens of a new session, for copies when its events pause: 8 MB by default. */
  readonly startBytes: number;
}

export const defaultPace: Pace = { bytesPerSecond: 1_000_000, maxBytes: 32_000_000, startBytes: 8_000_000 };

/** All sessions of a process share one more bucket, which begins full. */
const processPace = Object.freeze({ bytesPerSecond: 4_000_000, maxBytes: 32_000_000 });

/** The first event after quiet is published this much later, together with the events that follow at once. */
const settleMillis = 20;

/** Events that come after so long are the first ones after quiet. */
const quietMillis = 50;

/** Events come one after the other when so many due publishes found new ones. */
const busyRounds = 3;

/**
 * Bytes of copies that each new byte of a document pays for: a document that has doubled since its last copy has paid for
 * the next one. All copies that growth pays for are at most twice the document. A session of up to 8 MB that grows without
 * a pause keeps what it begins with for the burst that follows.
 */
const growthFactor = 2;

/** Tokens that copies are paid with. Times are monotonic, in milliseconds. */
export class TokenBucket {
  readonly #limits: Pick<Pace, "bytesPerSecond" | "maxBytes">;
  #tokens: number;
  #refilledAt: number;

  constructor(limits: Pick<Pace, "bytesPerSecond" | "maxBytes">, tokens: number, nowMillis: number) {
    this.#limits = limits;
    this.#tokens = tokens;
    this.#refilledAt = nowMillis;
  }

  /** The bucket that all sessions of a process share. */
  static ofProcess(nowMillis: number): TokenBucket {
    return new TokenBucket(processPace, processPace.maxBytes, nowMillis);
  }

  /** Milliseconds until the bucket covers a copy of this size; the bucket holds as much as one copy. */
  wait(sizeBytes: number, nowMillis: number): number {
    this.#refill(sizeBytes, nowMillis);
    return Math.max(0, Math.ceil(((sizeBytes - this.#tokens) / this.#limits.bytesPerSecond) * 1000));
  }

  /** The tokens at that time; the bucket holds as much as one copy of this size. */
  tokens(sizeBytes: number, nowMillis: number): number {
    this.#refill(sizeBytes, nowMillis);
    return this.#tokens;
  }

  /** Takes the tokens of a copy. Returns how many are missing. */
  take(sizeBytes: number, nowMillis: number): number {
    this.#refill(sizeBytes, nowMillis);
    const missing = Math.max(0, sizeBytes - this.#tokens);
    this.#tokens -= sizeBytes - missing;
    return missing;
  }

  #refill(sizeBytes: number, nowMillis: number): void {
    const earned = ((nowMillis - this.#refilledAt) / 1000) * this.#limits.bytesPerSecond;
    this.#tokens = Math.min(Math.max(this.#limits.maxBytes, sizeBytes), this.#tokens + Math.max(0, earned));
    this.#refilledAt = nowMillis;
  }
}

/**
 * When one session may publish: a copy is as large as the document, so copies are paid.
 *
 * The growth of the document pays first, then the bucket of the session together with the bucket of the process, and at
 * last the tokens that the session began with. These pay only for copies when events pause: a session that grows without
 * a pause would spend them on copies that the next event outdates, and its last burst would wait. With one append per
 * span, and at most one more for a start that carries everything, bytes written stay within 4x the data plus the rate
 * times the time, beyond the tokens of the beginning.
 */
export class PublishBudget {
  readonly #bytesPerSecond: number;
  readonly #earned: TokenBucket;
  readonly #process: TokenBucket;
  #startBytes: number;
  /** What growth before the last copy has paid for, and no copy has used. */
  #growthBytes = 0;
  #lastSize = 0;

  constructor(pace: Pace, nowMillis: number, process: TokenBucket = TokenBucket.ofProcess(nowMillis)) {
    this.#bytesPerSecond = pace.bytesPerSecond;
    this.#startBytes = pace.startBytes;
    this.#earned = new TokenBucket(pace, 0, nowMillis);
    this.#process = process;
  }

  /** Whether the growth of the document pays for a copy. */
  hasGrown(sizeBytes: number): boolean {
    return this.#unpaid(sizeBytes) === 0;
  }

  /**
   * Milliseconds to wait before a document of this size may be published. `isBusy`: its events have not paused. Monotonic
   * time.
   */
  delay(sizeBytes: number, nowMillis: number, isBusy = false): number {
    const unpaid = this.#unpaid(sizeBytes);
    const earned = this.#earned.tokens(sizeBytes, nowMillis);
    const spare = isBusy ? 0 : this.#startBytes;
    const missing = isBusy && this.#isLast(sizeBytes, earned) ? sizeBytes - earned : unpaid - earned - spare;
    const wait = Math.ceil((Math.max(0, missing) / this.#bytesPerSecond) * 1000);
    return Math.max(settleMillis, wait, this.#process.wait(unpaid, nowMillis));
  }

  /**
   * Whether a copy would leave too little for one copy when events pause and one after the next burst. Such a copy waits
   * until its time has paid for it, in a session that is not larger than the tokens of its beginning.
   */
  #isLast(sizeBytes: number, earned: number): boolean {
    return (
      sizeBytes <= this.#startBytes && this.#grownTo(sizeBytes) + earned + this.#startBytes < 3 * sizeBytes
    );
  }

  /** A copy of this size was written, for whatever reason. */
  charge(sizeBytes: number, nowMillis: number): void {
    const unpaid = this.#unpaid(sizeBytes);
    this.#growthBytes = Math.max(0, this.#grownTo(sizeBytes) - sizeBytes);
    const missing = this.#earned.take(unpaid, nowMillis);
    this.#startBytes = Math.max(0, this.#startBytes - missing);
    this.#process.take(unpaid, nowMillis);
    this.#lastSize = sizeBytes;
  }

  /** The part of a copy that growth does not pay for. */
  #unpaid(sizeBytes: number): number {
    return Math.max(0, Math.floor(sizeBytes - this.#grownTo(sizeBytes)));
  }

  #grownTo(sizeBytes: number): number {
    return this.#growthBytes + growthFactor * Math.max(0, sizeBytes - this.#lastSize);
  }
}

/** After a failure the next try waits 500 ms; each further failure doubles the wait, up to 10 s. */
const firstRetryMillis = 500;
const lastRetryMillis = 10_000;

/** Queues and tokens that all directories of a process share: the host's thread pool has four threads. */
export interface WorkQueues {
  readonly publish: WorkQueue;
  readonly sync: WorkQueue;
  readonly bucket: TokenBucket;
}

/** What one directory has of them. */
export interface WorkLanes {
  /** Copies one at a time; final documents beside each other, on half of the threads. */
  readonly publish: WorkLane;
  readonly sync: WorkLane;
  /** Pays for the copies of all sessions. */
  readonly bucket: TokenBucket;
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
  readonly #lanes: WorkLanes;
  readonly #budget: PublishBudget;
  readonly #onUse: () => void;
  #scheduled: Scheduled | undefined;
  #retryMillis = 0;
  #isSyncing = false;
  /** Size of the last tail: open spans are copied with each publish, like lines. */
  #tailBytes = 0;
  /** Monotonic time of the last event that was seen. */
  #seenActive: number;
  /** Due publishes, one after the other, that found new events, and the version that the last one found. */
  #rounds = 0;
  #seenVersion = 0;

  /** `onUse` is called after work on the session: its files may be open now. */
  constructor(writer: SessionWriter, lanes: WorkLanes, pace: Pace, onUse: () => void) {
    this.#writer = writer;
    this.#lanes = lanes;
    this.#seenActive = writer.clock.lastActive;
    this.#budget = new PublishBudget(pace, writer.ports.clock.monotonic(), lanes.bucket);
    this.#onUse = onUse;
  }

  /** Something was recorded. Cheap: most calls find the publish scheduled. */
  changed(): void {
    const { log, clock } = this.#writer;
    if (!this.#scheduled && clock.lastActive - this.#seenActive >= quietMillis) this.#rounds = 0;
    this.#seenActive = clock.lastActive;
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
      await this.#lanes.publish.run(() => this.#publish());
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
    this.#lanes.sync
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
    const timer = clock.after(delay, () => this.#publishWhenDue());
    this.#scheduled = { timer, isUrgent: this.#retryMillis > 0 || this.#budget.hasGrown(this.#copyBytes) };
  }

  /** Waits on while events come that only the first tokens could pay for, or when the process has spent its own. */
  #publishWhenDue(): void {
    const { clock } = this.#writer.ports;
    const now = clock.monotonic();
    const isDue =
      this.#retryMillis > 0 || this.#budget.delay(this.#copyBytes, now, this.#isBusy()) <= settleMillis;
    if (isDue) void this.#lanes.publish.run(() => this.#publishScheduled());
    else this.#schedule();
  }

  /** Whether events come one after the other: asked once for each due publish, since a clock runs on in a busy machine. */
  #isBusy(): boolean {
    const { version } = this.#writer;
    this.#rounds = version === this.#seenVersion ? 0 : this.#rounds + 1;
    this.#seenVersion = version;
    return this.#rounds >= busyRounds;
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
      // However the publish ended: records that came meanwhile, or could not be written, get the next one. Where the
      // append log lacks records, `upkeep.ts` asks for it when the disk has taken them.
      this.#scheduled = undefined;
      const isRefused = failure !== undefined && !writer.log.isSettled;
      if (writer.life.isOpen && !writer.isPublished && !isRefused) this.#schedule();
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
