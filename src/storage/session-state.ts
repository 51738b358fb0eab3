/**
 * What a writer knows of its session beside the spans on disk: head, root, metadata, totals, open spans.
 */

import { type DocumentHead, type DocumentTail, isoTime, isRoot } from "../format/document.js";
import { sessionSpanId } from "../format/file-names.js";
import type { SessionRecord } from "../format/journal.js";
import { rootOutput } from "../format/narrative.js";
import { endStatus, layoutOf, statusRank, summarize, totalsOf } from "../format/summary.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, SessionStatus, TraceSpan } from "../format/trace-file.js";
import { finite } from "../format/validate.js";
import { beginningWith, type Published } from "./document-file.js";
import { OpenSpans } from "./open-spans.js";

/** How a session's document ends. */
export interface SessionEnd {
  readonly status: Exclude<SessionStatus, "running">;
  /** For `summary.error`. */
  readonly error?: string | undefined;
  /** Said of the session span too; absent when nobody gave a reason. */
  readonly rootMessage?: string | undefined;
}

/** What opens a session. */
export interface SessionStart {
  readonly id: string;
  readonly traceId: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** Of the session span; the raw id by default. */
  readonly name?: string;
  readonly input?: unknown;
}

export class SessionLedger {
  head: DocumentHead & { readonly id: string };
  root: TraceSpan;
  metadata: SessionMetadata = {};
  totals = new Totals();
  /** Own spans that have no line yet. */
  readonly open = new OpenSpans(() => this.head.traceId);
  /** Spans of other writers that have no line yet, as the document had them. */
  foreign = new Map<string, TraceSpan>();
  /** When they were last known to be open, in epoch milliseconds. */
  foreignSeen = 0;
  /** When the document that we went on with had ended, in its words. */
  #resumed: string | undefined;
  /** An error or a crash that another writer's end left in the document: it outranks a normal end of ours. */
  inherited: SessionEnd | undefined;

  constructor(start: SessionStart, name: string) {
    const startedAt = isoTime(start.startTime);
    this.head = { id: start.id, traceId: start.traceId, sessionId: name, startedAt };
    this.root = {
      spanId: sessionSpanId(start.id),
      parentSpanId: null,
      name: start.name ?? start.id,
      kind: "session",
      startTime: start.startTime,
      status: "ok",
      ...(start.input !== undefined && { input: start.input }),
    };
  }

  /** Goes on where the document stands: a resume. What ended it before no longer counts. */
  resume(published: Published): void {
    this.#takeHead(published);
    if (!published.tail) return;
    this.#takeTail(published.tail);
    if (published.tail.summary.status !== "running") this.#resumed = published.tail.endedAt;
    this.totals = totalsOf(published.tail, published.body.type === "spans" ? published.body.spans : []);
  }

  /** Takes in what another writer of this session published. `totals` were counted over the union. */
  adopt(published: Published, totals: Totals | undefined): void {
    this.#takeHead(published);
    if (totals) this.totals = totals;
    if (!published.tail) return;
    this.#takeTail(published.tail);
    const { summary, layout } = published.tail;
    const status = endStatus(summary);
    if (status === "error" || (status === "crashed" && layout.recovered !== true)) {
      if (statusRank[status] > statusRank[this.inherited?.status ?? "running"])
        this.inherited = { status, error: summary.error };
    }
  }

  /** Keeps spans of others that no document tells of any more. */
  keepForeign(spans: readonly TraceSpan[]): void {
    for (const span of spans) if (!this.foreign.has(span.spanId)) this.foreign.set(span.spanId, span);
  }

  /** Forgets spans of others that have lines now, or are our own. */
  dropForeignWithLines(lines: { has(spanId: string): boolean }): void {
    for (const spanId of this.foreign.keys()) {
      if (lines.has(spanId) || this.open.has(spanId)) this.foreign.delete(spanId);
    }
  }

  /** What the live log needs to rebuild the session without its document. */
  record(): SessionRecord {
    const { id, traceId, startedAt } = this.head;
    return { id, traceId, startedAt, root: this.root, metadata: this.metadata, resumed: this.#resumed };
  }

  /** The tail of a document as of now. */
  tail(nowMillis: number, end?: SessionEnd): DocumentTail {
    const spans = [...this.open.read(), ...this.foreign.values()];
    const ended = spans.filter((span) => span.endTime !== undefined);
    const running = spans.filter((span) => span.endTime === undefined);
    const worst =
      this.inherited && statusRank[this.inherited.status] > statusRank[end?.status ?? "running"]
        ? this.inherited
        : end;
    // A crash that was fenced stays; another writer's error waits for the end of the last one.
    const totals = ended.length > 0 ? this.totals.with(ended) : this.totals;
    const status = end
      ? (worst?.status ?? end.status)
      : this.inherited?.status === "crashed"
        ? "crashed"
        : "running";
    const summary = summarize(totals, {
      status,
      error: worst?.error ?? end?.error,
      duration: nowMillis - Date.parse(this.head.startedAt),
      idle: status === "running" && !running.some((span) => span.kind === "generation"),
    });
    const output = rootOutput(summary);
    const root = end ? { ...this.root, endTime: nowMillis, ...rootStatus(end) } : this.root;
    return {
      spans: [...ended, ...running, end && output ? { ...root, output } : root],
      metadata: this.metadata,
      summary,
      endedAt: isoTime(nowMillis),
      layout: layoutOf(totals),
    };
  }

  #takeHead({ head, tail }: Published): void {
    if (!head) return;
    const startedAt = [head.startedAt, this.head.startedAt].sort()[0] as string;
    const root = tail?.spans.find(isRoot);
    this.head = { ...this.head, traceId: head.traceId || this.head.traceId, startedAt };
    if (root) {
      const {
        endTime: _end,
        output: _output,
        statusMessage: _message,
        interrupted: _interrupted,
        ...open
      } = root;
      this.root = beginningWith({ ...open, status: "ok" }, this.root);
    }
  }

  #takeTail(tail: DocumentTail): void {
    this.foreignSeen = Date.parse(tail.endedAt) || 0;
    this.metadata = { ...tail.metadata, ...this.metadata };
    this.foreign = new Map(tail.spans.filter((span) => !isRoot(span)).map((span) => [span.spanId, span]));
  }
}

const rootStatus = ({ status, rootMessage }: SessionEnd): Partial<TraceSpan> => ({
  ...(status === "crashed" && { interrupted: true as const }),
  ...(rootMessage && { status: "error", statusMessage: rootMessage }),
});

/** An open span closed by something else than the program. */
export function interrupt(span: TraceSpan, endTime: number, statusMessage: string): TraceSpan {
  // Recovery knows the end from file times, which kernels keep in ticks of up to 10 ms.
  return {
    ...span,
    endTime: Math.max(endTime, finite(span.startTime)),
    status: "error",
    statusMessage,
    interrupted: true,
  };
}
