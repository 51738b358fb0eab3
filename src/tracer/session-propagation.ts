/**
 * The trace context that a client of an agent sends with its message.
 */
import type { Context } from "@opentelemetry/api";
import { contextOf } from "./trace-context.js";
import { textMember } from "./untrusted-input.js";

/** The context of a client that sent its `traceparent`; `undefined` when it sent none that can be read. */
export function clientContext(options: unknown): Context | undefined {
  const traceparent = textMember(options, "traceparent");
  if (traceparent === undefined) return undefined;
  const tracestate = textMember(options, "tracestate");
  return contextOf({ traceparent, ...(tracestate !== undefined && { tracestate }) });
}
