/**
 * One body for the synchronous and the asynchronous twin of a file operation.
 *
 * A plan is a generator that yields the calls it wants made. `runNow` makes them synchronously (the crash
 * fence has no event loop), `runLater` on the thread pool. What lies between two yields is one synchronous
 * turn in both, so a check followed by a rename without a yield between them cannot be split.
 */
import type { AsyncFileCalls, FileCalls, FileSystem } from "./file-system.js";

type AnyCall = { readonly name: keyof FileCalls; readonly args: readonly unknown[] };

/** What a plan can ask its executor for. */
type Step = AnyCall | { readonly pauseMillis: number };

/** A file operation that runs in either way. */
export type Plan<T> = Generator<Step, T, unknown>;

/** Thrown into a plan that was cancelled while it waited; its `finally` blocks still run. */
export class PlanCancelled extends Error {
  override readonly name = "PlanCancelled";
}

/** Asks for one file-system call. */
export function* call<K extends keyof FileCalls>(
  name: K,
  ...args: Parameters<FileCalls[K]>
): Plan<ReturnType<FileCalls[K]>> {
  return (yield { name, args }) as ReturnType<FileCalls[K]>;
}

/** Waits; with 0, lets the event loop turn. Synchronously, only a wait above 0 does anything. */
export function* pause(millis: number): Plan<void> {
  yield { pauseMillis: millis };
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Runs a plan to its end without returning to the event loop. */
export function runNow<T>(fileSystem: FileSystem, plan: Plan<T>): T {
  let step = plan.next();
  while (!step.done) {
    let outcome: unknown;
    try {
      outcome = makeNow(fileSystem.sync, step.value);
    } catch (error) {
      step = plan.throw(error);
      continue;
    }
    step = plan.next(outcome);
  }
  return step.value;
}

function makeNow(calls: FileCalls, step: Step): unknown {
  if ("pauseMillis" in step) {
    if (step.pauseMillis > 0) Atomics.wait(sleepCell, 0, 0, step.pauseMillis);
    return undefined;
  }
  return (calls[step.name] as (...args: readonly unknown[]) => unknown)(...step.args);
}

/**
 * Runs a plan on the thread pool. After each step `isCancelled` is asked; once it says yes, the plan gets a
 * `PlanCancelled` at the point where it waited, and the promise rejects with that.
 */
export async function runLater<T>(
  fileSystem: FileSystem,
  plan: Plan<T>,
  isCancelled: () => boolean = () => false,
): Promise<T> {
  let cancelled = false;
  let step = plan.next();
  while (!step.done) {
    let outcome: unknown;
    try {
      outcome = await makeLater(fileSystem.async, step.value);
    } catch (error) {
      step = plan.throw(error);
      continue;
    }
    if (!cancelled && isCancelled()) {
      cancelled = true;
      // The plan will not learn of a descriptor that arrives with the cancellation.
      if ("name" in step.value && step.value.name === "open") fileSystem.sync.close(outcome as number);
      step = plan.throw(new PlanCancelled("the work was overtaken by the end of its session"));
    } else {
      step = plan.next(outcome);
    }
  }
  return step.value;
}

function makeLater(calls: AsyncFileCalls, step: Step): Promise<unknown> {
  if ("pauseMillis" in step) {
    return new Promise((resolve) => {
      if (step.pauseMillis > 0) setTimeout(resolve, step.pauseMillis);
      else setImmediate(resolve);
    });
  }
  return (calls[step.name] as (...args: readonly unknown[]) => Promise<unknown>)(...step.args);
}
