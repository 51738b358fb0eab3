/**
 * A span with a record attached, as its document has it: the record, and what others have put on the span.
 */

import type { TraceSpan } from "../format/trace-file.js";
import type { ReadableSpan } from "../otel/types.js";
import type { RecordAttachment } from "../projection/attached-record.js";
import {
  attempt,
  describeHistory,
  describeStatus,
  ERROR_STATUS,
  plainAttributes,
  readAttributes,
} from "../projection/read-span.js";

/** `parentSpanId` is that in the document. The same object again as long as nothing has changed. */
export function exactSpan(span: ReadableSpan, attachment: RecordAttachment, parentSpanId: string): TraceSpan {
  const record = attachment.read();
  const { made } = attachment;
  const others = attempt(() => othersAttributes(span, attachment.own, record.status), undefined);
  if (made?.record === record && made.span.parentSpanId === parentSpanId && !others) return made.span;
  const { traceId, spanId } = span.spanContext();
  const exact: TraceSpan = { spanId, parentSpanId, ...record, traceId };
  if (others) return { ...exact, attributes: { ...others, ...record.attributes } };
  attachment.made = { record, span: exact };
  return exact;
}

/** Attributes, events, links and an error that the tracer did not put there. */
function othersAttributes(
  span: ReadableSpan,
  own: RecordAttachment["own"],
  recorded: TraceSpan["status"],
): Record<string, unknown> | undefined {
  const isOthersError = recorded === "ok" && span.status.code === ERROR_STATUS;
  let isPlain = span.events.length === 0 && span.links.length === 0 && !isOthersError;
  for (const key in span.attributes) {
    if (isOwn(own, key)) continue;
    isPlain = false;
    break;
  }
  if (isPlain) return undefined;
  const attributes = readAttributes(span.attributes);
  for (const key of attributes.keys()) if (isOwn(own, key)) attributes.delete(key);
  const others = plainAttributes(attributes);
  if (isOthersError) describeStatus(span, others);
  describeHistory(span, others);
  return Object.keys(others).length > 0 ? others : undefined;
}

function isOwn(own: RecordAttachment["own"], key: string): boolean {
  for (const attributes of own) if (Object.hasOwn(attributes, key)) return true;
  return false;
}
