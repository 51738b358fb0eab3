/**
 * `maxSpans`: the first and the last spans of a long session, with one elision marker in the place of the rest.
 */

import { noTokens } from "./counters.js";
import { decodeLine } from "./document.js";
import { sessionSpanId } from "./file-names.js";
import { finite, isRecord, jsonText, setOwn } from "./json-value.js";
import type { SpanIds } from "./span-map.js";
import { countsToJson, type ReadTotals, Totals } from "./totals.js";
import type { TokenCounts, TraceFile, TraceSpan } from "./trace-file.js";

/** What a document has to hold. */
export interface Load {
  /** Spans that have lines, without an elision marker. */
  readonly lines: number;
  /** Whether an earlier cap left spans out. */
  readonly hasMarker: boolean;
  /** Spans of the document that have no line: open spans and the session span. */
  readonly others: number;
}

interface Session {
  readonly id: string;
  readonly rootSpanId: string;
}

/**
 * The lines that a cap keeps: `[0, head)` and `[tail, …)`, with the marker between them. Where `head` and `tail` are
 * equal, all lines stay, and a new marker replaces the present one in its place.
 */
export interface LineSelection {
  readonly head: number;
  readonly tail: number;
  /** Makes the marker of all spans that this cap and earlier ones left out; `last` is the last of them. */
  marker(elided: Totals, last: SpanIds): TraceSpan;
}

/** Chooses among lines; `lines` does not count a present marker. */
export type SelectLines = (lines: number, hasMarker: boolean) => LineSelection | undefined;

/**
 * Keeps the first 30 % of `maxSpans`, then the marker, then the last lines. Returns `undefined` when all lines fit, or
 * when a marker would replace fewer than two. A present marker is always made anew: it holds the number of all spans.
 */
export function selectLines(load: Load, maxSpans: number, session: Session): LineSelection | undefined {
  const { lines, hasMarker, others } = load;
  const room = Math.max(2, maxSpans - others);
  const head = Math.min(lines, Math.floor(0.3 * maxSpans));
  const tail = lines - Math.max(1, room - head - 1);
  if (hasMarker) return selectionOf(load, head, Math.max(head, tail), session);
  if (lines <= room || tail - head < 2) return undefined;
  return selectionOf(load, head, tail, session);
}

/** Keeps all lines, and corrects a present marker. */
export function keepLines(load: Load, session: Session): LineSelection | undefined {
  return load.hasMarker ? selectionOf(load, 0, 0, session) : undefined;
}

function selectionOf({ lines, others }: Load, head: number, tail: number, session: Session): LineSelection {
  const kept = lines - (tail - head) + others;
  return { head, tail, marker: (elided, last) => markerSpan(elided, last, kept, session) };
}

/** Applies a selection to lines, one after the other. */
export class Elision {
  readonly #selection: LineSelection;
  readonly #elided = new Totals();
  #last: SpanIds;
  #position = 0;
  #isMarked = false;

  /** `present`: the marker among the lines. The new marker includes its totals, wherever its line is. */
  constructor(selection: LineSelection, present: ElisionMarker | undefined) {
    this.#selection = selection;
    if (present) this.#elided.merge(present.totals);
    this.#last = present?.last ?? { spanId: "" };
  }

