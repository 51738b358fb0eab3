/**
 * The time of one session in this process.
 */
import type { Clock } from "../platform/clock.js";

export class SessionClock {
  readonly #clock: Clock;
  /** The last time that {@link now} returned, and the monotonic time of that call. */
  #last: { readonly now: number; readonly monotonic: number };
  #lastActive: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastActive = clock.monotonic();
    this.#last = { now: clock.now(), monotonic: this.#lastActive };
  }

  /**
   * Epoch milliseconds for what the document says. While a clock that was set back is behind, time goes on as the monotonic
   * clock does: else spans would have ended later than their session.
   */
  now(): number {
    const monotonic = this.#clock.monotonic();
    const wall = this.#clock.now();
    const { now, monotonic: before } = this.#last;
    const isBehind = wall < Math.floor(now);
    this.#last = { now: isBehind ? now + monotonic - before : wall, monotonic };
    return Math.floor(this.#last.now);
  }

  /** Monotonic milliseconds of the last record. */
  get lastActive(): number {
    return this.#lastActive;
  }

  touch(): void {
    this.#lastActive = this.#clock.monotonic();
  }
}
