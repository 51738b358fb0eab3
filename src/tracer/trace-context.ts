/**
 * W3C Trace Context: the headers `traceparent` and `tracestate` as the context of a span, and back.
 * https://www.w3.org/TR/trace-context/
 */
import {
  type Context,
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type SpanContext,
  trace,
} from "@opentelemetry/api";
import type { TraceHeaders } from "./input-types.js";
import { textMember } from "./untrusted-input.js";

/**
 * Version, trace id, span id, flags, and what a later version may add. Ids of zeros alone and version ff are invalid.
 */
const traceparentPattern =
  /^\s?(?!ff)([\da-f]{2})-((?!0{32})[\da-f]{32})-((?!0{16})[\da-f]{16})-([\da-f]{2})(-.*)?\s?$/;

/** The context of the client whose `traceparent` is among the options; `undefined` when there is no valid one. */
export function clientContext(options: unknown): Context | undefined {
  const traceparent = textMember(options, "traceparent");
  if (traceparent === undefined) return undefined;
  const tracestate = textMember(options, "tracestate");
  return contextOf({ traceparent, ...(tracestate !== undefined && { tracestate }) });
}

/** The context of the sender of the headers; `undefined` when `traceparent` is invalid. */
export function contextOf({ traceparent, tracestate }: TraceHeaders): Context | undefined {
  const [, version, traceId, spanId, flags, more] = traceparentPattern.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === "00" && more !== undefined) return undefined;
  const remote: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate && { traceState: createTraceState(tracestate) }),
  };
  return trace.setSpanContext(ROOT_CONTEXT, remote);
}

/** The headers that propagate a context; `undefined` when the context has no valid span. */
export function headersOf(context: Context): TraceHeaders | undefined {
  const span = trace.getSpanContext(context);
  if (!span || !isSpanContextValid(span)) return undefined;
  const { traceId, spanId, traceFlags, traceState } = span;
  const flags = (traceFlags & 0xff).toString(16).padStart(2, "0");
  const tracestate = traceState?.serialize();
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(tracestate && { tracestate }) };
}
