/**
 * The spans of a writer that have no line yet: what the journal holds of them, and what they are now.
 */
import { isSameJson, type SpanJson, spanJson } from "../format/document.js";
import { mergeOwn } from "../format/json-value.js";
import { type SpanIds, SpanMap } from "../format/span-map.js";
import type { TraceSpan } from "../format/trace-file.js";
import { asHostCode } from "../platform/own-work.js";

/** A span without a line. */
interface OpenSpan {
  /**
   * Reads the present state of the span: the SDK has no hook for attributes set on a running span. The call runs code
   * of the host, which may start and end spans, this one included.
   */
  readonly read: () => TraceSpan;
  /** Whether a `read` is running: code of the host that runs within it gets the state last journaled. */
  isBeingRead: boolean;
  /** The span object of the processor. */
  readonly source: object;
  /** The state last journaled, as text and as a span. */
  journaled: SpanJson;
  journaledSpan: TraceSpan;
  /** Attributes that were merged into the span, and journaled by themselves, since then. */
  merged: Record<string, unknown> | undefined;
}

/**
 * Spans of a writer that have no line yet: running spans, and ended spans that may still get attributes. Callers append
 * every returned text to the journal, in order.
 */
export class OpenSpans {
  /**
   * Running spans in order of start, then ended spans in order of end. They name their traces: the document may get another
   * trace id meanwhile.
   */
  readonly #spans = new SpanMap<OpenSpan>();

  get size(): number {
    return this.#spans.size;
  }

  has(span: SpanIds): boolean {
    return this.#spans.has(span);
  }

  /** The spans as a document of that trace identifies them. */
  inDocument(traceId: string): SpanMap<TraceSpan> {
    const spans = new SpanMap<TraceSpan>(traceId);
    for (const { journaledSpan } of this.#spans.values()) spans.set(journaledSpan, journaledSpan);
    return spans;
  }

  /** The states last journaled: no code of the host runs. */
  states(): TraceSpan[] {
    return [...this.#spans.values()].map(({ journaledSpan }) => journaledSpan);
  }

  /** The span objects of the processor. */
  sources(): object[] {
    return [...this.#spans.values()].map(({ source }) => source);
  }

  /** The present states; a span with an `endTime` has ended. No code of the host runs after the last span is read. */
  read(): TraceSpan[] {
    const states = new Map([...this.#spans.values()].map((open) => [open, readNow(open)]));
    // Reading may have ended spans and started new ones: return the spans that are open now.
    return [...this.#spans.values()].map((open) => states.get(open) ?? open.journaledSpan);
  }

  /** The texts last journaled. */
  journaled(): SpanJson[] {
    return [...this.#spans.values()].map((open) => open.journaled);
  }

  /** The attributes that were journaled by themselves, and the span that has them. */
  *journaledAttributes(): Iterable<[SpanIds, Readonly<Record<string, unknown>>]> {
    for (const { merged, journaledSpan } of this.#spans.values()) if (merged) yield [journaledSpan, merged];
  }

  /** Attributes were merged into a span. Returns the span for the journal, which holds the rest; `undefined`: it has ended. */
  merge(span: SpanIds, attributes: Readonly<Record<string, unknown>>): SpanIds | undefined {
    const open = this.#spans.get(span);
    if (!open) return undefined;
    open.merged ??= {};
    mergeOwn(open.merged, attributes);
    return open.journaledSpan;
  }

  /**
   * Hands the spans to the writer that continues the session. Here they stay in the state last journaled: no code of the
   * host runs when they are read.
   */
  suspend(): OpenSpans {
    const suspended = new OpenSpans();
    suspended.adopt(this);
    for (const open of this.#spans.values())
      this.#spans.set(open.journaledSpan, { ...open, read: () => open.journaledSpan });
    return suspended;
  }

  /** Continues the spans of an earlier writer. */
  adopt(earlier: OpenSpans): void {
    for (const open of earlier.#spans.values()) {
      const merged = open.merged && { ...open.merged };
      this.#spans.set(open.journaledSpan, { ...open, merged, isBeingRead: false });
    }
  }

  /** Adds a span. `read` returns its state from now on, and the same object again if nothing has changed. */
  start(span: TraceSpan, read: () => TraceSpan, source: object): SpanJson {
    const journaled = spanJson(span);
    const state = { journaled, journaledSpan: span, merged: undefined };
    this.#spans.set(span, { read, isBeingRead: false, source, ...state });
    return journaled;
  }

  /**
   * The texts of the spans with these ids that have changed since they were journaled: of one span at most, but a session
   * tracer of 0.1.0 passes no trace id.
   */
  change({ spanId, traceId }: SpanIds): SpanJson[] {
    const known = this.#spans.get({ spanId, traceId });
    const changed = traceId === undefined ? this.#spans.ofSpanId(spanId) : known ? [known] : [];
    return changed.map((open) => this.#changeOne(open)).filter((text) => text !== undefined);
  }

  /** The texts of all spans that have changed since they were journaled. */
  changes(): SpanJson[] {
    return [...this.#spans.values()].map((open) => this.#changeOf(open)).filter((text) => text !== undefined);
  }

  /** Removes a span that gets its line now. Returns the text of the line, which is encoded only if it has changed. */
  end(span: TraceSpan): SpanJson {
    const open = this.#spans.delete(span);
    return open?.journaledSpan === span ? open.journaled : spanJson(span);
  }

  /** The spans, for another session to continue them. */
  *all(): Iterable<{
    readonly span: TraceSpan;
    readonly read: () => TraceSpan;
    readonly source: object;
  }> {
    for (const { journaledSpan: span, read, source } of [...this.#spans.values()])
      yield { span, read, source };
  }

  /** Places spans again, under other parents. Returns whether one of them has changed. */
  placeAgain(place: (span: TraceSpan) => TraceSpan): boolean {
    let hasChanged = false;
    for (const open of this.#spans.values()) {
      const placed = place(open.journaledSpan);
      if (placed === open.journaledSpan) continue;
      hasChanged = true;
      const { read, merged } = open;
      // The attributes that were journaled by themselves stay: the new text is journaled before them.
      const state = { journaled: spanJson(placed), journaledSpan: placed, merged };
      this.#spans.set(placed, { ...open, ...state, read: () => place(read()) });
    }
    return hasChanged;
  }

  /** The span belongs to another session. */
  leave(span: SpanIds): void {
    this.#spans.delete(span);
  }

  /** Whether the journal has the span as ended, in exactly this state. */
  isJournaled(span: TraceSpan): boolean {
    return span.endTime !== undefined && this.#spans.get(span)?.journaledSpan === span;
  }

  #changeOne(open: OpenSpan): SpanJson | undefined {
    const before = open.journaledSpan;
    const text = this.#changeOf(open);
    if (this.#spans.get(before) !== open) return undefined;
    if (before.endTime === undefined && open.journaledSpan.endTime !== undefined) {
      this.#spans.delete(before);
      this.#spans.set(before, open);
    }
    return text;
  }

  #changeOf(open: OpenSpan): SpanJson | undefined {
    const span = readNow(open);
    if (span === open.journaledSpan || this.#spans.get(open.journaledSpan) !== open) return undefined;
    const text = spanJson(span);
    open.journaledSpan = span;
    open.merged = undefined;
    if (isSameJson(text, open.journaled)) return undefined;
    open.journaled = text;
    return text;
  }
}

function readNow(open: OpenSpan): TraceSpan {
  if (open.isBeingRead) return open.journaledSpan;
  open.isBeingRead = true;
  try {
    return asHostCode(open.read);
  } finally {
    open.isBeingRead = false;
  }
}
