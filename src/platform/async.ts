/**
 * Promises in order, together, and within a time.
 */
import { type Clock, systemClock, type Timer, timers } from "./clock.js";

/** A job that has run for so long while others wait is taken for one that hangs: on a mount that is gone, say. */
const hangingMillis = 1_000;

/**
 * Bounds how many jobs of several {@link WorkQueue}s run at the same time. A job that hangs does not count any more: it keeps
 * jobs of its own queue from running, and those of others for a second at most.
 */
export class SharedBound {
  readonly #most: number;
  readonly #waiting: { readonly job: object; readonly begin: () => void }[] = [];
  /** When each job began that counts, oldest first. Monotonic time. */
  readonly #begun = new Map<object, number>();
  #isWatching = false;

  /** `most`: how many jobs run beside each other. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Runs a job as soon as there is room. */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#begun.size < this.#most) this.#begun.set(job, systemClock.monotonic());
    else
      await new Promise<void>((begin) => {
        this.#waiting.push({ job, begin });
        this.#watch();
      });
    try {
      return await job();
    } finally {
      this.#end(job);
    }
  }

  /** The place of a job goes to the one that has waited longest. */
  #end(job: object): void {
    if (!this.#begun.delete(job)) return;
    const next = this.#waiting.shift();
    if (!next) return;
    this.#begun.set(next.job, systemClock.monotonic());
    next.begin();
  }

  /** Looks for a job that hangs when the oldest one has run for so long, while others wait. */
  #watch(): void {
    const [oldest] = this.#begun;
    if (this.#isWatching || this.#waiting.length === 0 || !oldest) return;
    const [job, begunAt] = oldest;
    this.#isWatching = true;
    systemClock.after(Math.max(1, begunAt + hangingMillis - systemClock.monotonic()), () => {
      this.#isWatching = false;
      if (systemClock.monotonic() - begunAt >= hangingMillis) this.#end(job);
      this.#watch();
    });
  }
}

/** A job of a {@link WorkQueue}. */
interface QueuedJob {
  readonly start: () => Promise<unknown>;
  readonly isAlone: boolean;
}

/** Runs asynchronous jobs in the order in which they were added: one at a time, or several beside each other that allow it. */
export class WorkQueue {
  readonly #width: number;
  readonly #bound: SharedBound | undefined;
  readonly #waiting: QueuedJob[] = [];
  #running = 0;
  #isAlone = false;

  /** `width`: how many jobs run beside each other at most. `bound`: of this queue and others together. */
  constructor(width: number, bound?: SharedBound) {
    this.#width = width;
    this.#bound = bound;
  }

  /** Runs `job` when all earlier jobs have settled, whether they succeeded or not; later jobs wait for it. */
  run<T>(job: () => Promise<T>): Promise<T> {
    return this.#add(job, true);
  }

  /** Like {@link run}, and beside neighbours that were added by this method, too. */
  runBeside<T>(job: () => Promise<T>): Promise<T> {
    return this.#add(job, false);
  }

  #add<T>(job: () => Promise<T>, isAlone: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ start: () => job().then(resolve, reject), isAlone });
      // Not in this turn: the caller goes on first.
      void Promise.resolve().then(() => this.#startNext());
    });
  }

  #startNext(): void {
    for (let next = this.#waiting[0]; next && this.#hasRoom(next); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#running++;
      this.#isAlone = next.isAlone;
      void (this.#bound?.run(next.start) ?? next.start()).then(() => {
        this.#running--;
        this.#startNext();
      });
    }
  }

  #hasRoom({ isAlone }: QueuedJob): boolean {
    return this.#running === 0 || !(isAlone || this.#isAlone || this.#running >= this.#width);
  }
}

/** Waits until all have settled, then throws the first failure in the order of `work`. */
export async function allSettledOrThrow(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

/** The error with which `work` rejects; `undefined` if it succeeds. Never rejects. */
export const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** How long work may take. */
export interface TimeLimit {
  readonly millis: number;
  /** Makes the error that is thrown when the time is over. */
  readonly error: () => Error;
  /** A timer of this clock does not keep the process alive. Default: a timer that does. */
  readonly clock?: Clock;
}

/** Waits for one step of some work; rejects when the time for the whole work is over. */
export type BoundedStep = <T>(step: Promise<T>) => Promise<T>;

/**
 * Runs work within a time limit. The work wraps each promise that may take too long in `bounded`: when the time is over,
 * that step rejects, so the work begins no further step. A promise that is not wrapped is awaited to its end.
 */
export async function withTimeout<T>(
  work: (bounded: BoundedStep) => Promise<T>,
  { millis, error, clock }: TimeLimit,
): Promise<T> {
  let giveUp: (error: Error) => void;
  const late = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  // No step may be waiting when the time is over: that must not be an unhandled rejection.
  late.catch(() => {});
  const timer = startTimer(clock, millis, () => giveUp(error()));
  try {
    return await work((step) => Promise.race([step, late]));
  } finally {
    timer.cancel();
  }
}

function startTimer(clock: Clock | undefined, millis: number, run: () => void): Timer {
  if (clock) return clock.after(millis, run);
  const timer = timers.setTimeout(run, millis);
  return { cancel: () => timers.clearTimeout(timer) };
}

/** Files read at the same time: one by one, a listing of 1,000 took four times as long, mostly waiting for the pool. */
const filesAtOnce = 8;

/** The results of `work` for each item, in the order of the items; some at a time. Rejects with the first error. */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
  concurrency = filesAtOnce,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}
