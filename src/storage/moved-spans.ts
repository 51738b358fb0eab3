/**
 * Spans in other sessions, as far as they concern this one: they were recorded here, or spans of this session have them as
 * parents.
 */

import type { MovedSpan } from "../format/journal.js";
import { type SpanIds, SpanMap } from "../format/span-map.js";

/** Spans to remember of a session. */
const maxMoved = 10_000;

/** Spans in one record of the journal: older ones are in no document any more. */
const maxRecent = 100;

export class MovedSpans {
  /** No document of a peer writer brings these spans back. */
  #spans = new SpanMap<MovedSpan>();
  #recent: readonly MovedSpan[] = [];
  #displaced: readonly MovedSpan[] = [];

  get size(): number {
    return this.#spans.size;
  }

  has(span: SpanIds): boolean {
    return this.#spans.has(span);
  }

  add(moved: MovedSpan): void {
    if (this.#spans.size >= maxMoved) this.#spans = new SpanMap();
    this.#spans.set(moved, moved);
    this.#recent = [...this.#recent.slice(-maxRecent), moved];
    this.#displaced = [...this.#displaced, moved];
  }

  /** Those that the published document, or the journal, may still have. */
  get recent(): readonly MovedSpan[] {
    return this.#recent;
  }

  /** Neither the published document nor the journal has any of them now. */
  forgetRecent(): void {
    this.#recent = [];
  }

  /** Those that lines in the append log may name as parents. */
  get displaced(): readonly MovedSpan[] {
    return this.#displaced;
  }

  /** No line names these spans as parents any more. */
  forgetDisplaced(displaced: readonly MovedSpan[]): void {
    this.#displaced = this.#displaced.filter((one) => !displaced.includes(one));
  }
}
