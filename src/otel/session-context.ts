/**
 * The session of the code that runs now, carried in the OpenTelemetry context.
 */
import { type Context, trace } from "@opentelemetry/api";
import { ATTR_SESSION_ID } from "./semantic-conventions.js";
import { hasSessionAttribute, sessionIdOf, sessionIdText } from "./session-attributes.js";
import type { ReadableSpan, StartedSpan } from "./types.js";

// `Symbol.for`, so that two versions of this package in one process read each other's values.
const SESSION_ID = Symbol.for("opentelemetry-exporter-crash-safe-file/session-id");

/**
 * Names the session of every span that starts in `context` or in a context derived from it: `CrashSafeSpanProcessor` sets
 * the attribute `session.id`, unless the span carries a session.
 *
 * @param sessionId - any text or finite number; an empty text removes the session. Any other value is logged, and removes
 * the session too
 * @returns a new context; `context` does not change
 */
export function setSessionId(context: Context, sessionId: string | number): Context {
  return context.setValue(SESSION_ID, sessionIdText(sessionId, "the id of setSessionId"));
}

/** The session that {@link setSessionId} named, or `undefined`. */
export function getSessionId(context: Context): string | undefined {
  // Another version of this package may have set the value.
  return sessionIdText(context.getValue(SESSION_ID), "the session of the context");
}

/**
 * @internal Sets `session.id` on a span without a session attribute: the session of the context in which the span starts,
 * else that of its parent span, if the parent is in this process.
 */
export function stampSessionId(span: StartedSpan, parentContext: Context): void {
  if (hasSessionAttribute(span)) return;
  const parent = trace.getSpan(parentContext) as Partial<ReadableSpan> | undefined;
  const sessionId = getSessionId(parentContext) ?? sessionIdOf(parent);
  if (sessionId !== undefined) span.setAttribute(ATTR_SESSION_ID, sessionId);
}
