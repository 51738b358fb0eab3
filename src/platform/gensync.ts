/**
 * gensync: one body for the synchronous and the asynchronous form of a file operation.
 *
 * An operation is a generator that yields the calls of `io` and `pause`. `runSync` makes the calls synchronously, since
 * the crash fence has no event loop; `runAsync` makes the calls on the thread pool. The code between two yields runs in
 * one turn of the event loop in both forms. Where correctness needs that, the code stands in a `sync` block, which the
 * compiler keeps free of yields.
 */
import { timers } from "./clock.js";
import { type AsyncFileCalls, type FileCalls, type FileSystem, nodeFileSystem } from "./file-system.js";

type CallName = keyof FileCalls;

/** What an operation asks its executor for. */
type Step = { readonly name: CallName; readonly args: readonly unknown[] } | { readonly pauseMillis: number };

/** A file operation that runs in either form. */
export type Gensync<T> = Generator<Step, T, unknown>;

/** The calls of the file system, each to be used as `yield* io.open(path, "read")`. */
type IoCalls = {
  readonly [K in CallName]: (...args: Parameters<FileCalls[K]>) => Gensync<ReturnType<FileCalls[K]>>;
};

/** Asks for file-system calls. */
export const io = Object.fromEntries(
  Object.keys(nodeFileSystem.sync).map((name) => [
    name,
    function* (...args: unknown[]): Gensync<unknown> {
      return yield { name: name as CallName, args };
    },
  ]),
) as unknown as IoCalls;

/** Waits; with 0, lets the event loop turn. In synchronous form only a wait above 0 has an effect. */
export function* pause(millis: number): Gensync<void> {
  yield { pauseMillis: millis };
}

type Deferred = PromiseLike<unknown> | Generator<unknown, unknown, never>;

/**
 * Runs a block in this turn of the event loop and returns its result: a check and the rename that depends on the check,
 * for example. A `yield` in the block is a syntax error, and a block that returns a promise or a generator, such as a
 * call of `io`, is a type error.
 */
export function sync<Block extends () => unknown>(
  block: Block & (ReturnType<Block> extends Deferred ? never : unknown),
): ReturnType<Block> {
  return block() as ReturnType<Block>;
}

/** Thrown into an operation that was cancelled while it waited; the `finally` blocks of the operation still run. */
export class OperationCancelled extends Error {
  override readonly name = "OperationCancelled";
}

/** What synchronous operations may wait in one turn of the event loop, all together: a crash fence holds up its process. */
const turnWaitMillis = 500;

/** Milliseconds that are left of it; `undefined` before the first wait of a turn. */
let leftInTurn: number | undefined;

/** Waits as long as this turn still may. Throws when it may not: the operation is left to a later try, or to recovery. */
function waitNow(millis: number): void {
  if (leftInTurn === undefined) {
    leftInTurn = turnWaitMillis;
    timers.queueMicrotask(() => {
      leftInTurn = undefined;
    });
  }
  const wait = Math.min(millis, leftInTurn);
  if (wait <= 0) throw new Error(`no wait is left: synchronous work waits for ${turnWaitMillis} ms at most`);
  leftInTurn -= wait;
  Atomics.wait(sleepCell, 0, 0, wait);
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Runs an operation to its end without returning to the event loop. */
export function runSync<T>(fileSystem: FileSystem, operation: Gensync<T>): T {
  let step = operation.next();
  while (!step.done) {
    let outcome: unknown;
    try {
      outcome = callSync(fileSystem.sync, step.value);
    } catch (error) {
      step = operation.throw(error);
      continue;
    }
    step = operation.next(outcome);
  }
  return step.value;
}

function callSync(calls: FileCalls, step: Step): unknown {
  if ("pauseMillis" in step) {
    if (step.pauseMillis > 0) waitNow(step.pauseMillis);
    return undefined;
  }
  return (calls[step.name] as (...args: readonly unknown[]) => unknown)(...step.args);
}

/**
 * Runs an operation on the thread pool. `isCancelled` is asked after each step; once it returns true, an
 * `OperationCancelled` is thrown into the operation at the point where it waited, and the promise rejects with that.
 */
export async function runAsync<T>(
  fileSystem: FileSystem,
  operation: Gensync<T>,
  isCancelled: () => boolean = () => false,
): Promise<T> {
  let cancelled = false;
  let step = operation.next();
  while (!step.done) {
    let outcome: unknown;
    try {
      outcome = await callAsync(fileSystem.async, step.value);
    } catch (error) {
      step = operation.throw(error);
      continue;
    }
    if (!cancelled && isCancelled()) {
      cancelled = true;
      // The operation does not learn of a descriptor that arrives with the cancellation.
      if ("name" in step.value && step.value.name === "open") fileSystem.sync.close(outcome as number);
      step = operation.throw(new OperationCancelled("the end of the session overtook this operation"));
    } else {
      step = operation.next(outcome);
    }
  }
  return step.value;
}

function callAsync(calls: AsyncFileCalls, step: Step): Promise<unknown> {
  if ("pauseMillis" in step) {
    return new Promise((resolve) => {
      if (step.pauseMillis > 0) timers.setTimeout(resolve, step.pauseMillis);
      else timers.setImmediate(resolve);
    });
  }
  return (calls[step.name] as (...args: readonly unknown[]) => Promise<unknown>)(...step.args);
}
