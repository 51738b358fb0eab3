/**
 * Flushes waiting spans when the process is about to end by itself.
 *
 * Our timers do not keep the process alive, so a program that ends would lose its last spans. `beforeExit` is the only
 * moment at which the event loop still accepts work.
 */

import { sharedState } from "./shared-state.js";

/** A target of the flush. */
interface Flushable {
  forceFlush(): Promise<void>;
}

interface ExitFlush {
  readonly waiting: Set<Flushable>;
  readonly listener: () => void;
}

// One listener per process, shared by all copies and versions of this package. The member names are part of the interface.
const { waiting, listener } = sharedState<ExitFlush>("exit-flush/1", () => ({
  waiting: new Set(),
  listener: flushAll,
}));

/** The error handlers of targets of this copy of the package. */
const onErrorOf = new WeakMap<Flushable, (error: unknown) => void>();

/**
 * Flushes `target` before a natural exit, until {@link leaveExitFlush}. Idempotent.
 *
 * @param onError called with the error of a flush that fails
 */
export function joinExitFlush(target: Flushable, onError: (error: unknown) => void): void {
  // Called for each span; only the first call has work to do.
  if (waiting.has(target)) return;
  onErrorOf.set(target, onError);
  if (waiting.size === 0) process.on("beforeExit", listener);
  waiting.add(target);
}

/** Whether `target`, which may be of another copy of this package, is flushed before a natural exit. */
export const flushesAtExit = (target: object): boolean => waiting.has(target as Flushable);

/** Removes `target`, and with the last target the listener. */
export function leaveExitFlush(target: Flushable): void {
  if (waiting.delete(target) && waiting.size === 0) process.off("beforeExit", listener);
}

function flushAll(): void {
  for (const target of waiting) {
    // Unregister first: `beforeExit` fires again after each flush and would loop.
    leaveExitFlush(target);
    target.forceFlush().catch((error: unknown) => onErrorOf.get(target)?.(error));
  }
}
