/**
 * Spans as exporters take them, made from what a document says.
 */

import type { ResourceLike } from "../otel/resource.js";
import {
  ATTR_CRASH_SAFE_FILE_END_TIME,
  ATTR_CRASH_SAFE_FILE_START_TIME,
} from "../otel/semantic-conventions.js";
import { durationOf, laterOf, microTimeOf, millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { setExactTime } from "../projection/to-attributes.js";

/** What differs between spans. Times in epoch milliseconds. */
export interface SpanParts {
  readonly name: string;
  /** `SpanKind` of the API. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly startTime: number;
  readonly endTime: number;
  /** `message` of an error; absent where it is none. */
  readonly error: { readonly message: string | undefined } | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: ReadableSpan["events"];
  readonly links: ReadableSpan["links"];
  readonly scope: ReadableSpan["instrumentationScope"];
  readonly dropped: { readonly attributes: number; readonly events: number; readonly links: number };
}

export const nothingDropped = { attributes: 0, events: 0, links: 0 };

const sampled = 1;
const errorStatus = 2;

/** A span that has ended. What OpenTelemetry cannot have as its time goes into an attribute, as the tracer does it. */
export function readableSpan(parts: SpanParts, resource: ResourceLike): ReadableSpan {
  const { traceId, spanId, parentSpanId, error, dropped } = parts;
  const startTime = microTimeOf(parts.startTime);
  const endTime = laterOf(startTime, microTimeOf(parts.endTime));
  const context = { traceId, spanId, traceFlags: sampled };
  const attributes: Record<string, unknown> = { ...parts.attributes };
  if (millis(startTime) !== parts.startTime)
    setExactTime(attributes, ATTR_CRASH_SAFE_FILE_START_TIME, parts.startTime);
  if (millis(endTime) !== parts.endTime)
    setExactTime(attributes, ATTR_CRASH_SAFE_FILE_END_TIME, parts.endTime);
  const parent = parentSpanId === undefined ? undefined : { ...context, spanId: parentSpanId };
  return {
    name: parts.name,
    kind: parts.kind,
    spanContext: () => context,
    parentSpanContext: parent,
    startTime,
    endTime,
    duration: durationOf(startTime, endTime),
    ended: true,
    status: error
      ? { code: errorStatus, ...(error.message !== undefined && { message: error.message }) }
      : { code: 0 },
    attributes,
    events: parts.events,
    links: parts.links,
    resource,
    instrumentationScope: parts.scope,
    droppedAttributesCount: dropped.attributes,
    droppedEventsCount: dropped.events,
    droppedLinksCount: dropped.links,
  };
}
