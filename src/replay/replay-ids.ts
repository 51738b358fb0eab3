/**
 * Ids of replayed spans: those of the document where they are OpenTelemetry's, else made of them.
 */
import { createHash } from "node:crypto";

/** All zeros is no id (W3C Trace Context). */
const otelSpanId = /^(?!0{16}$)[0-9a-f]{16}$/;
const otelTraceId = /^(?!0{32}$)[0-9a-f]{32}$/;

/**
 * Documents of other tracers have ids of any shape (UUIDs, counters). The same id of the same session gives the same
 * id every time, so that parents are found and a second replay sends no second span; the session is hashed with it,
 * since a counter begins anew in each.
 */
export class ReplayIds {
  readonly #sessionId: string;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
  }

  spanId(id: string): string {
    return otelSpanId.test(id) ? id : this.#made("span", id).slice(0, 16);
  }

  traceId(id: string): string {
    return otelTraceId.test(id) ? id : this.#made("trace", id).slice(0, 32);
  }

  #made(kind: string, id: string): string {
    return createHash("sha256").update(`${kind}\0${this.#sessionId}\0${id}`).digest("hex");
  }
}
