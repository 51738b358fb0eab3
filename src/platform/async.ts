/**
 * Promises in order, together, and within a time.
 */
import { type Clock, type Timer, timers } from "./clock.js";

/** Runs asynchronous jobs one at a time, in the order in which they were added. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `job` when all earlier jobs have settled, whether they succeeded or not. */
  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job, job);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Runs a limited number of asynchronous jobs at a time; they begin in the order in which they were added. */
export class LimitedQueue {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((begin) => this.#waiting.push(begin));
    else this.#free--;
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
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
