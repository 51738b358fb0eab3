/**
 * Where parents of a session's spans are. A parent in another session, or in none, is no parent in this document: a span
 * below it stands under the session span and names the parent as `remoteParentSpanId`. When the parent comes into the session
 * later, the span stands below the parent again. Pure.
 */

import type { MovedSpan } from "./journal.js";
import { type SpanIds, SpanMap } from "./span-map.js";
import type { TraceSpan } from "./trace-file.js";

/** More ids than these are not looked for in the bytes of a line: the line is parsed. */
const fewIds = 16;

const remoteKey = Buffer.from('"remoteParentSpanId":');

export class ParentPlaces {
  readonly #sessionId: string;
  readonly #places = new SpanMap<"here" | "away">();
  readonly #spanIds = new Set<string>();
  #hasAway = false;

  constructor(sessionId: string, moved: Iterable<MovedSpan> = []) {
    this.#sessionId = sessionId;
    for (const span of moved) this.add(span);
  }

  get size(): number {
    return this.#places.size;
  }

  /** Of two records of a span the later one holds. */
  add(moved: MovedSpan): void {
    if (moved.to !== this.#sessionId) this.#hasAway = true;
    this.#places.set(moved, moved.to === this.#sessionId ? "here" : "away");
    this.#spanIds.add(moved.spanId);
  }

  /** The span is in the document. */
  addHere({ spanId, traceId = "" }: SpanIds): void {
    this.add({ spanId, traceId, to: this.#sessionId });
  }

  /** Whether the span is in another session, or in none. */
  isAway(span: SpanIds): boolean {
    return this.#places.get(span) === "away";
  }

  /** Whether the line may be that of a span with one of these parents. */
  mayConcern(line: Buffer): boolean {
    if (!this.#hasAway) return this.size > 0 && isBelowSession(line);
    if (this.#spanIds.size > fewIds) return true;
    for (const spanId of this.#spanIds) if (line.includes(spanId)) return true;
    return false;
  }

  /** The span under its parent, or under the session span; the same object if the span stands there. */
  place(span: TraceSpan, rootSpanId: string, documentTraceId?: string): TraceSpan {
    const { parentSpanId, remoteParentSpanId, traceId = documentTraceId } = span;
    if (parentSpanId === rootSpanId) {
      if (remoteParentSpanId === undefined) return span;
      const isHere = this.#places.get({ spanId: remoteParentSpanId, traceId }) === "here";
      const { remoteParentSpanId: _, ...rest } = span;
      return isHere ? { ...rest, parentSpanId: remoteParentSpanId } : span;
    }
    const isBelow = parentSpanId !== null && this.isAway({ spanId: parentSpanId, traceId });
    return isBelow ? underSession(span, rootSpanId) : span;
  }
}

/** Whether the line may be that of a span under the session span that names another parent. */
export const isBelowSession = (line: Buffer): boolean => line.includes(remoteKey);

/** The parent that a span under the session span names instead. */
export const otherParentOf = (span: TraceSpan, rootSpanId: string): SpanIds | undefined => {
  const { parentSpanId, remoteParentSpanId: spanId, traceId } = span;
  return parentSpanId === rootSpanId && typeof spanId === "string" ? { spanId, traceId } : undefined;
};

/** The span under the session span, because its parent is not in the document. */
export function underSession(span: TraceSpan, rootSpanId: string): TraceSpan {
  const placed = { ...span, parentSpanId: rootSpanId };
  if (span.parentSpanId !== null) placed.remoteParentSpanId = span.parentSpanId;
  return placed;
}
