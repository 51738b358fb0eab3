/**
 * Spans as OTLP/JSON: `TracesData`, which the Collector's otlpjsonfile receiver reads one per line, and which a request
 * to `/v1/traces` has as its body. Ids are hex, 64-bit integers are strings, enums are numbers (OTLP 1.x, "JSON Protobuf
 * Encoding").
 */
import type { HrTime, ReadableSpan } from "../otel/types.js";
import type { ReplayedResource } from "../replay/replayed-origins.js";

interface AnyValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number | string;
  readonly arrayValue?: { readonly values: readonly AnyValue[] };
  readonly kvlistValue?: { readonly values: readonly KeyValue[] };
}

interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}

/** Spans grouped by resource and scope. */
export function tracesData(spans: readonly ReadableSpan[]): object {
  const resources = new Map<
    string,
    { resource: ReadableSpan["resource"]; scopes: Map<string, ReadableSpan[]> }
  >();
  for (const span of spans) {
    const { attributes, schemaUrl } = span.resource as ReplayedResource;
    const resourceKey = JSON.stringify([attributes, schemaUrl]);
    const group = resources.get(resourceKey) ?? { resource: span.resource, scopes: new Map() };
    resources.set(resourceKey, group);
    const scopeKey = JSON.stringify(span.instrumentationScope);
    const scope = group.scopes.get(scopeKey);
    if (scope) scope.push(span);
    else group.scopes.set(scopeKey, [span]);
  }
  return {
    resourceSpans: [...resources.values()].map(({ resource, scopes }) => ({
      resource: { attributes: keyValues(resource.attributes) },
      ...schemaOf(resource as ReplayedResource),
      scopeSpans: [...scopes.values()].map((scoped) => ({
        scope: scopeOf(scoped[0] as ReadableSpan),
        ...schemaOf((scoped[0] as ReadableSpan).instrumentationScope),
        spans: scoped.map(otlpSpan),
      })),
    })),
  };
}

function scopeOf({ instrumentationScope: { name, version, attributes } }: ReadableSpan): object {
  return {
    name,
    ...(version !== undefined && { version }),
    ...(attributes && { attributes: keyValues(attributes) }),
  };
}

const schemaOf = ({ schemaUrl }: { readonly schemaUrl?: string | undefined }): object =>
  schemaUrl === undefined ? {} : { schemaUrl };

/** `SpanKind` of the protocol counts from 1: 0 is "unspecified". */
const kindOffset = 1;

function otlpSpan(span: ReadableSpan): object {
  const { traceId, spanId, traceState } = span.spanContext();
  const parent = span.parentSpanContext?.spanId;
  const { code, message } = span.status;
  return {
    traceId,
    spanId,
    ...(traceState && { traceState: traceState.serialize() }),
    ...(parent && { parentSpanId: parent }),
    name: span.name,
    kind: span.kind + kindOffset,
    startTimeUnixNano: nanos(span.startTime),
    endTimeUnixNano: nanos(span.endTime),
    attributes: keyValues(span.attributes),
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events.map(({ name, time, attributes = {}, droppedAttributesCount }) => ({
      timeUnixNano: nanos(time),
      name,
      attributes: keyValues(attributes),
      ...(droppedAttributesCount && { droppedAttributesCount }),
    })),
    droppedEventsCount: span.droppedEventsCount,
    links: span.links.map(({ context, attributes = {}, droppedAttributesCount }) => ({
      traceId: context.traceId,
      spanId: context.spanId,
      ...(context.traceState && { traceState: context.traceState.serialize() }),
      attributes: keyValues(attributes),
      ...(droppedAttributesCount && { droppedAttributesCount }),
    })),
    droppedLinksCount: span.droppedLinksCount,
    status: { code, ...(message !== undefined && { message }) },
  };
}

const nanos = ([seconds, rest]: HrTime): string =>
  String(BigInt(seconds) * 1_000_000_000n + BigInt(Math.round(rest)));

const keyValues = (attributes: Readonly<Record<string, unknown>>): KeyValue[] =>
  Object.entries(attributes)
    .filter(([key, value]) => key !== "" && value !== undefined)
    .map(([key, value]) => ({ key, value: anyValue(value) }));

/** An absent value is an empty message. Numbers that JSON lacks are the texts that protobuf's JSON mapping defines. */
function anyValue(value: unknown): AnyValue {
  if (typeof value === "string") return { stringValue: value.toWellFormed() };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "number") {
    if (Number.isSafeInteger(value)) return { intValue: String(value) };
    return { doubleValue: Number.isFinite(value) ? value : String(value) };
  }
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  if (typeof value === "object" && value !== null)
    return { kvlistValue: { values: keyValues(value as Record<string, unknown>) } };
  return value === null || value === undefined ? {} : { stringValue: String(value) };
}
