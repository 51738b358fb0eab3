/**
 * Spans of instrumentations other than the session tracer, read back from a document: the inverse of the projection
 * (`projection/project-span.ts`), which turned attributes into fields and described the rest under `otel.*`.
 */

import { isRecord } from "../format/json-value.js";
import type { TraceSpan } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_INPUT,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_NAME,
  ATTR_CRASH_SAFE_FILE_OUTPUT,
  ATTR_CRASH_SAFE_FILE_TOOL_DURATION,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
  ATTR_GEN_AI_PROVIDER_NAME,
  ATTR_GEN_AI_REQUEST_MODEL,
  ATTR_GEN_AI_RESPONSE_MODEL,
  ATTR_GEN_AI_TOOL_CALL_ARGUMENTS,
  ATTR_GEN_AI_TOOL_CALL_RESULT,
  ATTR_GEN_AI_TOOL_TYPE,
} from "../otel/semantic-conventions.js";
import { microTimeOf } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { conventionalMessages } from "../projection/messages.js";
import { ERROR_STATUS, nonEmptyText, OK_STATUS, UNSET_STATUS } from "../projection/read-span.js";
import { exactAttributes } from "../projection/to-attributes.js";
import { sampled, statedMember } from "./replayed-context.js";
import type { ReplayIds, SpanParts } from "./replayed-span.js";
import { restoredAttributes, restoredEvents } from "./restored-attributes.js";

const kinds: readonly unknown[] = ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

/** Keys that describe the span and were no attributes of it. */
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
 * Whether an instrumentation made the span. Spans of session tracers, and of altimate-code's earlier tracer, have no
 * scope in the document. A span whose instrumentation scope has no name cannot be distinguished from those.
 */
export const isInstrumented = ({ attributes, original }: TraceSpan): boolean =>
  typeof attributes?.["otel.scope.name"] === "string" || original !== undefined;

/** The attributes without the keys that describe the span. */
export function ownAttributes({ attributes }: TraceSpan): Record<string, unknown> {
  const entries = Object.entries(attributes ?? {}).filter(([key]) => !describedKeys.has(key));
  return Object.fromEntries(entries);
}

/** Name, kind and scope of an instrumented span. */
export function describedIdentity(span: TraceSpan): Pick<SpanParts, "name" | "kind" | "scope"> {
  const attributes = span.attributes ?? {};
  const version = nonEmptyText(attributes["otel.scope.version"]);
  return {
    name: nonEmptyText(attributes["otel.span_name"]) ?? String(span.name),
    kind: Math.max(0, kinds.indexOf(attributes["otel.kind"])),
    scope: {
      name: nonEmptyText(attributes["otel.scope.name"]) ?? "",
      ...(version !== undefined && { version }),
    },
  };
}

/** Events, links and dropped counts of any span. */
export function describedHistory(
  span: TraceSpan,
  ids: ReplayIds,
): Pick<SpanParts, "events" | "links" | "dropped"> {
  const { attributes = {} } = span;
  const taken = restoredEvents(span);
  return {
    events: records(attributes["otel.events"]).map((event, at) => eventOf(event, taken[at])),
    links: records(attributes["otel.links"]).map((link) => linkOf(link, ids)),
    dropped: {
      attributes: count(attributes["otel.dropped_attributes_count"]),
      events: count(attributes["otel.dropped_events_count"]),
      links: count(attributes["otel.dropped_links_count"]),
    },
  };
}

/**
 * The OpenTelemetry status that the attributes describe, and the attributes without those that describe it. An unset
 * status has none (`describeStatus` of the projection), except on a span that failed.
 */
export function describedStatus(
  attributes: Readonly<Record<string, unknown>>,
): Pick<SpanParts, "status" | "attributes"> {
  const { "otel.status_code": code, "otel.status_description": description, ...rest } = attributes;
  if (code === "OK") return { status: { code: OK_STATUS }, attributes: rest };
  if (code === "UNSET") return { status: { code: UNSET_STATUS }, attributes: rest };
  if (code !== "ERROR") return { status: { code: UNSET_STATUS }, attributes };
  const message = nonEmptyText(description);
  return { status: { code: ERROR_STATUS, ...(message !== undefined && { message }) }, attributes: rest };
}

/**
 * The attributes of an instrumented span, as they were. Without the originals (a redactor, a limit, an open span, a document of
 * 0.1.0), values that became fields come back under the keys of the GenAI conventions.
 */
export const foreignAttributes = (span: TraceSpan): Record<string, unknown> =>
  restoredAttributes(span, ownAttributes(span)) ?? conventionalAttributes(span);