  /** Whether the next line stays. Counts the line if it does not. `ids`: those of its span. */
  keeps(line: Buffer, ids: SpanIds): boolean {
    const { head, tail } = this.#selection;
    const position = this.#position++;
    if (position < head || position >= tail) return true;
    countLine(line, this.#elided);
    this.#last = ids;
    return false;
  }

  /** Returns the marker once: when its place is before `next`, which is about to be written. */
  marker(next: "line" | "marker" | "end"): TraceSpan | undefined {
    const { head, tail } = this.#selection;
    const isHere = head === tail ? next === "marker" : next === "end" || this.#position >= tail;
    if (this.#isMarked || !isHere) return undefined;
    this.#isMarked = true;
    return this.#selection.marker(this.#elided, this.#last);
  }
}

/** Adds the span of a line to `totals`, as {@link countSpan}. */
export function countLine(line: Buffer, totals: Totals, findsLoops = true): void {
  const decoded = decodeLine(line, -1);
  if (decoded.type === "span") countSpan(decoded.span, totals, findsLoops);
}

/**
 * Adds a span to `totals`; for an elision marker, the spans that it replaced. `findsLoops`: `false` where `totals` has the
 * loops of the span already.
 */
export function countSpan(span: TraceSpan, totals: Totals, findsLoops = true): void {
  const elided = elidedTotals(span);
  if (elided) totals.merge(elided, findsLoops);
  else totals.add(span, findsLoops);
}

/** Attribute of an elision marker: the totals of the spans that it replaced. */
export const elidedTotalsKey = "elidedTotals";

/**
 * Attributes of an elision marker: the ids of the last span that it replaced. A file that has a line of this span has
 * lines of all of them, since a writer drops lines only once a document with their marker is published. Markers of 0.1.0
 * lack the trace id.
 */
const lastKey = "lastElided";
const lastTraceKey = "lastElidedTraceId";

/**
 * The span id of a session's elision marker. A document has one marker at most. A span of a program may have the same id: what
 * a line holds makes it a marker ({@link decodeMarker}).
 */
export const markerSpanId = (sessionId: string): string => sessionSpanId(`elided ${sessionId}`);

/**
 * The elision marker. `elided`: the totals of the spans that the marker stands for. `last`: the last one of them. `kept`:
 * the number of the other spans of the document.
 */
function markerSpan(elided: Totals, last: SpanIds, kept: number, { id, rootSpanId }: Session): TraceSpan {
  return {
    spanId: markerSpanId(id),
    parentSpanId: rootSpanId,
    name: `${elided.spans} spans elided`,
    kind: "span",
    startTime: elided.firstStart,
    endTime: elided.lastEnd,
    status: "ok",
    attributes: {
      elided: elided.spans,
      totalSpans: elided.spans + kept,
      [lastKey]: last.spanId,
      ...(last.traceId !== undefined && { [lastTraceKey]: last.traceId }),
      [elidedTotalsKey]: elided.toJson(),
    },
  };
}

/** What the line of an elision marker holds. */
export interface ElisionMarker {
  readonly elided: number;
  /** The last span that the marker replaced; an empty id where none is known, and no trace id where 0.1.0 wrote the marker. */
  readonly last: SpanIds;
  readonly totals: ReadTotals;
}

/**
 * Reads the line of an elision marker; `undefined` for the line of a span of a program, which may have the id of a marker.
 * Members that are missing or of another type are empty.
 */
export function decodeMarker(line: Buffer): ElisionMarker | undefined {
  const decoded = decodeLine(line, -1);
  const span = decoded.type === "span" ? decoded.span : undefined;
  const totals = span && elidedTotals(span);
  if (!totals) return undefined;
  const last = span?.attributes?.[lastKey];
  const lastTraceId = span?.attributes?.[lastTraceKey];
  return {
    elided: finite(span?.attributes?.elided),
    last: {
      spanId: typeof last === "string" ? last : "",
      ...(typeof lastTraceId === "string" && { traceId: lastTraceId }),
    },
    totals,
  };
}

/** The totals of the spans that an elision marker replaced; `undefined` for every other span. */
export function elidedTotals({ attributes }: TraceSpan): ReadTotals | undefined {
  const totals = attributes?.[elidedTotalsKey];
  return isRecord(totals) ? (totals as ReadTotals) : undefined;
}

/**
 * What a program records, a span or facts of a session: an object among the attributes under the name that elision markers have
 * becomes its JSON text, so that no span of a program is read as a marker, whatever its id. Anything else is the same object.
 */
export function programContent<T extends { readonly attributes?: Readonly<Record<string, unknown>> }>(
  given: T,
): T {
  const value = given.attributes?.[elidedTotalsKey];
  if (typeof value !== "object" || value === null) return given;
  const attributes: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(given.attributes ?? {}))
    setOwn(attributes, key, key === elidedTotalsKey ? (jsonText(value) ?? null) : one);
  return { ...given, attributes };
}

/**
 * Legacy: the spans of a document that the tracer before ours capped, with its marker turned into an elision marker.
 * The marker gets what the summary counts and the remaining spans do not.
 */
export function adoptMarker({ id, sessionId, spans, summary }: TraceFile): readonly TraceSpan[] {
  const marker = spans.find(isLegacyMarker);
  if (!marker) return spans;
  const kept = new Totals();
  for (const span of spans) if (span !== marker && span.endTime !== undefined) kept.add(span);
  const left = (all: unknown, some: number): number => Math.max(0, finite(all) - some);
  const { counts } = kept;
  const used = new Map(kept.tools().map((tool) => [tool.name, tool]));
  const elided: ReadTotals = {
    spans: Number(marker.attributes?.elided),
    ...countsToJson((name) => left(summary[name], counts[name])),
    tokens: Object.fromEntries(
      tokenParts.map((part) => [part, left(summary.tokens?.[part], kept.tokens[part])]),
    ),
    tools: (Array.isArray(summary.topTools) ? summary.topTools : []).map((tool) => ({
      name: tool?.name,
      count: left(tool?.count, used.get(tool?.name)?.count ?? 0),
      totalDuration: left(tool?.totalDuration, used.get(tool?.name)?.totalDuration ?? 0),
    })),
    ...(Array.isArray(summary.loops) && { loops: summary.loops }),
  };
  const attributes = { ...marker.attributes, [lastKey]: "", [elidedTotalsKey]: elided };
  const adopted = { ...marker, spanId: markerSpanId(id ?? sessionId), attributes };
  return spans.map((span) => (span === marker ? adopted : span));
}

const tokenParts = Object.keys(noTokens) as (keyof TokenCounts)[];

const isLegacyMarker = (span: TraceSpan): boolean =>
  span.kind === "span" &&
  typeof span.name === "string" &&
  span.name.includes("elided") &&
  Number.isSafeInteger(span.attributes?.elided) &&
  elidedTotals(span) === undefined;
