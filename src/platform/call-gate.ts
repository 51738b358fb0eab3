/**
 * A gate before the asynchronous calls of one directory: calls pass beside each other while its file system answers. A
 * mount that hangs holds the thread of one call, and not the whole thread pool of the host; two or more only if it stops
 * to answer while as many calls are under way.
 */
import type { Clock } from "./clock.js";
import type { AsyncFileCalls, FileSystem } from "./file-system.js";

/** A file system that has answered no call for so long is asked with one call at a time. */
const answeredMillis = 1_000;

export function gated(fileSystem: FileSystem, clock: Clock): FileSystem {
  const gate = new CallGate(clock);
  const calls = Object.entries(fileSystem.async).map(([name, call]) => [
    name,
    (...args: never[]) => gate.pass(() => (call as (...args: never[]) => Promise<unknown>)(...args)),
  ]);
  return { ...fileSystem, async: Object.fromEntries(calls) as AsyncFileCalls };
}

class CallGate {
  readonly #clock: Clock;
  /** Monotonic times at which the calls began that have not returned, oldest first. */
  readonly #underway = new Map<object, number>();
  #answered = Number.NEGATIVE_INFINITY;
  /** Calls that wait, in their order. */
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async pass<T>(call: () => Promise<T>): Promise<T> {
    if (!this.#isOpen()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    const key = {};
    this.#underway.set(key, this.#clock.monotonic());
    try {
      return await call();
    } finally {
      this.#underway.delete(key);
      this.#answered = this.#clock.monotonic();
      this.#letPass();
    }
  }

  #isOpen(): boolean {
    const [oldest] = this.#underway.values();
    if (oldest === undefined) return true;
    const now = this.#clock.monotonic();
    return now - this.#answered < answeredMillis && now - oldest < answeredMillis;
  }

  /** The file system has just answered: all that wait may pass, unless another call has waited for long. */
  #letPass(): void {
    for (const next of this.#waiting) {
      if (!this.#isOpen()) return;
      this.#waiting.delete(next);
      next();
    }
  }
}
