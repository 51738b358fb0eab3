/**
 * `maxSpans`: the first and the last spans of a long session, with one marker between them.
 */
import { markerSpanId } from "./session-name.js";
import type { Totals } from "./totals.js";
import type { TraceSpan } from "./trace-file.js";
import { elidedTotalsKey, type LineSelection, lastElidedKey } from "./union.js";

/**
 * Which of `lines` stay under a cap: the first 30 %, then the marker, then the last ones. `others` spans share
 * the document (open ones and the session's own). `undefined` when all fit or nothing would be gained.
 */
export function selectLines(
  lines: number,
  others: number,
  maxSpans: number,
  session: { readonly id: string; readonly rootSpanId: string },
): LineSelection | undefined {
  const room = Math.max(2, maxSpans - others);
  const head = Math.floor(0.3 * maxSpans);
  const tail = lines - Math.max(1, room - head - 1);
  if (lines <= room || tail - head < 2) return undefined;
  const kept = head + (lines - tail) + others;
  return { head, tail, marker: (elided, last) => markerSpan(elided, last, kept, session) };
}

function markerSpan(
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
      [lastElidedKey]: last,
      [elidedTotalsKey]: elided.record(),
    },
  };
}
