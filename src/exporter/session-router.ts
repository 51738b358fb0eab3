/**
 * Which session a span belongs to.
 */

import { ATTR_GEN_AI_CONVERSATION_ID, ATTR_SESSION_ID } from "../otel/semantic-conventions.js";
import type { ReadableSpan } from "../otel/types.js";
import { RecentMap } from "../platform/recent-map.js";

/** Traces whose session is remembered: children that end after this many newer traces began find the trace id. */
const maxTraces = 10_000;

/** Names a span's session; `undefined` leaves it to the attributes. */
export type SessionIdOption = (span: ReadableSpan) => string | undefined;

/**
 * @internal The `sessionId` option, else `session.id`, else `gen_ai.conversation.id`, else the session that another span
 * of the trace named, else the trace id.
 */
export class SessionRouter {
  readonly #option: SessionIdOption | undefined;
  readonly #sessionOfTrace = new RecentMap<string, string>(maxTraces);

  constructor(option: SessionIdOption | undefined) {
    this.#option = option;
  }

  /** Learns which session the span's trace belongs to, before any span of a batch is routed. */
  learn(span: ReadableSpan): void {
    const named = this.#named(span);
    if (named !== undefined) this.#sessionOfTrace.set(span.spanContext().traceId, named);
  }

  route(span: ReadableSpan): string {
    const { traceId } = span.spanContext();
    const named = this.#named(span);
    if (named === undefined) return this.#sessionOfTrace.get(traceId) ?? traceId;
    this.#sessionOfTrace.set(traceId, named);
    return named;
  }

  #named(span: ReadableSpan): string | undefined {
    return (
      asId(this.#fromOption(span)) ??
      asId(attributeOf(span, ATTR_SESSION_ID)) ??
      asId(attributeOf(span, ATTR_GEN_AI_CONVERSATION_ID))
    );
  }

  #fromOption(span: ReadableSpan): unknown {
    try {
      return this.#option?.(span);
    } catch {
      // The host's function failed on this span: it has attributes and a trace.
      return undefined;
    }
  }
}

function attributeOf(span: ReadableSpan, key: string): unknown {
  try {
    return span.attributes[key];
  } catch {
    // Attributes that cannot be read name no session; the span still has a trace.
    return undefined;
  }
}

const asId = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;
