/**
 * Flushes what is waiting when the process is about to end by itself.
 *
 * Our timers do not keep the process alive, so a program that simply finishes would take its last spans
 * with it. `beforeExit` is the one moment when the event loop can still be given work.
 */
import { report } from "./span-loss.js";

interface Flushable {
  forceFlush(): Promise<void>;
}

interface ExitFlush {
  readonly waiting: Set<Flushable>;
  readonly listener: () => void;
}

// One listener per process, for all versions of this package in it together.
const SLOT = Symbol.for("opentelemetry-exporter-crash-safe-file/exit-flush/1");
const slots = globalThis as unknown as Record<symbol, ExitFlush | undefined>;

/** Has `target` flushed before a natural exit. Idempotent; holds until {@link leaveExitFlush}. */
export function joinExitFlush(target: Flushable): void {
  slots[SLOT] ??= { waiting: new Set(), listener: flushAll };
  const { waiting, listener } = slots[SLOT];
  if (waiting.size === 0) process.on("beforeExit", listener);
  waiting.add(target);
}

/** `target` has nothing to flush any more. The listener goes with the last one. */
export function leaveExitFlush(target: Flushable): void {
  const exitFlush = slots[SLOT];
  if (exitFlush?.waiting.delete(target) && exitFlush.waiting.size === 0) {
    process.off("beforeExit", exitFlush.listener);
  }
}

function flushAll(): void {
  for (const target of slots[SLOT]?.waiting ?? []) {
    // Leaving first ends the game when a flush brings nothing new: `beforeExit` fires after every one.
    leaveExitFlush(target);
    target.forceFlush().catch((error: unknown) => report("error", "the flush before exit failed", error));
  }
}
