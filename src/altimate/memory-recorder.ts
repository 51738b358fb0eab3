/** Documents in memory, for a `Trace` without a file exporter: its exporters get whole documents. */

import type { Context } from "@opentelemetry/api";
import type { SessionFacts, SessionHandle, SessionOpening, SessionStore } from "../exporter/session-store.js";
import { SpanConverter } from "../exporter/to-trace-span.js";
import { safeId } from "../format/file-names.js";
import { noHistory, type SessionHistory } from "../format/history.js";
import { splitOrigins } from "../format/origins.js";
import { callerEnd, crashEnd, endWithSession, type SessionEnd } from "../format/session-end.js";
import { inTrace } from "../format/span-map.js";
import type { SessionMetadata, SessionSummary, TraceFile, TraceSpan } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { hasSessionAttribute, sessionIdOf } from "../otel/session-attributes.js";
import {
  type ExportResult,
  ExportResultCode,
  type LiveSpanExporter,
  type ReadableSpan,
  type SpanProcessor,
} from "../otel/types.js";
import { SessionState } from "../storage/session-state.js";
import { capSpansForSerialization } from "./span-cap.js";

/** Keeps one session: the session that was opened last. */
export class MemorySessionExporter implements LiveSpanExporter, SessionStore {
  readonly #maxSpans: number;
  readonly #converter = new SpanConverter(undefined);
  #session: MemorySession | undefined;

  /** @param maxSpans spans that are kept of a session: the first 30 % and the last ones, with a marker between them */
  constructor(maxSpans: number) {
    this.#maxSpans = maxSpans;
  }

  /** The session that was opened last; `undefined` after {@link forget}. */
  get session(): MemorySession | undefined {
    return this.#session;
  }

  openSession(opening: SessionOpening): SessionHandle {
    this.#session = new MemorySession(opening, this.#maxSpans);
    return this.#session;
  }

  /** No session outlives its process in memory. */
  async resumeSession(): Promise<undefined> {
    return undefined;
  }

  /** Frees the session, after its end and its export. */
  forget(): void {
    this.#session?.free();
    this.#session = undefined;
  }

  recordStart(span: ReadableSpan, startedIn?: Context): void {
    const session = this.#sessionOf(span);
    if (!session) return;
    const read = () => this.#converter.convert(span, session.rootSpanId, startedIn);
    const { span: first, metadata } = read();
    session.learn(metadata);
    if (first) session.start(first, () => read().span ?? first, span);
  }

  recordEnd(span: ReadableSpan): void {
    const session = this.#sessionOf(span);
    if (!session) return;
    const { span: record, metadata } = this.#converter.convert(span, session.rootSpanId);
    session.learn(metadata);
    if (record) session.record(record);
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    for (const span of spans) this.recordEnd(span);
    resultCallback({ code: ExportResultCode.SUCCESS });
  }

  crash(reason?: string): void {
    this.#session?.crash(reason);
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    await this.#session?.end();
  }

  #sessionOf(span: ReadableSpan): MemorySession | undefined {
    // Throws for a span that cannot be read.
    const id = hasSessionAttribute(span) ? sessionIdOf(span) : undefined;
    const session = this.#session;
    return id === undefined || id === session?.id ? session : undefined;
  }
}

/**
 * Passes spans to the recorder at once. `CrashSafeSpanProcessor` would be referenced by the process until its next
 * flush, and would keep the spans of sessions that were never ended in memory.
 */
export class MemorySpanProcessor implements SpanProcessor {
  readonly #diagnostics = new Diagnostics("Trace");

  constructor(readonly exporter: MemorySessionExporter) {}

  onStart(span: ReadableSpan, startedIn: Context): void {
    this.#guard(() => this.exporter.recordStart(span, startedIn));
  }

