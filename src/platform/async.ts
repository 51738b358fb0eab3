/**
 * Promises together, and within a time; long loops in several turns of the event loop.
 */
import { type Clock, nextTurn, type Timer, timers } from "./clock.js";

/** Waits until all have settled, then throws the first failure in the order of `work`. */
export async function allSettledOrThrow(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

/**
 * Calls `visit` for each item, until it returns `false`: for `perTurn` items before this returns, then for as many in each
 * turn of the event loop. Resolves after the last one; `undefined` when that was in the first turn.
 */
export function inTurns<Item>(
  items: Iterable<Item>,
  perTurn: number,
  visit: (item: Item) => boolean,
): Promise<void> | undefined {
  const rest = items[Symbol.iterator]();
  const isOver = () => {
    for (let left = perTurn; left > 0; left--) {
      const next = rest.next();
      if (next.done || !visit(next.value)) return true;
    }
    return false;
  };
  if (isOver()) return undefined;
  const others = async () => {
    do await nextTurn();
    while (!isOver());
  };
  return others();
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
