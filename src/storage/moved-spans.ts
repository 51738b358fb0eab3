/**
 * Spans in other sessions, as far as they concern this one: they were recorded here, or spans of this session have them as
 * parents. A span whose parent is in no session yet stands under the session span until the parent comes.
 */

import type { MovedSpan } from "../format/journal.js";
import { ParentPlaces } from "../format/parent-places.js";
import type { SpanIds, SpanMap } from "../format/span-map.js";
import { readMoved } from "../format/tail.js";
import type { TraceSpan } from "../format/trace-file.js";
import type { Published } from "./document-file.js";

/** Spans to remember of a session. */
const maxMoved = 10_000;

/** Spans in one record of the journal: older ones are in no document any more. */
const maxRecent = 100;

export class MovedSpans {
  readonly #sessionId: string;
  /** No document of a peer writer brings those back that are away. */
  #places: ParentPlaces;
  #recent: readonly MovedSpan[] = [];
  #last: readonly MovedSpan[] = [];
  #displaced: MovedSpan[] = [];
  #hasWaiting = false;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
    this.#places = new ParentPlaces(sessionId);
  }

  /** Whether the span is in another session. */
  has(span: SpanIds): boolean {
    return this.#places.isAway(span);
  }

  /**
   * A span has moved, or has come. Returns whether the journal needs a record: spans that wait below the session span for a
   * parent that comes are found by any reader of the lines.
   */
  add(moved: MovedSpan): boolean {
    const isRecorded = moved.to !== this.#sessionId || this.has(moved);
    if (isRecorded) this.#recent = [...this.#recent.slice(-maxRecent), moved];
    this.#note(moved);
    return isRecorded;
  }

  /** Spans that a document of a peer writer lists as moved; not those that are open here. */
  learn({ tail }: Pick<Published, "tail">, open: Pick<SpanMap<unknown>, "has">): void {
    for (const span of readMoved(tail?.layout)) if (!this.has(span) && !open.has(span)) this.#note(span);
  }

  /** The last ones. Documents list those that were here, for peer writers that have an earlier document. */
  get last(): readonly MovedSpan[] {
    return this.#last;
  }

  /** The span as this session holds it: below a span of another session, it stands under the session span. */
  place(span: TraceSpan, rootSpanId: string): TraceSpan {
    return this.#places.size === 0 ? span : this.#places.place(span, rootSpanId);
  }

  /** A span stands under the session span, because its parent is in no session yet. */
  wait(): void {
    this.#hasWaiting = true;
  }

  /** Whether spans stand under the session span whose parents may have come since. */
  get hasWaiting(): boolean {
    return this.#hasWaiting;
  }

  /** Those that the published document, or the journal, may still have. */
  get recent(): readonly MovedSpan[] {
    return this.#recent;
  }

  /** Neither the published document nor the journal has any of them now. */
  forgetRecent(): void {
    this.#recent = [];
  }

  /** Those below which lines in the append log may not stand where they should. */
  get displaced(): readonly MovedSpan[] {
    return [...this.#displaced];
  }

  /** The lines stand where they should. */
  forgetDisplaced(displaced: readonly MovedSpan[]): void {
    const placed = new Set(displaced);
    this.#displaced = this.#displaced.filter((one) => !placed.has(one));
  }

  #note(moved: MovedSpan): void {
    if (this.#places.size >= maxMoved) this.#places = new ParentPlaces(this.#sessionId);
    this.#places.add(moved);
    this.#displaced.push(moved);
    this.#last = [...this.#last.slice(-maxRecent), moved];
  }
}
