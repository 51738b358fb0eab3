/**
 * When to publish: a whole copy is as large as the session, so copies are paid from a budget.
 *
 * A session may publish when its document is at least four times as large as the last copy, or when its budget
 * covers the copy. The budget begins empty and refills at `bytesPerSecond`. All copies on growth together are at
 * most four thirds of the document; all others are paid for. With one append per span, and at most one more
 * for a start that carries everything, bytes written stay within 4x the data plus the rate times the time.
 * (5,000 spans of 5 KB, one per turn: 2.8x with a factor of four, 3.3x of three, 3.1x of six, which copies late. It
 * counts only where a session grows faster than its budget.)
 */

/** Refill and size of the budget. */
export interface PaceLimits {
  /** 1 MB/s by default. */
  readonly bytesPerSecond: number;
  /** Most that can be saved up: 32 MB by default, or one document if that is larger. */
  readonly maxBytes: number;
}

export const defaultPace: PaceLimits = { bytesPerSecond: 1_000_000, maxBytes: 32_000_000 };

/** The first event after quiet is published this much later, together with what follows it at once. */
const settleMillis = 20;

/** How many times as large as its last copy a document must be. */
const growth = 4;

/** The budget of one session. */
export class Pace {
  readonly #limits: PaceLimits;
  #tokens = 0;
  #refilledAt: number;
  #lastSize = 0;

  constructor(limits: PaceLimits, nowMillis: number) {
    this.#limits = limits;
    this.#refilledAt = nowMillis;
  }

  /** Whether the document has grown enough since its last copy to be published without a budget. */
  hasGrown(sizeBytes: number): boolean {
    return sizeBytes >= growth * this.#lastSize;
  }

  /** Milliseconds to wait before a document of this size may be published. Monotonic time. */
  wait(sizeBytes: number, nowMillis: number): number {
    this.#refill(sizeBytes, nowMillis);
    if (this.hasGrown(sizeBytes)) return settleMillis;
    const missing = sizeBytes - this.#tokens;
    return Math.max(settleMillis, Math.ceil((missing / this.#limits.bytesPerSecond) * 1000));
  }

  /** A document of this size was written, at whatever cause. */
  spent(sizeBytes: number, nowMillis: number): void {
    this.#refill(sizeBytes, nowMillis);
    this.#tokens = Math.max(0, this.#tokens - sizeBytes);
    this.#lastSize = sizeBytes;
  }

  #refill(sizeBytes: number, nowMillis: number): void {
    const earned = ((nowMillis - this.#refilledAt) / 1000) * this.#limits.bytesPerSecond;
    this.#tokens = Math.min(Math.max(this.#limits.maxBytes, sizeBytes), this.#tokens + Math.max(0, earned));
    this.#refilledAt = nowMillis;
  }
}
