/** The spans of a document, by their state in it, without the session's own. */
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";

export const worked = (trace: TraceFile): TraceSpan[] =>
  trace.spans.filter((span) => span.kind !== "session");

/** Ended by the program. */
export const ended = (trace: TraceFile): TraceSpan[] =>
  worked(trace).filter((span) => span.endTime !== undefined && !span.interrupted);

export const interrupted = (trace: TraceFile): TraceSpan[] =>
  worked(trace).filter((span) => span.interrupted);

/** Ids that are in it more than once. */
export function repeated(trace: TraceFile): string[] {
  const seen = new Set<string>();
  return trace.spans.map(({ spanId }) => spanId).filter((spanId) => seen.has(spanId) || !seen.add(spanId));
}

/** Spans whose parent is missing. Empty, where the document is whole. */
export function orphansOf({ spans }: TraceFile): TraceSpan[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  return spans.filter(({ parentSpanId }) => parentSpanId !== null && !ids.has(parentSpanId));
}
