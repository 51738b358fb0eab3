/**
 * Exact spans: the span as a session tracer knows it, attached to the OpenTelemetry span on its way to the file.
 *
 * OpenTelemetry attributes lose information: 128 attributes per span, no nested values and no null in SDK 2.x, clamped
 * times. The exporter of this package writes the exact span where one is attached, and projects attributes elsewhere.
 */
import type { Context } from "@opentelemetry/api";
import type { TraceSpan } from "../format/trace-file.js";

/** A span of the document without its ids, which the OpenTelemetry span has. */
export type ExactSpan = Omit<TraceSpan, "spanId" | "parentSpanId" | "traceId">;

/**
 * What is attached to an OpenTelemetry span: an exact span, or the fact that the span is the root of a turn. A turn has no
 * span in the document; its children become children of the session span.
 */
export type Attachment = ExactSpanAttachment | { readonly type: "turn" };

export interface ExactSpanAttachment {
  readonly type: "span";
  /** Returns the span in its present state; called each time the span is written. */
  readonly read: () => ExactSpan;
  /** The attributes that the tracer set. Other attributes are written in addition to the exact span. */
  readonly own: readonly Readonly<Record<string, unknown>>[];
  /** The latest span of the document, and the exact span that it was made of: reused until the exact span changes. */
  made?: {
    readonly record: ExactSpan;
    readonly span: TraceSpan;
    /** The span after the content filter `by`. */
    shown?: { readonly by: object; readonly span: TraceSpan };
  };
}

// `Symbol.for`: two versions of this package in one process read each other's attachments.
const KEY = Symbol.for("opentelemetry-exporter-crash-safe-file/span-record/1");

/** A context for the start of one span, whose attachment is known before `onStart` of the processors. */
export const withAttachment = (context: Context, attachment: Attachment): Context =>
  context.setValue(KEY, attachment);

/**
 * Attaches to a started span, as a hidden property. A map from spans to attachments took 3 µs per call, most of it in
 * the next garbage collection.
 */
export function attach(span: object, attachment: Attachment): void {
  if (!(KEY in span)) Object.defineProperty(span, KEY, { value: attachment });
}

/** The attachment of a span, or of the context in which the span starts. */
export function attachmentOf(span: object, startedIn?: Context): Attachment | undefined {
  const known = (span as { readonly [KEY]?: Attachment })[KEY];
  if (known || !startedIn) return known;
  const starting = startedIn.getValue(KEY) as Attachment | undefined;
  if (starting) attach(span, starting);
  return starting;
}
