/**
 * The session of the code that runs now, carried in the OpenTelemetry context.
 */
import { context as active, type Context, propagation, trace } from "@opentelemetry/api";
import { sharedState } from "../platform/shared-state.js";
import { Diagnostics } from "./diagnostics.js";
import { isRegistered } from "./registered-api.js";
import { ATTR_SESSION_ID } from "./semantic-conventions.js";
import { hasSessionAttribute, logOnce, sessionIdOf, sessionIdText } from "./session-attributes.js";
import type { ReadableSpan, StartedSpan } from "./types.js";

// `Symbol.for`, so that two versions of this package in one process read each other's values.
const SESSION_ID = Symbol.for("opentelemetry-exporter-crash-safe-file/session-id");

const diagnostics = new Diagnostics("setSessionId");

/** What became of the contexts of {@link setSessionId}, as long as none has reached a span. */
let use: "none" | "set" | "reached a span" | "logged" = "none";

/**
 * Names the session of every span that starts in `context` or in a context derived from it: `CrashSafeSpanProcessor` sets
 * the attribute `session.id`, unless the span carries a session.
 *
 * @param sessionId - any text or finite number; an empty text removes the session. Any other value is logged, and removes
 * the session too
 * @returns a new context; `context` does not change
 */
export function setSessionId(context: Context, sessionId: string | number): Context {
  const id = sessionIdText(sessionId, "the id of setSessionId");
  if (use === "none" && id !== undefined) use = "set";
  if (typeof context?.setValue === "function") return context.setValue(SESSION_ID, id);
  logOnce("the context of setSessionId", context, "so that the active one is taken; pass context.active()");
  return active.active().setValue(SESSION_ID, id);
}

/** The session that {@link setSessionId} named, or `undefined`. */
export function getSessionId(context: Context): string | undefined {
  // Another version of this package may have set the value.
  return sessionIdText(context?.getValue?.(SESSION_ID), "the session of the context");
}

/**
 * The values of `session.id` that this package set on spans: such a value is not the span's own. The processor and the
 * exporter of a span may be of two copies of this package.
 */
const stamps = sharedState("session-stamps/1", () => new WeakMap<object, string>());

/**
 * @internal Sets `session.id` on a span without a session attribute: the session of the context in which the span starts,
 * else that of its parent span, if the parent is in this process.
 */
export function stampSessionId(span: StartedSpan, parentContext: Context): void {
  if (hasSessionAttribute(span)) return;
  const sessionId = sessionAround(parentContext);
  if (sessionId === undefined) {
    if (use === "set") checkContextManager();
    return;
  }
  use = "reached a span";
  stamps.set(span, sessionId);
  span.setAttribute(ATTR_SESSION_ID, sessionId);
}

/** Logs once that contexts do not reach spans where `context.with` has no context manager. */
function checkContextManager(): void {
  if (isRegistered("context")) return;
  use = "logged";
  diagnostics.log(
    "warn",
    "a span that starts within context.with() has no session, because no context manager is registered: register one, such " +
      "as AsyncLocalStorageContextManager of @opentelemetry/context-async-hooks, or pass the context to startSpan()",
  );
}

/** @internal The session that a span names itself; not the one that {@link stampSessionId} set. */
export const ownSessionId = (span: ReadableSpan): string | undefined => sessionIdOf(span, stamps.get(span));

/** @internal The session that {@link stampSessionId} set. */
export const stampedSessionId = (span: ReadableSpan): string | undefined => stamps.get(span);

/**
 * @internal The session of a span that starts in this context and names none itself: that of {@link setSessionId}, else
 * `session.id` in the W3C baggage, else that of the parent span.
 */
export function sessionAround(context: Context): string | undefined {
  const inContext = getSessionId(context);
  if (inContext !== undefined) return inContext;
  const inBaggage = propagation.getBaggage(context)?.getEntry(ATTR_SESSION_ID)?.value;
  if (inBaggage) return inBaggage;
  const parent = trace.getSpan(context) as Partial<ReadableSpan> | undefined;
  return parent && (sessionIdOf(parent, stamps.get(parent)) ?? stamps.get(parent));
}
