/**
 * Ids of the spans that a provider of ours makes: random, but for the turns of a session.
 *
 * A session's document names its first turn's trace before that turn begins, and whoever reads a document can tell
 * the id of a turn's span, which the document does not hold, from its trace.
 */
import { createHash, randomFillSync } from "node:crypto";

const pool = Buffer.alloc(4096);
let used = pool.length;

function randomHex(bytes: number): string {
  for (;;) {
    if (used + bytes > pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    const hex = pool.toString("hex", used, used + bytes);
    used += bytes;
    // All zeros is no id (W3C Trace Context, "trace-id").
    if (/[1-9a-f]/.test(hex)) return hex;
  }
}

/** @internal 32 hex digits. */
export const newTraceId = (): string => randomHex(16);

/** @internal The id of the span of the turn that is the root of a trace. */
export const turnSpanId = (traceId: string): string =>
  createHash("sha256").update(`turn ${traceId}`).digest("hex").slice(0, 16);

/** An `IdGenerator` of the SDK. */
export class TurnIds {
  #nextSpanId: string | undefined;
  #nextTraceId: string | undefined;

  /** The next root span is the turn of that trace. To be called right before it is started. */
  nextTurn(traceId: string): void {
    this.#nextTraceId = traceId;
    this.#nextSpanId = turnSpanId(traceId);
  }

  /** 32 hex digits. */
  generateTraceId(): string {
    const traceId = this.#nextTraceId ?? newTraceId();
    this.#nextTraceId = undefined;
    return traceId;
  }

  /** 16 hex digits. */
  generateSpanId(): string {
    const spanId = this.#nextSpanId ?? randomHex(8);
    this.#nextSpanId = undefined;
    return spanId;
  }
}
