/**
 * Leaving lines out of a merge: one marker stands for them, where they stood.
 */

import { decodeLine } from "./document.js";
import { elidedTotals, type Marker } from "./marker.js";
import { Totals } from "./totals.js";
import type { TraceSpan } from "./trace-file.js";

/**
 * Which lines of a merge stay: `[0, head)` and `[tail, …)`, with the marker between them. Where both are the same,
 * all lines stay, and the marker that is there is made anew in its place.
 */
export interface LineSelection {
  readonly head: number;
  readonly tail: number;
  /** Given the totals of what was left out, now or before, and the id of the last span of it. */
  marker(elided: Totals, last: string): TraceSpan;
}

/** Chooses among `lines`, in whose count a marker that is there already has no part. */
export type SelectLines = (lines: number, hasMarker: boolean) => LineSelection | undefined;

/** A selection at work: asked of each line in turn. */
export class Elision {
  readonly #selection: LineSelection;
  readonly #elided = new Totals();
  #last: string;
  #position = 0;
  #isMarked = false;

  /** `known`: the marker that is there already; it goes up in the new one, from wherever it is. */
  constructor(selection: LineSelection, known: Marker | undefined) {
    this.#selection = selection;
    if (known) this.#elided.merge(known.totals);
    this.#last = known?.last ?? "";
  }

  /** Whether the next line stays. */
  keeps(line: Buffer, spanId: string): boolean {
    const { head, tail } = this.#selection;
    const position = this.#position++;
    if (position < head || position >= tail) return true;
    count(line, this.#elided);
    this.#last = spanId;
    return false;
  }

  /** The marker, once, where the next thing to write is what follows the gap. */
  marker(next: "line" | "marker" | "end"): TraceSpan | undefined {
    const { head, tail } = this.#selection;
    const isHere = head === tail ? next === "marker" : next === "end" || this.#position >= tail;
    if (this.#isMarked || !isHere) return undefined;
    this.#isMarked = true;
    return this.#selection.marker(this.#elided, this.#last);
  }
}

/** Counts a line. */
export function count(line: Buffer, totals: Totals): void {
  const decoded = decodeLine(line, -1);
  if (decoded.type === "span") countSpan(decoded.span, totals);
}

/** Counts the span of a line; the marker of an earlier cap counts what it stands for. */
export function countSpan(span: TraceSpan, totals: Totals): void {
  const standsFor = elidedTotals(span.attributes);
  if (standsFor) totals.merge(standsFor);
  else totals.add(span);
}
