/**
 * The session that a span names: by the option of the program, by its attributes, or by the context it starts in.
 */

import type { Context } from "@opentelemetry/api";
import { Diagnostics } from "../otel/diagnostics.js";
import { sessionIdText } from "../otel/session-attributes.js";
import { ownSessionId, sessionAround, stampedSessionId } from "../otel/session-context.js";
import type { ReadableSpan } from "../otel/types.js";

/** Returns the session of a span, or `undefined` where the attributes decide. */
export type SessionIdOption = (span: ReadableSpan) => string | number | undefined;

/** Messages wait until the span is recorded: the option is called in between. */
const diagnostics = new Diagnostics("sessionId", { isDeferred: true });

/** @internal */
export class SessionRouter {
  readonly #option: SessionIdOption | undefined;

  constructor(option: SessionIdOption | undefined) {
    this.#option = option;
  }

  /** The session that the option or an own attribute of the span names. `isStart`: the span has just started. */
  own(span: ReadableSpan, isStart: boolean): string | undefined {
    const fromOption = this.#option && this.#fromOption(span);
    if (fromOption !== undefined) return fromOption;
    // A span that was stamped at its start had no session attribute then.
    return isStart && stampedSessionId(span) !== undefined ? undefined : ownSessionId(span);
  }

  /** The session in which the span started, if the span names none itself. `context`: where it starts. */
  inherited(span: ReadableSpan, context: Context | undefined): string | undefined {
    return stampedSessionId(span) ?? (context && sessionAround(context));
  }

  #fromOption(span: ReadableSpan): string | undefined {
    try {
      return sessionIdText(this.#option?.(span), "the result of the option sessionId");
    } catch (error) {
      // The attributes of the span and its trace can still name the session.
      diagnostics.failure("threw, so that attributes and traces name sessions; check the function", error);
      return undefined;
    }
  }
}
