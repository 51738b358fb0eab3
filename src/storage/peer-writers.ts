/**
 * What peer writers of a session have left in its document: spans without lines, turns that wait, their ends, and what
 * ended them.
 */
import { isRoot } from "../format/document.js";
import { gone, type LostWriters, readLost, withLost, withoutLost } from "../format/lost-writers.js";
import { interrupt, isOver, recordedEnd, type SessionEnd, worseEnd } from "../format/session-end.js";
import { SpanMap, withTrace } from "../format/span-map.js";
import type { TraceSpan } from "../format/trace-file.js";
import { type Awaited, type AwaitedByWriter, readAwaits } from "../format/under-way.js";
import type { Published } from "./document-file.js";

/** How a document is ended that another process has ended. */
interface PeerEnd {
  readonly end: SessionEnd;
  readonly lost: LostWriters;
}

export class PeerWriters {
  /** Spans that have no line yet, as the document has them, each with its trace id. */
  #spans = new SpanMap<TraceSpan>();
  /** When the document listed the spans, in epoch milliseconds; 0 while no document did. */
  #spansAt = 0;
  #awaits = new Map<string, Awaited>();
  #lost: LostWriters = new Map();
  #end: SessionEnd | undefined;
  #ended: PeerEnd | undefined;

  /** Spans that have no line yet. */
  get spans(): Pick<SpanMap<TraceSpan>, "size" | "has" | "values"> {
    return this.#spans;
  }

  /** What they wait for, by their tokens. */
  get awaits(): AwaitedByWriter {
    return this.#awaits;
  }

  /** What ended those that were under way, while the session went on. */
  get lost(): LostWriters {
    return this.#lost;
  }

  /** The worst error or crash that one of them, or this writer beside them, left for the end of the session. */
  get end(): SessionEnd | undefined {
    return this.#end;
  }

  /** How one of them, which went on after the standing verdict of this token, has ended the session. */
  endedAfter(token: string | undefined): PeerEnd | undefined {
    return token !== undefined && this.#ended?.lost.has(token) ? this.#ended : undefined;
  }

  /** Whether the document has spans of theirs without lines, or turns that wait. */
  get haveWork(): boolean {
    return this.#spans.size > 0 || this.#awaits.size > 0;
  }

  /** Continues the session of another writer of this process. `withdrawn`: its tokens. */
  continue({ lost, end }: PeerWriters, withdrawn: readonly string[]): void {
    this.#lost = withoutLost(lost, withdrawn);
    this.#end = end;
  }

  /**
   * Learns what a document has of them. `own`: tokens of this writer, and of writers of this process before it. `isOutlived`:
   * another process took this writer for dead, and wrote the document.
   */
  learn(
    { head, tail }: Published,
    own: readonly string[],
    isOutlived: boolean,
    isAway: (span: TraceSpan) => boolean,
  ): void {
    if (!tail) return;
    this.#spansAt = Date.parse(tail.endedAt) || 0;
    this.#awaits = isOver(tail.summary) ? new Map() : readAwaits(tail.layout.awaits);
    for (const token of own) this.#awaits.delete(token);
    const lost = readLost(tail);
    const end = own.includes(tail.layout.provisional ?? "") ? undefined : recordedEnd(tail.summary);
    this.#ended = end && isOver(tail.summary) ? { end, lost } : undefined;
    const found = withoutLost(lost, isOutlived ? [gone, ...own] : own);
    // The document may lack what only this writer has seen so far.
    this.#lost = found.has(gone) ? found : withLost(found, gone, this.#lost.get(gone));
    this.#spans = new SpanMap();
    const traceId = head?.traceId ?? "";
    this.keep(
      tail.spans.filter((span) => !isRoot(span) && !isAway(withTrace(span, traceId))),
      traceId,
    );
  }

  /** An end that counts when the last writer ends the session, unless that end is worse. */
  inherit(end: SessionEnd): void {
    this.#end = worseEnd(this.#end, end);
  }

  /** Keeps spans that no document lists any more. `traceId`: that of the last document that did. */
  keep(spans: readonly TraceSpan[], traceId: string): void {
    for (const listed of spans) {
      const span = withTrace(listed, traceId);
      if (!this.#spans.has(span)) this.#spans.set(span, span);
    }
  }

  /** Drops spans that have lines in the document now, or that are open spans of this writer. */
  drop(has: (span: TraceSpan) => boolean): void {
    for (const span of this.#spans.values()) if (has(span)) this.#spans.delete(span);
  }

  /**
   * Removes the open spans and returns them as interrupted. Ended ones stay. `detector`: what ended the writers, if this
   * writer outlives them.
   */
  interrupt(statusMessage: string, detector: string | undefined): TraceSpan[] {
    const open = [...this.#spans.values()].filter((span) => span.endTime === undefined);
    if (open.length > 0 || this.#awaits.size > 0) this.#lost = withLost(this.#lost, gone, detector);
    this.#awaits.clear();
    for (const span of open) this.#spans.delete(span);
    return open.map((span) => interrupt(span, this.#spansAt || span.startTime, statusMessage));
  }
}
