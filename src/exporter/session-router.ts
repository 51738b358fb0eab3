/**
 * The session that a span belongs to.
 */

import { sessionIdOf, sessionIdText } from "../otel/session-attributes.js";
import type { ReadableSpan } from "../otel/types.js";
import { RecentMap } from "../platform/recent-map.js";

/** Number of traces to remember. Spans of older traces that name no session fall back to the trace id. */
const maxTraces = 10_000;

/** Returns the session of a span, or `undefined` where the attributes decide. */
export type SessionIdOption = (span: ReadableSpan) => string | number | undefined;

/**
 * @internal The session of a span: the `sessionId` option, else a session attribute of the span, else the session that
 * another span of the trace named, else the trace id.
 */
export class SessionRouter {
  readonly #option: SessionIdOption | undefined;
  readonly #sessionOfTrace = new RecentMap<string, string>(maxTraces);

  constructor(option: SessionIdOption | undefined) {
    this.#option = option;
  }

  /** Remembers the session that a span names for its trace, before any span of the batch is routed. */
  learn(span: ReadableSpan): void {
    const named = this.#named(span);
    if (named !== undefined) this.#sessionOfTrace.set(span.spanContext().traceId, named);
  }

  /** The session of a span. */
  route(span: ReadableSpan): string {
    const { traceId } = span.spanContext();
    const named = this.#named(span);
    if (named === undefined) return this.#sessionOfTrace.get(traceId) ?? traceId;
    this.#sessionOfTrace.set(traceId, named);
    return named;
  }

  #named(span: ReadableSpan): string | undefined {
    return this.#fromOption(span) ?? sessionIdOf(span);
  }

  #fromOption(span: ReadableSpan): string | undefined {
    try {
      return sessionIdText(this.#option?.(span), "the result of the option sessionId");
    } catch {
      // The option of the host failed for this span; its attributes and its trace can still name the session.
      return undefined;
    }
  }
}
