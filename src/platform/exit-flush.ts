/**
 * Flushes what is waiting when the process is about to end by itself.
 *
 * Our timers do not keep the process alive, so a program that simply finishes would take its last spans
 * with it. `beforeExit` is the one moment when the event loop can still be given work.
 */

/** What can be flushed before the process ends. */
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

/** What each target of this copy of the package does with a flush that fails. */
const onErrorOf = new WeakMap<Flushable, (error: unknown) => void>();

/**
 * Has `target` flushed before a natural exit. Idempotent; holds until {@link leaveExitFlush}.
 *
 * @param onError called with the error of a flush that fails
 */
export function joinExitFlush(target: Flushable, onError: (error: unknown) => void): void {
  slots[SLOT] ??= { waiting: new Set(), listener: flushAll };
  const { waiting, listener } = slots[SLOT];
  // Called for each span: the first call is the only one that has work to do.
  if (waiting.has(target)) return;
  onErrorOf.set(target, onError);
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
    target.forceFlush().catch((error: unknown) => onErrorOf.get(target)?.(error));
  }
}