  onEnd(span: ReadableSpan): void {
    this.#guard(() => this.exporter.recordEnd(span));
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {
    await this.exporter.shutdown();
  }

  /** An error would reach the host code that starts and ends spans. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#diagnostics.failure("a span could not be kept in memory", error);
    }
  }
}

/** A session in memory. */
export class MemorySession implements SessionHandle {
  readonly path = undefined;
  readonly #state: SessionState;
  readonly #maxSpans: number;
  /** All ended spans, or up to twice the cap. */
  #ended: TraceSpan[] = [];
  #ending: { readonly end: SessionEnd; readonly at: number } | undefined;

  constructor(opening: SessionOpening, maxSpans: number) {
    this.#state = new SessionState(opening, safeId(opening.id), "");
    this.#state.learn(opening.metadata);
    this.#maxSpans = maxSpans;
  }

  get id(): string {
    return this.#state.head.id;
  }

  get rootSpanId(): string {
    return this.#state.root.spanId;
  }

  get traceId(): string {
    return this.#state.head.traceId;
  }

  get metadata(): SessionMetadata {
    return splitOrigins(this.#state.metadata).metadata;
  }

  get summary(): SessionSummary {
    return this.#tail().summary;
  }

  takeHistory(): SessionHistory {
    return noHistory;
  }

  setTraceId(traceId: string): void {
    if (this.#ended.length === 0) this.#state.setHead({ ...this.#state.head, traceId });
  }

  update(facts: SessionFacts): void {
    if (!this.#ending) this.#state.update(facts);
  }

  changed(spanId: string, traceId?: string): void {
    this.#state.openSpans.change({ spanId, traceId });
  }

  /** The next document reads the span. */
  merged(): void {}

  /** A span has started; `read` returns its later states. */
  start(span: TraceSpan, read: () => TraceSpan, source: object): void {
    if (!this.#ending) this.#state.openSpans.start(span, read, source);
  }

  /** A span has ended. Spans that end after their session are dropped. */
  record(span: TraceSpan): void {
    if (this.#ending) return;
    this.#state.openSpans.end(span);
    this.#state.follow(span);
    this.#state.count(span);
    this.#ended.push(inTrace(span, this.traceId));
    if (this.#maxSpans > 0 && this.#ended.length > 2 * this.#maxSpans) {
      const { root } = this.#state;
      this.#ended = this.#capped([...this.#ended, root]).filter((kept) => kept !== root);
    }
  }

  async flush(): Promise<void> {}

  async end(error?: string): Promise<void> {
    this.endNow(error);
  }

  endNow(error?: string): void {
    this.#close(callerEnd(error));
  }

  /** Adds what a span brings to the metadata of its session. */
  learn(metadata: Partial<SessionMetadata>): void {
    if (!this.#ending) this.#state.learn(metadata);
  }

  crash(reason?: string): void {
    this.#close(crashEnd(reason));
  }

  /** Drops the spans: a tracer of the session may keep a reference to it. */
  free(): void {
    this.#ended = [];
  }

  async document(): Promise<TraceFile> {
    return this.snapshot();
  }

  /** The document as of now, or as of the end of the session. */
  snapshot(): TraceFile {
    const { spans, metadata: described, summary, endedAt } = this.#tail();
    const { metadata, ...origins } = splitOrigins(described);
    const { id, traceId, sessionId, startedAt } = this.#state.head;
    // Copies, which exporters of the host may change.
    const all = this.#capped([...this.#ended, ...spans]).map((span) => ({ ...span }));
    return {
      version: 2,
      id,
      traceId,
      sessionId,
      startedAt,
      endedAt,
      metadata: { ...metadata },
      spans: all,
      ...origins,
      summary,
    };
  }

  #capped(spans: TraceSpan[]): TraceSpan[] {
    return capSpansForSerialization(spans, this.#maxSpans);
  }

  #tail() {
    return this.#state.tail(this.#ending?.at ?? Date.now(), this.#ending?.end);
  }

  /** An ended session keeps its end, unless it crashes: a crash replaces every end, an earlier crash too. */
  #close(end: SessionEnd): void {
    if (this.#ending && end.status !== "crashed") return;
    const at = Date.now();
    const over = this.#ending;
    const spans = this.#state.openSpans.read();
    // Reading ran code of the host, which may have ended the session.
    if (this.#ending !== over) {
      this.#close(end);
      return;
    }
    for (const span of spans) this.record(span.endTime === undefined ? endWithSession(span, end, at) : span);
    this.#ending = { end, at };
  }
}
