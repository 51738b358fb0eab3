/** Spans without the record that a session tracer attaches: as another process or a backend gets them. */
import { ROOT_CONTEXT } from "@opentelemetry/api";
import type { ReadableSpan, SpanProcessor, StartedSpan } from "../../src/otel/types.js";
import type { PlainSpan } from "./otlp-server.js";

const bare = new WeakMap<object, ReadableSpan>();

/** A live view of the span. Nothing is copied but its interface. */
function bareSpan(span: ReadableSpan): ReadableSpan {
  const known = bare.get(span);
  if (known) return known;
  const view: Record<string, unknown> = {};
  for (const key of members)
    Object.defineProperty(view, key, { enumerable: true, get: () => span[key as keyof ReadableSpan] });
  const spanContext = () => span.spanContext();
  const made = Object.assign(view, { spanContext }) as unknown as ReadableSpan;
  bare.set(span, made);
  return made;
}

const members: readonly Exclude<keyof ReadableSpan, "spanContext">[] = [
  "name",
  "kind",
  "parentSpanContext",
  "startTime",
  "endTime",
  "duration",
  "ended",
  "status",
  "attributes",
  "events",
  "links",
  "resource",
  "instrumentationScope",
  "droppedAttributesCount",
  "droppedEventsCount",
  "droppedLinksCount",
];

/** Passes bare spans to another processor. */
export class BareSpans implements SpanProcessor {
  readonly #to: SpanProcessor;

  constructor(to: SpanProcessor) {
    this.#to = to;
  }

  onStart(span: StartedSpan): void {
    this.#to.onStart(bareSpan(span) as StartedSpan, ROOT_CONTEXT);
  }

  onEnd(span: ReadableSpan): void {
    this.#to.onEnd(bareSpan(span));
  }

  forceFlush(): Promise<void> {
    return this.#to.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#to.shutdown();
  }
}

const timeOf = (nanos: bigint): [number, number] => [
  Number(nanos / 1_000_000_000n),
  Number(nanos % 1_000_000_000n),
];

/** A span that a collector got, as a span of the SDK. */
export function receivedSpan(span: PlainSpan): ReadableSpan {
  const { traceId, spanId, parentSpanId, links, events, dropped } = span;
  const context = { traceId, spanId, traceFlags: 1 };
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => context,
    parentSpanContext: parentSpanId === undefined ? undefined : { ...context, spanId: parentSpanId },
    startTime: timeOf(span.start),
    endTime: timeOf(span.end),
    duration: timeOf(span.end - span.start),
    ended: true,
    status: span.status,
    attributes: span.attributes,
    events: events.map(({ name, time, attributes }) => ({ name, time: timeOf(time), attributes })),
    links: links.map(({ attributes, ...linked }) => ({
      context: { ...linked, traceFlags: 1 },
      attributes,
    })),
    resource: { attributes: span.resource },
    instrumentationScope: { name: span.scope },
    droppedAttributesCount: dropped.attributes,
    droppedEventsCount: dropped.events,
    droppedLinksCount: dropped.links,
  };
}
