/**
 * A span with a record attached, as its document has it: the record, and what others have put on the span.
 */
import type { ReadableSpan } from "./otel-span.js";
import { attempt, describeHistory, plainAttributes, readAttributes } from "./projection-otel.js";
import type { Attachment, SpanRecord } from "./span-record.js";
import type { TraceSpan } from "./trace-file.js";

interface Known {
  readonly record: SpanRecord;
  readonly span: TraceSpan;
  readonly isPlain: boolean;
}

export class ExactSpans {
  readonly #known = new WeakMap<object, Known>();

  /** `parentSpanId` is that in the document. The same object again as long as nothing has changed. */
  of(span: ReadableSpan, attachment: Extract<Attachment, { type: "span" }>, parentSpanId: string): TraceSpan {
    const record = attachment.read();
    const others = attempt(() => othersAttributes(span, attachment.ownKeys), undefined);
    const known = this.#known.get(span);
    if (known?.record === record && known.isPlain && !others) return known.span;
    const { traceId, spanId } = span.spanContext();
    const exact: TraceSpan = { spanId, parentSpanId, ...record, traceId };
    if (others) exact.attributes = { ...others, ...record.attributes };
    this.#known.set(span, { record, span: exact, isPlain: !others });
    return exact;
  }
}

/** Attributes, events and links that the tracer did not put there. */
function othersAttributes(
  span: ReadableSpan,
  ownKeys: ReadonlySet<string>,
): Record<string, unknown> | undefined {
  let isPlain = span.events.length === 0 && span.links.length === 0;
  for (const key in span.attributes) {
    if (ownKeys.has(key)) continue;
    isPlain = false;
    break;
  }
  if (isPlain) return undefined;
  const attributes = readAttributes(span.attributes);
  for (const key of ownKeys) attributes.delete(key);
  const others = plainAttributes(attributes);
  describeHistory(span, others);
  return Object.keys(others).length > 0 ? others : undefined;
}
