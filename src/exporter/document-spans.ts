/**
 * Spans as their document has them: the record that a session tracer attached, or what the attributes say; roots of
 * traces and what hangs under a turn hang under the session; content passes a filter.
 */
import type { Context } from "@opentelemetry/api";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { turnSpanId } from "../otel/ids.js";
import type { ReadableSpan } from "../otel/types.js";
import { RecentMap } from "../platform/recent-map.js";
import { attachmentOf, type RecordAttachment } from "../projection/attached-record.js";
import { projectSpan } from "../projection/project-span.js";
import { attempt } from "../projection/read-span.js";
import type { ContentFilter } from "./content-filter.js";
import { exactSpan } from "./exact-span.js";

/** Turns that are remembered: of older ones, children that are no records hang under a span that is not there. */
const maxTurns = 10_000;

/** A span of the document, and what it tells about its session. */
export interface DocumentSpan {
  /** Absent for a turn, which is no span of the document. */
  readonly span: TraceSpan | undefined;
  readonly metadata: Partial<SessionMetadata>;
}

export class DocumentSpans {
  readonly #filter: ContentFilter | undefined;
  readonly #turns = new RecentMap<string, true>(maxTurns);
  /** Asked for again and again: a hash for each span would cost 2 µs. */
  #lastTurn: { readonly traceId: string; readonly spanId: string } | undefined;

  /** `filter`: absent where nothing is written to a file. */
  constructor(filter: ContentFilter | undefined) {
    this.#filter = filter;
  }

  /** `startedIn`: the context it is starting in, while it does. */
  of(span: ReadableSpan, rootSpanId: string, startedIn?: Context): DocumentSpan {
    const attachment = attachmentOf(span, startedIn);
    if (attachment?.type === "turn") return this.#turn(span, {});
    if (attachment) {
      const parentId = attempt(() => span.parentSpanContext?.spanId, undefined);
      const exact = exactSpan(span, attachment, this.#parentOf(span, parentId, rootSpanId));
      return { span: this.#shownExact(exact, attachment), metadata: {} };
    }
    const { span: projected, metadata, isTurn } = projectSpan(span);
    const shown = this.#filter?.metadata(metadata) ?? metadata;
    if (isTurn) return this.#turn(span, shown);
    // A span of our own making: nobody else has it yet.
    projected.parentSpanId = this.#parentOf(span, projected.parentSpanId, rootSpanId);
    return { span: this.#filter?.span(projected) ?? projected, metadata: shown };
  }

  /** It starts while its session takes none: what hangs under it hangs under the session. */
  leaveOut(span: ReadableSpan): void {
    this.#turn(span, {});
  }

  /** Filtered once, as long as it does not change: an open span is asked for with every copy of its document. */
  #shownExact(exact: TraceSpan, { made }: RecordAttachment): TraceSpan {
    const filter = this.#filter;
    if (!filter) return exact;
    if (made?.span !== exact) return filter.span(exact);
    if (made.shown?.by !== filter) made.shown = { by: filter, span: filter.span(exact) };
    return made.shown.span;
  }

  #turn(span: ReadableSpan, metadata: Partial<SessionMetadata>): DocumentSpan {
    this.#turns.set(span.spanContext().spanId, true);
    return { span: undefined, metadata };
  }

  #parentOf(span: ReadableSpan, parentId: string | null | undefined, rootSpanId: string): string {
    const isTop = !parentId || this.#turns.has(parentId) || parentId === this.#turnOf(span);
    return isTop ? rootSpanId : parentId;
  }

  /** The turn of its trace, where a provider of ours has chosen its id: it ends after what hangs under it. */
  #turnOf(span: ReadableSpan): string {
    const traceId = attempt(() => span.spanContext().traceId, "");
    if (this.#lastTurn?.traceId !== traceId) this.#lastTurn = { traceId, spanId: turnSpanId(traceId) };
    return this.#lastTurn.spanId;
  }
}
