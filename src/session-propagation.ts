/**
 * W3C Trace Context, in from clients and out to whoever an agent calls.
 */
import {
  type Context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { textMember } from "./session-input.js";
import type { TraceHeaders } from "./session-tracer-input.js";

const propagator = new W3CTraceContextPropagator();

/** The context of a client that sent its `traceparent`; `undefined` when it sent none that can be read. */
export function clientContext(options: unknown): Context | undefined {
  const traceparent = textMember(options, "traceparent");
  if (traceparent === undefined) return undefined;
  const carrier = { traceparent, tracestate: textMember(options, "tracestate") ?? "" };
  const client = propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
  return trace.getSpanContext(client) ? client : undefined;
}

/** The headers that carry a context on; `undefined` when no span is in it. */
export function headersOf(context: Context): TraceHeaders | undefined {
  const carrier: { traceparent?: string; tracestate?: string } = {};
  propagator.inject(context, carrier, defaultTextMapSetter);
  const { traceparent, tracestate } = carrier;
  if (traceparent === undefined) return undefined;
  return { traceparent, ...(tracestate && { tracestate }) };
}
