/**
 * Spans of a writer that have no line yet: those that run, and those that have ended and may still get attributes.
 */
import { encodeSpan, inTrace } from "../format/document.js";
import type { TraceSpan } from "../format/trace-file.js";

interface OpenSpan {
  /**
   * No hook tells of attributes set on a running span, so it is read when needed. This runs code of the host, which may
   * start and end spans, this one included.
   */
  readonly read: () => TraceSpan;
  /** Whether it is being read: code of the host within that gets the state that was. */
  isBeingRead: boolean;
  /** The span as its processor knows it. */
  readonly source: object;
  /** What the live log says of it, and the state that was. */
  journaled: string;
  journaledSpan: TraceSpan;
}

/** Texts that methods return are to be journaled, in that order. */
export class OpenSpans {
  /** In order of start; those that have ended in order of their ends. */
  readonly #spans = new Map<string, OpenSpan>();
  readonly #traceId: () => string;

  /** `traceId`: the document's, which its spans do not repeat. */
  constructor(traceId: () => string) {
    this.#traceId = traceId;
  }

  get size(): number {
    return this.#spans.size;
  }

  has(spanId: string): boolean {
    return this.#spans.has(spanId);
  }

  ids(): Iterable<string> {
    return this.#spans.keys();
  }

  /** The spans as their processor knows them. */
  sources(): object[] {
    return [...this.#spans.values()].map(({ source }) => source);
  }

  /** Their present states. One with an `endTime` has ended. No code of the host runs after the last one is read. */
  read(): TraceSpan[] {
    const states = new Map([...this.#spans.values()].map((open) => [open, readNow(open)]));
    // Those that are open now: reading may have ended some, and started others.
    return [...this.#spans.values()].map((open) =>
      inTrace(states.get(open) ?? open.journaledSpan, this.#traceId()),
    );
  }

  /** What the live log says of them. */
  journaled(): string[] {
    return [...this.#spans.values()].map((open) => open.journaled);
  }

  /** `read` tells its state from now on; the same object again says that nothing has changed. */
  start(span: TraceSpan, read: () => TraceSpan, source: object): string {
    const journaled = encodeSpan(span);
    this.#spans.set(span.spanId, { read, isBeingRead: false, source, journaled, journaledSpan: span });
    return journaled;
  }

  /** What has changed in one of them since it was last looked at, if anything has. */
  change(spanId: string): string | undefined {
    const open = this.#spans.get(spanId);
    if (!open) return undefined;
    const wasRunning = open.journaledSpan.endTime === undefined;
    const text = this.#changeOf(spanId, open);
    if (this.#spans.get(spanId) !== open) return undefined;
    if (wasRunning && open.journaledSpan.endTime !== undefined) {
      this.#spans.delete(spanId);
      this.#spans.set(spanId, open);
    }
    return text;
  }

  /** The same of all of them. */
  changes(): string[] {
    return [...this.#spans]
      .map(([spanId, open]) => this.#changeOf(spanId, open))
      .filter((text) => text !== undefined);
  }

  /** A span gets its line: its text, which need not be made again where it is journaled like this. */
  end(span: TraceSpan): string {
    const open = this.#spans.get(span.spanId);
    const text = open?.journaledSpan === span ? open.journaled : encodeSpan(span);
    this.#spans.delete(span.spanId);
    return text;
  }

  /** Whether the live log has the span, as it is and as ended. */
  isJournaled(span: TraceSpan): boolean {
    return span.endTime !== undefined && this.#spans.get(span.spanId)?.journaledSpan === span;
  }

  #changeOf(spanId: string, open: OpenSpan): string | undefined {
    const span = readNow(open);
    if (span === open.journaledSpan || this.#spans.get(spanId) !== open) return undefined;
    const text = encodeSpan(span);
    open.journaledSpan = span;
    if (text === open.journaled) return undefined;
    open.journaled = text;
    return text;
  }
}

function readNow(open: OpenSpan): TraceSpan {
  if (open.isBeingRead) return open.journaledSpan;
  open.isBeingRead = true;
  try {
    return open.read();
  } finally {
    open.isBeingRead = false;
  }
}
