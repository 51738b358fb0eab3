/** Reads an OpenTelemetry span that may throw, and describes its members that are not attributes. */
import { setOwn, toJsonValue, unreadable } from "../format/json-value.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";

/** The codes of `SpanStatusCode` in the API. */
export const UNSET_STATUS = 0;
export const OK_STATUS = 1;
export const ERROR_STATUS = 2;

/** The value of `TraceFlags.SAMPLED` in the API. */
const SAMPLED_FLAG = 1;

/** The value if it is a text that is not empty. */
export function nonEmptyText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Copies the attributes. Each is read once: a getter may return another value the next time. */
export function readAttributes(source: Readonly<Record<string, unknown>> | undefined): Map<string, unknown> {
  const attributes = new Map<string, unknown>();
  if (source === undefined || source === null) return attributes;
  try {
    for (const key of Object.keys(source)) {
      try {
        attributes.set(key, source[key]);
      } catch (error) {
        attributes.set(key, unreadable(error));
      }
    }
  } catch (error) {
    attributes.set("otel.attributes", unreadable(error));
  }
  return attributes;
}

/**
 * The attributes of a span as they were read, before dialects take some of them. Two arrays: a map that watches what is taken
 * cost 2 µs for each span.
 */
export class GivenAttributes {
  /** What is left of them. */
  readonly left: ReadonlyMap<string, unknown>;
  readonly keys: readonly string[];
  readonly values: readonly unknown[];

  constructor(attributes: ReadonlyMap<string, unknown>) {
    this.left = attributes;
    this.keys = [...attributes.keys()];
    this.values = [...attributes.values()];
  }

  /** `undefined` if none was taken or set since. */
  get given(): ReadonlyMap<string, unknown> | undefined {
    const isSame = (value: unknown, at: number) => this.left.get(this.keys[at] as string) === value;
    if (this.left.size === this.keys.length && this.values.every(isSame)) return undefined;
    return new Map(this.keys.map((key, at) => [key, this.values[at]]));
  }
}

/** Attributes as plain JSON values. The values of the keys `parsed` are plain already. */
export function plainAttributes(
  attributes: ReadonlyMap<string, unknown>,
  parsed?: ReadonlySet<string>,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of attributes) {
    const plain = typeof value === "string" || parsed?.has(key) ? value : toJsonValue(value);
    if (plain !== undefined) setOwn(result, key, plain);
  }
  return result;
}

/** `SpanKind` by number. INTERNAL, the first and usual one, is left out. */
const OTEL_KINDS: readonly (string | undefined)[] = [undefined, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

/** Adds what a span has besides attributes, under the `otel.` names that the specification reserves. */
export function describeOtel(
  span: ReadableSpan,
  attributes: Record<string, unknown>,
  taken?: TakenFromEvents,
): void {
  const add = adder(attributes);
  add("otel.kind", () => OTEL_KINDS[span.kind]);
  add("otel.scope.name", () => nonEmptyText(span.instrumentationScope.name));
  add("otel.scope.version", () => nonEmptyText(span.instrumentationScope.version));
  describeHistory(span, attributes, taken);
}

/** Attributes of events that are fields of the span, by event. */
type TakenFromEvents = ReadonlyMap<object, ReadonlySet<string>>;

/** Adds events without the attributes that became fields, links, and the counts of what the SDK dropped. */
export function describeHistory(
  span: ReadableSpan,
  attributes: Record<string, unknown>,
  taken?: TakenFromEvents,
): void {
  if (tryOr(() => hasNoHistory(span), false)) return;
  const add = adder(attributes);
  add("otel.events", () =>
    span.events.length > 0 ? span.events.map((event) => describeEvent(event, taken?.get(event))) : undefined,
  );
  add("otel.links", () => (span.links.length > 0 ? span.links.map(describeLink) : undefined));
  add("otel.dropped_attributes_count", () => positive(span.droppedAttributesCount));
  add("otel.dropped_events_count", () => positive(span.droppedEventsCount));
  add("otel.dropped_links_count", () => positive(span.droppedLinksCount));
}

/**
 * Adds the OpenTelemetry status where `status` of the document lacks it, under the keys of the specification ("Common
 * mapping", span status). An unset status adds nothing, so that it differs from a status that a program set to OK.
 */
export function describeStatus({ status }: ReadableSpan, attributes: Record<string, unknown>): void {
  if (status.code === OK_STATUS) attributes["otel.status_code"] = "OK";
  if (status.code !== ERROR_STATUS) return;
  attributes["otel.status_code"] = "ERROR";
  if (status.message) attributes["otel.status_description"] = status.message;
}

const adder = (attributes: Record<string, unknown>) => (key: string, read: () => unknown) => {
  const value = tryOr(read, undefined);
  if (value !== undefined && value !== "") attributes[key] = value;
};

/** Whether a span has nothing to describe, as most spans. */
const hasNoHistory = (span: ReadableSpan): boolean =>
  span.events.length === 0 &&
  span.links.length === 0 &&
  !span.droppedAttributesCount &&
  !span.droppedEventsCount &&
  !span.droppedLinksCount;

function positive(count: unknown): number | undefined {
  return typeof count === "number" && count > 0 ? count : undefined;
}

function describeEvent(
  event: ReadableSpan["events"][number],
  taken: ReadonlySet<string> | undefined,
): unknown {
  return tryOr<unknown>(
    () => ({
      name: String(event.name),
      time: millis(event.time),
      ...attributesMember(taken === undefined ? event.attributes : leftOf(event.attributes, taken)),
      ...droppedMember(event),
    }),
    "[unreadable event]",
  );
}

const sampled = 1;

function describeLink(link: ReadableSpan["links"][number]): unknown {
  return tryOr<unknown>(() => {
    const { traceId, spanId, traceFlags, isRemote } = link.context;
    const traceState = tryOr(() => nonEmptyText(link.context.traceState?.serialize()), undefined);
    return {
      traceId: String(traceId),
      spanId: String(spanId),
      ...(traceState !== undefined && { traceState }),
      // Most links are to sampled spans of this process.
      ...(typeof traceFlags === "number" && traceFlags !== sampled && { traceFlags }),
      ...(isRemote === true && { isRemote }),
      ...attributesMember(link.attributes),
      ...droppedMember(link),
    };
  }, "[unreadable link]");
}

/** How many attributes of an event or a link the SDK has dropped. */
function droppedMember({ droppedAttributesCount }: { readonly droppedAttributesCount?: unknown }): object {
  const dropped = positive(droppedAttributesCount);
  return dropped === undefined ? {} : { droppedAttributesCount: dropped };
}

const leftOf = (attributes: Readonly<Record<string, unknown>> | undefined, taken: ReadonlySet<string>) =>
  Object.fromEntries(Object.entries(attributes ?? {}).filter(([key]) => !taken.has(key)));

function attributesMember(source: Readonly<Record<string, unknown>> | undefined): { attributes?: unknown } {
  const attributes = plainAttributes(readAttributes(source));
  return Object.keys(attributes).length > 0 ? { attributes } : {};
}

/** Whether no document of this process has the parent: it is in another process, or unsampled, so that no exporter gets it. */
export function isElsewhere(parent: ReadableSpan["parentSpanContext"]): boolean {
  const { isRemote, traceFlags } = parent ?? {};
  return isRemote === true || (typeof traceFlags === "number" && (traceFlags & SAMPLED_FLAG) === 0);
}
