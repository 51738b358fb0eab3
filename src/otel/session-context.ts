/**
 * Which session the code now running belongs to, carried in the OpenTelemetry context.
 */
import { type Context, trace } from "@opentelemetry/api";
import type { ReadableSpan, StartedSpan } from "./types.js";

// `Symbol.for`, so that two versions of this package in one process read each other's values.
const SESSION_ID = Symbol.for("opentelemetry-exporter-crash-safe-file/session-id");

/**
 * Names the session for every span started in `context` or in a context derived from it:
 * `CrashSafeSpanProcessor` puts it on them as `session.id`, unless they carry a session of their own.
 *
 * @param sessionId - any text; an empty one takes the session away.
 * @returns a new context; `context` stays as it is.
 */
export function setSessionId(context: Context, sessionId: string): Context {
  return context.setValue(SESSION_ID, sessionId);
}

/** The session that {@link setSessionId} named, or `undefined`. */
export function getSessionId(context: Context): string | undefined {
  const value = context.getValue(SESSION_ID);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/**
 * @internal Sets `session.id` on a span that carries no session (neither `session.id` nor `gen_ai.conversation.id`):
 * the one of the context it starts in, else the one of its parent span, if that is in this process.
 */
export function stampSessionId(span: StartedSpan, parentContext: Context): void {
  if (sessionOf(span.attributes) !== undefined) return;
  const parent = trace.getSpan(parentContext) as Partial<ReadableSpan> | undefined;
  const sessionId = getSessionId(parentContext) ?? sessionOf(parent?.attributes);
  if (typeof sessionId === "string") span.setAttribute("session.id", sessionId);
}

function sessionOf(attributes: ReadableSpan["attributes"] | undefined): unknown {
  return attributes?.["session.id"] ?? attributes?.["gen_ai.conversation.id"];
}
