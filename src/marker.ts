/**
 * The marker: one span that stands for those which a cap left out of a document.
 */
import { decodeLine } from "./open-document.js";
import { sessionSpanId } from "./session-name.js";
import type { Totals, TotalsRecord } from "./totals.js";
import type { TraceSpan } from "./trace-file.js";

/** Attribute of a marker that holds the totals of the spans it stands for. */
export const elidedTotalsKey = "elidedTotals";

/**
 * Attribute of a marker: the last span that it stands for. A source that has this span's line has them all, since
 * a writer drops lines only once a document with their marker is published.
 */
const lastKey = "lastElided";

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
    elided: Number(attributes?.elided) || 0,
    last: String(attributes?.[lastKey]),
    totals: elidedTotals(attributes) ?? {},
  };
}

/** The totals of the spans that a span stands for, if it is a marker. */
export function elidedTotals(attributes: TraceSpan["attributes"]): TotalsRecord | undefined {
  const totals = attributes?.[elidedTotalsKey];
  return typeof totals === "object" && totals !== null ? (totals as TotalsRecord) : undefined;
}
