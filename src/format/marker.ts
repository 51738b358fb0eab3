/**
 * The marker: one span that stands for those which a cap left out of a document.
 */
import { decodeLine } from "./document.js";
import { sessionSpanId } from "./file-names.js";
import { Totals, type TotalsRecord } from "./totals.js";
import type { TraceFile, TraceSpan } from "./trace-file.js";
import { finite } from "./validate.js";

/** Attribute of a marker that holds the totals of the spans it stands for. */
export const elidedTotalsKey = "elidedTotals";

/**
 * Attribute of a marker: the last span that it stands for. A source that has this span's line has them all, since
 * a writer drops lines only once a document with their marker is published.
 */
const lastKey = "lastElided";

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** The id of a session's marker; a document has at most one. */
export const markerSpanId = (sessionId: string): string => sessionSpanId(`elided ${sessionId}`);

/** A marker for `elided` spans, of which `last` is the last; the document keeps `kept` others. */
export function markerSpan(
  elided: Totals,
  last: string,
  kept: number,
  session: { readonly id: string; readonly rootSpanId: string },
): TraceSpan {
  return {
    spanId: markerSpanId(session.id),
    parentSpanId: session.rootSpanId,
    name: `${elided.spans} spans elided`,
    kind: "span",
    startTime: elided.firstStart,
    endTime: elided.lastEnd,
    status: "ok",
    attributes: {
      elided: elided.spans,
      totalSpans: elided.spans + kept,
      [lastKey]: last,
      [elidedTotalsKey]: elided.record(),
    },
  };
}

/** What a marker's line says. */
export interface Marker {
  readonly elided: number;
  readonly last: string;
  readonly totals: TotalsRecord;
}

export function decodeMarker(line: Buffer): Marker {
  const decoded = decodeLine(line, -1);
  const attributes = decoded.type === "span" ? decoded.span.attributes : undefined;
  return {
    elided: finite(attributes?.elided),
    last: textOf(attributes?.[lastKey]),
    totals: elidedTotals(attributes) ?? {},
  };
}

/** The totals of the spans that a span stands for, if it is a marker. */
export function elidedTotals(attributes: TraceSpan["attributes"]): TotalsRecord | undefined {
  const totals = attributes?.[elidedTotalsKey];
  return typeof totals === "object" && totals !== null ? (totals as TotalsRecord) : undefined;
}

/**
 * The spans of a document that the tracer before ours capped, its marker as one of ours: it stands for what the
 * summary counts and the spans do not.
 */
export function adoptMarker({ id, sessionId, spans, summary }: TraceFile): readonly TraceSpan[] {
  const marker = spans.find(
    ({ kind, name, attributes }) =>
      kind === "span" &&
      textOf(name).includes("elided") &&
      Number.isSafeInteger(attributes?.elided) &&
      elidedTotals(attributes) === undefined,
  );
  if (!marker) return spans;
  const there = new Totals();
  for (const span of spans) if (span !== marker && span.endTime !== undefined) there.add(span);
  const left = (all: unknown, some: number): number => Math.max(0, finite(all) - some);
  const { input, output, reasoning, cacheRead, cacheWrite } = there.tokens;
  const used = new Map(there.tools().map((tool) => [tool.name, tool]));
  const elided: TotalsRecord = {
    spans: Number(marker.attributes?.elided),
    cost: left(summary.totalCost, there.cost),
    totalTokens: left(summary.totalTokens, there.totalTokens),
    toolCalls: left(summary.totalToolCalls, there.toolCalls),
    generations: left(summary.totalGenerations, there.generations),
    tokens: {
      input: left(summary.tokens?.input, input),
      output: left(summary.tokens?.output, output),
      reasoning: left(summary.tokens?.reasoning, reasoning),
      cacheRead: left(summary.tokens?.cacheRead, cacheRead),
      cacheWrite: left(summary.tokens?.cacheWrite, cacheWrite),
    },
    tools: (Array.isArray(summary.topTools) ? summary.topTools : []).map((tool) => ({
      name: tool?.name,
      count: left(tool?.count, used.get(tool?.name)?.count ?? 0),
      totalDuration: left(tool?.totalDuration, used.get(tool?.name)?.totalDuration ?? 0),
    })),
    ...(Array.isArray(summary.loops) && { loops: summary.loops }),
  };
  const attributes = { ...marker.attributes, [lastKey]: "", [elidedTotalsKey]: elided };
  const ours = { ...marker, spanId: markerSpanId(id ?? sessionId), attributes };
  return spans.map((span) => (span === marker ? ours : span));
}
