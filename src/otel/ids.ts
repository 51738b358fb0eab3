/**
 * Ids of the spans that a provider of ours makes: random, except those of the turns of a session.
 *
 * The document of a session names the trace of its first turn before that turn begins. A document does not hold the spans
 * of turns: a reader derives the id of a turn's span from its trace id.
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
    // An id of zeros is invalid (W3C Trace Context, "trace-id").
    if (/[1-9a-f]/.test(hex)) return hex;
  }
}

/** @internal 32 hex digits. */
export const newTraceId = (): string => randomHex(16);

/** @internal The span id of the turn that is the root of a trace. */
export const turnSpanId = (traceId: string): string =>
  createHash("sha256").update(`turn ${traceId}`).digest("hex").slice(0, 16);

/** An `IdGenerator` for the SDK. */
export class TurnIds {
  #nextSpanId: string | undefined;
  #nextTraceId: string | undefined;

  /** The next span that starts is the turn of this trace. To be called right before its start. */
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
