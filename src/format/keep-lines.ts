/**
 * `maxSpans`: the first and the last spans of a long session, with one marker between them.
 */
import type { LineSelection } from "./elision.js";
import { markerSpan } from "./marker.js";

/** What a document is to hold. */
export interface Load {
  /** Spans that have lines, without a marker. */
  readonly lines: number;
  /** Whether spans were left out before. */
  readonly hasMarker: boolean;
  /** Spans that share the document: open ones and the session's own. */
  readonly others: number;
}

interface Session {
  readonly id: string;
  readonly rootSpanId: string;
}

/**
 * Which lines stay under a cap: the first 30 %, then the marker, then the last ones. `undefined` when all fit or
 * nothing would be gained. A marker that is there is made anew, since it tells how many spans there ever were.
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

/** Keeps all lines, and makes a marker that is among them true again. */
export function keepLines(load: Load, session: Session): LineSelection | undefined {
  return load.hasMarker ? selectionOf(load, 0, 0, session) : undefined;
}

function selectionOf({ lines, others }: Load, head: number, tail: number, session: Session): LineSelection {
  const kept = lines - (tail - head) + others;
  return { head, tail, marker: (elided, last) => markerSpan(elided, last, kept, session) };
}
