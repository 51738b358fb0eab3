/**
 * From a span of OpenTelemetry to a span of a document: the record that a session tracer attached, or else a projection
 * of the attributes. The roots of traces and the children of a turn become children of the session span.
 */

import type { Context } from "@opentelemetry/api";
import { programContent } from "../format/cap.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { laterSpan } from "../otel/first-sdk-span.js";
import { turnSpanId } from "../otel/ids.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import { RecentMap } from "../platform/recent-map.js";
import { attachmentOf, type ExactSpanAttachment } from "../projection/exact-span.js";
import { projectSpanFrom } from "../projection/project-span.js";
import {
  describeHistory,
  describeStatus,
  plainAttributes,
  readAttributes,
  UNSET_STATUS,
} from "../projection/read-span.js";
import type { ContentFilter } from "./content-filter.js";
import { NestedCalls } from "./nested-calls.js";
import { SpanOrigins } from "./span-origins.js";

/** Turns to remember. Projected children of an older turn keep a parent that is not in the document. */
const maxTurns = 10_000;

/** A span of the document, and what it adds to the metadata of its session. */
export interface ConvertedSpan {
  /** Absent for a turn, which is no span of the document. */
  readonly span: TraceSpan | undefined;
  /** With the resource and the scope of the span (`format/origins.ts`). */
  readonly metadata: Partial<SessionMetadata>;
}

export class SpanConverter {
  readonly #filter: ContentFilter | undefined;
  /** The resources and scopes of the spans. */
  readonly origins: SpanOrigins;
  /** The traces of the turns with a span id: span ids are unique within a trace only. */
  readonly #turns = new RecentMap<string, readonly string[]>(maxTurns);
  readonly #calls = new NestedCalls();
  /** Kept for the next span of the trace: a hash for each span would cost 2 µs. */
  #lastTurn: { readonly traceId: string; readonly spanId: string } | undefined;

  /** `filter`: absent where nothing is written to a file. */
  constructor(filter: ContentFilter | undefined) {
    this.#filter = filter;
    this.origins = new SpanOrigins(filter);
  }

  /**
   * `rootSpanId`: parent of the spans at the top. `startedIn`: the context in which the span starts; absent after its
   * start.
   */
  convert(given: ReadableSpan, rootSpanId: string | null, startedIn?: Context): ConvertedSpan {
    const span = laterSpan(given);
    const attachment = attachmentOf(span, startedIn);
    if (attachment?.type === "turn") return this.#turn(span, {});
    if (attachment) {
      const parentId = tryOr(() => span.parentSpanContext?.spanId, undefined);
      const origin = this.origins.of(span);
      const parent = this.#parentOf(span, parentId, rootSpanId);
      const exact = exactSpan(span, attachment, parent, origin.resource);
      if (startedIn) this.#calls.addExact(exact);
      return { span: this.#filteredExact(exact, attachment), metadata: origin.metadata };
    }
    const origin = this.origins.of(span);
    const read = projectSpanFrom(span, origin);
    if (read.isTurn) return this.#turn(span, this.#filter?.metadata(read.metadata) ?? read.metadata);
    const asPart = () => projectSpanFrom(span, origin, "part");
    const { span: projected, metadata } = this.#calls.place(read, asPart, span);
    const filtered = this.#filter?.metadata(metadata) ?? metadata;
    // The projection made this object, and no other code has it yet.
    projected.parentSpanId = this.#parentOf(span, projected.parentSpanId, rootSpanId);
    return {
      span: programContent(this.#filter?.span(projected) ?? projected),
      metadata: described(filtered, origin.metadata),
    };
  }

  /** A span that is in no document: its children become children of the session span. */
  leaveOut(span: ReadableSpan): void {
    this.#turn(span, {});
  }

  /** Filters a record once for as long as it does not change: each copy of the document asks for every open span. */
  #filteredExact(exact: TraceSpan, { made }: ExactSpanAttachment): TraceSpan {
    const filter = this.#filter;
    if (!filter) return programContent(exact);
    if (made?.span !== exact) return programContent(filter.span(exact));
    if (made.shown?.by !== filter) made.shown = { by: filter, span: programContent(filter.span(exact)) };
    return made.shown.span;
  }

  #turn(span: ReadableSpan, metadata: Partial<SessionMetadata>): ConvertedSpan {
    const { spanId, traceId } = span.spanContext();
    this.#turns.set(spanId, [...(this.#turns.get(spanId) ?? []), traceId]);
    return { span: undefined, metadata };
  }

  #parentOf(
    span: ReadableSpan,
    parentId: string | null | undefined,
    rootSpanId: string | null,
  ): string | null {
    if (!parentId) return rootSpanId;
    const traceId = tryOr(() => span.spanContext().traceId, "");
    const isTurn = this.#turns.get(parentId)?.includes(traceId) || parentId === this.#turnOf(traceId);
    return isTurn ? rootSpanId : parentId;
  }

  /** The id of the turn of a trace, if a provider of ours chose it: a turn ends after its children. */
  #turnOf(traceId: string): string {
    if (this.#lastTurn?.traceId !== traceId) this.#lastTurn = { traceId, spanId: turnSpanId(traceId) };
    return this.#lastTurn.spanId;
  }
}

/**
 * The attached record together with what code other than the tracer has put on the span. Returns the object of the last
 * call as long as nothing has changed.
 */
function exactSpan(
  span: ReadableSpan,
  attachment: ExactSpanAttachment,
  parentSpanId: string | null,
  resource: string | undefined,
): TraceSpan {
  const record = attachment.read();
  const { made } = attachment;
  const added = tryOr(() => addedAttributes(span, attachment.own, record.status), undefined);
  if (made?.record === record && made.span.parentSpanId === parentSpanId && !added) return made.span;
  const { traceId, spanId } = span.spanContext();
  const origin = resource === undefined ? {} : { resource };
  const exact: TraceSpan = { spanId, parentSpanId, ...origin, ...record, traceId };
  if (added) return { ...exact, attributes: { ...added, ...record.attributes } };
  attachment.made = { record, span: exact };
  return exact;
}

/** The object of the origin where the span adds nothing else: a session knows that object already. */
function described(
  metadata: Partial<SessionMetadata>,
  origin: Partial<SessionMetadata>,
): Partial<SessionMetadata> {
  for (const _ in metadata) return { ...metadata, ...origin };
  return origin;
}

/** Attributes, events, links and a status that were not set by the tracer. */
function addedAttributes(
  span: ReadableSpan,
  own: ExactSpanAttachment["own"],
  recorded: TraceSpan["status"],
): Record<string, unknown> | undefined {
  const isAddedStatus = recorded === "ok" && span.status.code !== UNSET_STATUS;
  let isPlain = span.events.length === 0 && span.links.length === 0 && !isAddedStatus;
  for (const key in span.attributes) {
    if (isOwn(own, key)) continue;
    isPlain = false;
    break;
  }
  if (isPlain) return undefined;
  const attributes = readAttributes(span.attributes);
  for (const key of attributes.keys()) if (isOwn(own, key)) attributes.delete(key);
  const added = plainAttributes(attributes);
  if (isAddedStatus) describeStatus(span, added);
  describeHistory(span, added);
  return Object.keys(added).length > 0 ? added : undefined;
}

function isOwn(own: ExactSpanAttachment["own"], key: string): boolean {
  for (const attributes of own) if (Object.hasOwn(attributes, key)) return true;
  return false;
}
