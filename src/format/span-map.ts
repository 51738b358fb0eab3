/**
 * Spans by their identity in a session: trace id and span id. Span ids are unique within a trace only (OpenTelemetry
 * specification, "SpanContext"), and a session has many traces. Pure.
 *
 * Keyed by kind instead, since their ids are derived from the session id: the session span (`isRoot`) and the elision
 * marker (`cap.ts`).
 */
import type { TraceSpan } from "./trace-file.js";

/** The ids of a span, as a document holds them: a span of the document's own trace names no trace. */
export interface SpanIds {
  readonly spanId: string;
  readonly traceId?: string | undefined;
}

/** The trace of a span. A document of another program may hold any value here, and no trace is an empty text. */
export const traceIdOf = ({ traceId }: SpanIds, documentTraceId: string): string =>
  typeof traceId === "string" && traceId !== "" ? traceId : documentTraceId;

/** The span as a document of that trace holds the span: with a `traceId` only where the two differ. */
export function inTrace(span: TraceSpan, documentTraceId: string): TraceSpan {
  // A document of another program without a trace id gives its spans an empty one.
  if (span.traceId !== documentTraceId && span.traceId !== "") return span;
  const { traceId: _, ...rest } = span;
  return rest;
}

/** A span of a document, with the trace id that the span has also outside of that document. */
export function withTrace(span: TraceSpan, documentTraceId: string): TraceSpan {
  const traceId = traceIdOf(span, documentTraceId);
  return traceId === "" || traceId === span.traceId ? span : { ...span, traceId };
}

interface Entry<Value> {
  readonly spanId: string;
  readonly traceId: string;
  value: Value;
  /** Position in the order of insertion. */
  readonly position: number;
  /** The entry of a span of another trace with the same span id. */
  next: Entry<Value> | undefined;
}

/**
 * A map from spans, in order of insertion. Found by span id, then compared by trace id: a text of both as the key took
 * 500 ns more per span, most of it to hash the text.
 */
export class SpanMap<Value> {
  readonly #documentTraceId: string;
  /** In order of insertion, while no two spans have had one span id. */
  readonly #bySpanId = new Map<string, Entry<Value>>();
  #size = 0;
  #inserted = 0;
  /** Whether two spans have had one span id since the map was empty: rare, and the order is found by sorting. */
  #hasShared = false;

  /** `documentTraceId`: the trace of spans that name none. */
  constructor(documentTraceId = "") {
    this.#documentTraceId = documentTraceId;
  }

  /** Number of spans. */
  get size(): number {
    return this.#size;
  }

  /** Whether the map has the span. */
  has(ids: SpanIds): boolean {
    return this.#find(ids) !== undefined;
  }

  /** The value of a span. */
  get(ids: SpanIds): Value | undefined {
    return this.#find(ids)?.value;
  }

  /** The values of all spans with this span id, whatever their traces. */
  ofSpanId(spanId: string): Value[] {
    const values: Value[] = [];
    for (let entry = this.#bySpanId.get(spanId); entry; entry = entry.next) values.push(entry.value);
    return values;
  }

  /** A new value of a known span keeps the place of the span. */
  set(ids: SpanIds, value: Value): void {
    const known = this.#find(ids);
    if (known) {
      known.value = value;
      return;
    }
    const { spanId } = ids;
    const traceId = traceIdOf(ids, this.#documentTraceId);
    const next = this.#bySpanId.get(spanId);
    if (next) this.#hasShared = true;
    this.#bySpanId.set(spanId, { spanId, traceId, value, position: this.#inserted++, next });
    this.#size++;
  }

  /** Removes a span; returns its value, or `undefined` if the map does not have the span. */
  delete(ids: SpanIds): Value | undefined {
    const { spanId } = ids;
    const traceId = traceIdOf(ids, this.#documentTraceId);
    let before: Entry<Value> | undefined;
    let entry = this.#bySpanId.get(spanId);
    while (entry && entry.traceId !== traceId) {
      before = entry;
      entry = entry.next;
    }
    if (!entry) return undefined;
    if (--this.#size === 0) this.#hasShared = false;
    if (before) before.next = entry.next;
    else if (entry.next) this.#bySpanId.set(spanId, entry.next);
    else this.#bySpanId.delete(spanId);
    return entry.value;
  }

  /** The values in order. Entries may be deleted meanwhile. */
  *values(): IterableIterator<Value> {
    if (!this.#hasShared) {
      for (const { value } of this.#bySpanId.values()) yield value;
      return;
    }
    const entries: Entry<Value>[] = [];
    for (const first of this.#bySpanId.values())
      for (let entry: Entry<Value> | undefined = first; entry; entry = entry.next) entries.push(entry);
    entries.sort((a, b) => a.position - b.position);
    for (const entry of entries) if (this.#find(entry) === entry) yield entry.value;
  }

  #find(ids: SpanIds): Entry<Value> | undefined {
    let entry = this.#bySpanId.get(ids.spanId);
    if (!entry) return undefined;
    const traceId = traceIdOf(ids, this.#documentTraceId);
    while (entry && entry.traceId !== traceId) entry = entry.next;
    return entry;
  }
}
