import type { Clock, Timer } from "../../src/platform/clock.js";

/** Real time without timers that fire: a test reads which calls would still run. */
export class IdleClock implements Clock {
  readonly #pending = new Set<Timer>();

  now = (): number => Date.now();
  monotonic = (): number => performance.now();

  after(): Timer {
    const timer: Timer = { cancel: () => this.#pending.delete(timer) };
    this.#pending.add(timer);
    return timer;
  }

  every(): Timer {
    return this.after();
  }

  /** Calls that were not cancelled. */
  get pending(): number {
    return this.#pending.size;
  }
}
