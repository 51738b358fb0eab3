/** A span of the SDK in the shape of a collector. */
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import type { PlainSpan } from "./otlp-server.js";

const nanoseconds = ([seconds, nanos]: [number, number]) => BigInt(seconds) * 1_000_000_000n + BigInt(nanos);

export function plainSpan(span: ReadableSpan): PlainSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    traceId,
    spanId,
    parentSpanId: span.parentSpanContext?.spanId,
    name: span.name,
    kind: span.kind,
    start: nanoseconds(span.startTime),
    end: nanoseconds(span.endTime),
    status: { code: span.status.code, message: span.status.message ?? "" },
    attributes: { ...span.attributes },
    events: span.events.map(({ name, time, attributes }) => ({
      name,
      time: nanoseconds(time),
      attributes: { ...attributes },
    })),
    links: span.links.map(({ context: { traceId, spanId }, attributes = {} }) => ({
      ...{ traceId, spanId },
      ...(Object.keys(attributes).length > 0 && { attributes }),
    })),
    dropped: {
      attributes: span.droppedAttributesCount,
      events: span.droppedEventsCount,
      links: span.droppedLinksCount,
    },
    resource: { ...span.resource.attributes },
    scope: span.instrumentationScope.name,
  };
}
