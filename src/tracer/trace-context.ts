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

/** Version, trace id, span id, flags, and what a later version may add. Ids of zeros alone, and version ff, name nothing. */
const traceparentPattern =
  /^\s?(?!ff)([\da-f]{2})-((?!0{32})[\da-f]{32})-((?!0{16})[\da-f]{16})-([\da-f]{2})(-.*)?\s?$/;

/** The context of whoever sent the headers; `undefined` when `traceparent` cannot be read. */
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

/** The headers that carry a context on; `undefined` when no span is in it. */
export function headersOf(context: Context): TraceHeaders | undefined {
  const span = trace.getSpanContext(context);
  if (!span || !isSpanContextValid(span)) return undefined;
  const { traceId, spanId, traceFlags, traceState } = span;
  const flags = (traceFlags & 0xff).toString(16).padStart(2, "0");
  const tracestate = traceState?.serialize();
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, ...(tracestate && { tracestate }) };
}
