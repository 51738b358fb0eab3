/**
 * What `projection-otel.ts` describes under `otel.*` attributes, read back: name, kind, scope, events and links.
 */

import { isRecord } from "../format/json-value.js";
import type { TraceSpan } from "../format/trace-file.js";
import { microTimeOf } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { textOf } from "../projection/read-span.js";
import type { SpanParts } from "./readable-span.js";
import type { ReplayIds } from "./replay-ids.js";

const OTEL_KINDS: readonly unknown[] = ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

/** Keys that are no attributes of the span. */
const describedKeys: ReadonlySet<string> = new Set([
  "otel.span_name",
  "otel.kind",
  "otel.scope.name",
  "otel.scope.version",
  "otel.events",
  "otel.links",
  "otel.dropped_attributes_count",
  "otel.dropped_events_count",
  "otel.dropped_links_count",
]);

/**
 * Whether a span came from an instrumentation, and was projected: those of session tracers, and of the tracer before
 * ours, say nothing of their scope. A foreign span whose scope has no name cannot be told from them.
 */
export const isForeign = ({ attributes }: TraceSpan): boolean =>
  typeof attributes?.["otel.scope.name"] === "string";

/** The attributes without the description. */
export function describedAttributes({ attributes }: TraceSpan): Record<string, unknown> {
  const entries = Object.entries(attributes ?? {}).filter(([key]) => !describedKeys.has(key));
  return Object.fromEntries(entries);
}

/** Name, kind and scope of a foreign span. */
export function describedIdentity(span: TraceSpan): Pick<SpanParts, "name" | "kind" | "scope"> {
  const attributes = span.attributes ?? {};
  const version = textOf(attributes["otel.scope.version"]);
  return {
    name: textOf(attributes["otel.span_name"]) ?? String(span.name),
    kind: Math.max(0, OTEL_KINDS.indexOf(attributes["otel.kind"])),
    scope: { name: textOf(attributes["otel.scope.name"]) ?? "", ...(version !== undefined && { version }) },
  };
}

/** What happened to any span. */
export function describedHistory(
  { attributes = {} }: TraceSpan,
  ids: ReplayIds,
): Pick<SpanParts, "events" | "links" | "dropped"> {
  return {
    events: records(attributes["otel.events"]).map(eventOf),
    links: records(attributes["otel.links"]).map((link) => linkOf(link, ids)),
    dropped: {
      attributes: count(attributes["otel.dropped_attributes_count"]),
      events: count(attributes["otel.dropped_events_count"]),
      links: count(attributes["otel.dropped_links_count"]),
    },
  };
}

type JsonRecord = Readonly<Record<string, unknown>>;

/** One that could not be read stands there as a text. */
const records = (value: unknown): JsonRecord[] => (Array.isArray(value) ? value.filter(isRecord) : []);

const count = (value: unknown): number => (typeof value === "number" && value > 0 ? value : 0);

/** Exporters of 2.x read the count of what was dropped from each event and link, too. */
type Counted<T> = T & { readonly droppedAttributesCount: number };

function eventOf({ name, time, attributes }: JsonRecord): Counted<ReadableSpan["events"][number]> {
  return {
    name: textOf(name) ?? "",
    time: microTimeOf(typeof time === "number" ? time : 0),
    attributes: isRecord(attributes) ? attributes : {},
    droppedAttributesCount: 0,
  };
}

function linkOf(
  { traceId, spanId, attributes }: JsonRecord,
  ids: ReplayIds,
): Counted<ReadableSpan["links"][number]> {
  const context = {
    traceId: ids.traceId(textOf(traceId) ?? ""),
    spanId: ids.spanId(textOf(spanId) ?? ""),
    traceFlags: 1,
  };
  return { context, attributes: isRecord(attributes) ? attributes : {}, droppedAttributesCount: 0 };
}