function conventionalAttributes(span: TraceSpan): Record<string, unknown> {
  const { input, output, attributes: _attributes, original: _original, ...fields } = span;
  const own = ownAttributes(span);
  const restored: Record<string, unknown> = exactAttributes(fields);
  // Keys that only the session tracer writes.
  delete restored[ATTR_CRASH_SAFE_FILE_NAME];
  delete restored[ATTR_GEN_AI_TOOL_TYPE];
  delete restored[ATTR_ERROR_TYPE];
  // The projection derived these kinds from the operation, or from no attribute at all.
  if (["generation", "embedding", "tool", "span"].includes(span.kind))
    delete restored[ATTR_CRASH_SAFE_FILE_KIND];
  // The projection computes the duration where no attribute has it.
  if (span.tool?.durationMs === computedDuration(span)) delete restored[ATTR_CRASH_SAFE_FILE_TOOL_DURATION];
  const [inputKey, outputKey] = contentKeys(span, own);
  // A call around model calls has a model, too, which the session tracer's spans of this kind never have.
  const { modelId, providerId } = span.model ?? {};
  if (span.kind === "span" && modelId !== undefined) {
    restored[ATTR_GEN_AI_REQUEST_MODEL] = modelId;
    if (providerId !== undefined) restored[ATTR_GEN_AI_PROVIDER_NAME] = providerId;
  }
  // Both the model that was asked for and the one that answered.
  const asked = own[ATTR_GEN_AI_REQUEST_MODEL];
  const answered = restored[ATTR_GEN_AI_REQUEST_MODEL];
  if (asked !== undefined && answered !== asked) restored[ATTR_GEN_AI_RESPONSE_MODEL] = answered;
  if (input !== undefined) restored[inputKey] = contentText(input);
  if (output !== undefined) restored[outputKey] = contentText(output);
  return { ...restored, ...own };
}

const computedDuration = ({ startTime, endTime }: TraceSpan): number | undefined =>
  endTime === undefined ? undefined : Math.round((endTime - startTime) * 1000) / 1000;

function contentKeys(span: TraceSpan, own: Readonly<Record<string, unknown>>): [string, string] {
  if (span.kind === "tool") return [ATTR_GEN_AI_TOOL_CALL_ARGUMENTS, ATTR_GEN_AI_TOOL_CALL_RESULT];
  return span.kind === "generation" ||
    span.kind === "embedding" ||
    own[ATTR_GEN_AI_OPERATION_NAME] !== undefined
    ? [ATTR_GEN_AI_INPUT_MESSAGES, ATTR_GEN_AI_OUTPUT_MESSAGES]
    : [ATTR_CRASH_SAFE_FILE_INPUT, ATTR_CRASH_SAFE_FILE_OUTPUT];
}

/** The projection parses content that is JSON by convention, and gives messages the shape of the document. */
const contentText = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(conventionalMessages(value));

type JsonRecord = Readonly<Record<string, unknown>>;

/** An event or a link that could not be read is a text in the document, and is left out. */
const records = (value: unknown): JsonRecord[] => (Array.isArray(value) ? value.filter(isRecord) : []);

const count = (value: unknown): number => (typeof value === "number" && value > 0 ? value : 0);

/** Exporters of SDK 2.x also read a dropped count from each event and each link. */
type Counted<T> = T & { readonly droppedAttributesCount: number };

function eventOf(
  { name, time, attributes, droppedAttributesCount }: JsonRecord,
  taken: JsonRecord | undefined,
): Counted<ReadableSpan["events"][number]> {
  return {
    name: nonEmptyText(name) ?? "",
    time: microTimeOf(typeof time === "number" ? time : 0),
    attributes: { ...(isRecord(attributes) && attributes), ...taken },
    droppedAttributesCount: count(droppedAttributesCount),
  };
}

function linkOf(
  { traceId, spanId, traceState, traceFlags, isRemote, attributes, droppedAttributesCount }: JsonRecord,
  ids: ReplayIds,
): Counted<ReadableSpan["links"][number]> {
  const context = {
    traceId: ids.traceId(nonEmptyText(traceId) ?? ""),
    spanId: ids.spanId(nonEmptyText(spanId) ?? ""),
    traceFlags: typeof traceFlags === "number" ? traceFlags : sampled,
    ...(isRemote === true && { isRemote }),
    ...statedMember(traceState),
  };
  const dropped = count(droppedAttributesCount);
  return { context, attributes: isRecord(attributes) ? attributes : {}, droppedAttributesCount: dropped };
}
