/**
 * Exact records: what a session tracer knows of a span, attached to it on its way to the file.
 *
 * OpenTelemetry attributes lose things: 128 per span, nothing nested and no null in 2.x, times clamped. An exporter
 * of ours writes the record where a span has one, and reads the attributes of all others.
 */
import type { Context } from "@opentelemetry/api";
import type { TraceSpan } from "../format/trace-file.js";

/** A span of the document but for its identity, which the span itself has. */
export type SpanRecord = Omit<TraceSpan, "spanId" | "parentSpanId" | "traceId">;

/**
 * Attached to a span. `span`: its record as of now, read whenever it is written, and the attributes that the tracer
 * set itself: others are somebody else's, and are kept beside the record. `turn`: the root of one turn, which stands
 * for no span of the document: what hangs under it hangs under the session.
 */
export type Attachment = RecordAttachment | { readonly type: "turn" };

/** The record of a span. */
export interface RecordAttachment {
  readonly type: "span";
  readonly read: () => SpanRecord;
  readonly own: readonly Readonly<Record<string, unknown>>[];
  /** The span of the document that was made of a record last: while that does not change, neither does the span. */
  made?: {
    readonly record: SpanRecord;
    readonly span: TraceSpan;
    /** What a filter of content has made of it. */
    shown?: { readonly by: object; readonly span: TraceSpan };
  };
}

// `Symbol.for`, so that two versions of this package in one process read each other's.
const KEY = Symbol.for("opentelemetry-exporter-crash-safe-file/span-record/1");

/** A context to start exactly one span in: its attachment is there when processors are told of it. */
export const withAttachment = (context: Context, attachment: Attachment): Context =>
  context.setValue(KEY, attachment);

/**
 * Attaches to a span that the caller has started, as a hidden property: a map of all spans that there are cost 3 µs a
 * call, most of it at the next garbage collection.
 */
export function attach(span: object, attachment: Attachment): void {
  if (!(KEY in span)) Object.defineProperty(span, KEY, { value: attachment });
}

/** What is attached to a span, or to the context that it is starting in. */
export function attachmentOf(span: object, startedIn?: Context): Attachment | undefined {
  const known = (span as { readonly [KEY]?: Attachment })[KEY];
  if (known || !startedIn) return known;
  const starting = startedIn.getValue(KEY) as Attachment | undefined;
  if (starting) attach(span, starting);
  return starting;
}
