/**
 * When a session may publish: a copy is as large as the document, so copies are paid from a token bucket.
 *
 * A session may publish when its document is at least four times as large as the last copy, or when the bucket covers
 * the copy. The bucket begins empty and refills at `bytesPerSecond`. All copies on growth together are at most four
 * thirds of the document; the bucket pays for every other copy. With one append per span, and at most one more for a
 * start that carries everything, bytes written stay within 4x the data plus the rate times the time.
 * (5,000 spans of 5 KB, one per turn: 2.8x with a factor of four, 3.3x of three, 3.1x of six, which copies late. The
 * factor counts only where a session grows faster than its bucket refills.)
 */

/** Refill and size of the token bucket. */
export interface Pace {
  /** 1 MB/s by default. */
  readonly bytesPerSecond: number;
  /** Most tokens that the bucket holds: 32 MB by default, or one document if that is larger. */
  readonly maxBytes: number;
}

export const defaultPace: Pace = { bytesPerSecond: 1_000_000, maxBytes: 32_000_000 };

/** The first event after quiet is published this much later, together with the events that follow at once. */
const settleMillis = 20;

/** How many times as large as its last copy a document must be. */
const growth = 4;

/** The token bucket of one session. */
export class PublishBudget {
  readonly #limits: Pace;
  #tokens = 0;
  #refilledAt: number;
  #lastSize = 0;

  constructor(limits: Pace, nowMillis: number) {
    this.#limits = limits;
    this.#refilledAt = nowMillis;
  }

  /** Whether the document has grown enough since its last copy to be published without tokens. */
  hasGrown(sizeBytes: number): boolean {
    return sizeBytes >= growth * this.#lastSize;
  }

  /** Milliseconds to wait before a document of this size may be published. Monotonic time. */
  delay(sizeBytes: number, nowMillis: number): number {
    this.#refill(sizeBytes, nowMillis);
    if (this.hasGrown(sizeBytes)) return settleMillis;
    const missing = sizeBytes - this.#tokens;
    return Math.max(settleMillis, Math.ceil((missing / this.#limits.bytesPerSecond) * 1000));
  }

  /** A copy of this size was written, for whatever reason. */
  charge(sizeBytes: number, nowMillis: number): void {
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
