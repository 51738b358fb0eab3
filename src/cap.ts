/**
 * `maxSpans`: the first and the last spans of a long session, with one marker between them.
 */
import { markerSpan } from "./marker.js";
import type { LineSelection } from "./union.js";

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
