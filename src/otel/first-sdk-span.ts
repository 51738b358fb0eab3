/**
 * Spans of SDK 1.x, which have the parent and the scope under other names, as spans of the later lines. Nothing else of this
 * package knows the first line.
 */
import { tryOr } from "../platform/errors.js";
import type { ReadableSpan } from "./types.js";

/** What differs in a span of SDK 1.x. */
interface FirstSdkSpan {
  readonly parentSpanId?: string;
  readonly instrumentationLibrary?: ReadableSpan["instrumentationScope"];
}

/** One object for each span: a span is known by its object. */
const known = new WeakMap<object, ReadableSpan>();

/** The span itself; for a span of SDK 1.x an object that reads from that span. */
export function laterSpan(span: ReadableSpan): ReadableSpan {
  const instrumentationLibrary = tryOr(() => (span as FirstSdkSpan).instrumentationLibrary, undefined);
  if (instrumentationLibrary === undefined) return span;
  let later = known.get(span);
  if (!later) {
    const { parentSpanId } = span as FirstSdkSpan;
    later = Object.create(span, {
      instrumentationScope: { value: instrumentationLibrary },
      // Whether the parent is in another process is not in the span.
      parentSpanContext: {
        value: parentSpanId ? { traceId: span.spanContext().traceId, spanId: parentSpanId } : undefined,
      },
    }) as ReadableSpan;
    known.set(span, later);
  }
  return later;
}
