/**
 * The traces of this process whose spans name no session yet: filed in the unnamed log, until a span names a session or
 * the policy decides.
 *
 * A move is written to the log first, then the spans go into the files of their session, then the log forgets the spans:
 * whatever is killed when, recovery finds each span in one place, or finishes the move.
 */

import { encodeSpan } from "../format/document.js";
import { encodeJournalSpan } from "../format/journal.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import {
  encodeMoved,
  encodeNamed,
  encodeSettled,
  encodeUnnamedOwner,
  encodeUnnamedTrace,
  placed,
  sessionByPolicy,
  type UnnamedPolicy,
} from "../format/unnamed-log.js";
import { RecentMap } from "../platform/recent-map.js";
import { UnnamedFile } from "../storage/unnamed-file.js";
import type { SessionEntry } from "./sessions.js";
import type { DirectoryListener, NamedSpan } from "./shared-directory.js";
import type { TraceDirectory } from "./trace-directory.js";
import { TraceDocuments } from "./trace-documents.js";
import { type Provisional, UnnamedTrace } from "./unnamed-trace.js";

/** Traces to remember after their spans have their sessions, for spans that come later. */
const maxKnown = 10_000;

/** A trace that names no session for so long gets a document; one that is known by its ends only, after so long a silence. */
const decideMillis = 5_000;

/** Bytes of provisional spans of all traces; beyond them the oldest trace is decided at once. */
const maxBytes = 32_000_000;

/** What is known of a trace besides its provisional spans. */
interface Filed {
  readonly trace: UnnamedTrace;
  /** Monotonic time of the first provisional span since there was none, and of the last record. */
  since: number;
  last: number;
  /** How often spans came after the policy had given the trace its document. */
  resumes: number;
  /** Where the policy sent the spans: `null` to no document; `undefined` while it has sent none. */
  policy: string | null | undefined;
}

export class UnnamedTraces {
  readonly #directory: TraceDirectory;
  readonly #policy: UnnamedPolicy;
  readonly #listener: Omit<DirectoryListener, "onReleased">;
  readonly #file: UnnamedFile;
  readonly #documents: TraceDocuments;
  /** Traces with provisional spans, oldest first. */
  readonly #active = new Map<string, Filed>();
  readonly #known = new RecentMap<string, Filed>(maxKnown);
  /** Traces of spans whose starts are provisional, by the spans as their processors know them. */
  readonly #startedIn = new WeakMap<object, UnnamedTrace>();
  /** The record of the move that is under way. */
  #moving: Buffer | undefined;
  /** Users that want to go, and what to call when they are gone. */
  readonly #leaving = new Map<number, () => void>();
  /** What the log forgets when the files of a session have the spans: the disk refuses the files now. */
  readonly #unsettled = new Map<SessionEntry, Buffer[]>();
  #bytes = 0;
  #last: Filed | undefined;

  constructor(
    directory: TraceDirectory,
    policy: UnnamedPolicy,
    listener: Omit<DirectoryListener, "onReleased">,
    /** Documents that retention keeps of traces without a session; 0: all. */
    maxDocuments: number,
  ) {
    this.#directory = directory;
    this.#policy = policy;
    this.#listener = listener;
    this.#file = new UnnamedFile(directory.ports, directory.dir, (token) => this.#content(token));
    this.#documents = new TraceDocuments(directory, maxDocuments, {
      onWritten: (trace, spans) => this.#written(trace, spans),
      onResumed: (trace, spans) => this.#resume(trace, spans),
      onFault: (error, path) => listener.onFault(error, path),
      onRemoved: (path) => listener.onRemoved(path),
    });
  }

  /** Traces whose spans have no session yet, or no document. */
  get size(): number {
    return this.#active.size;
  }

  /** Spans that have ended and may be in no document, as the policy says. */
  get undecidedSpans(): number {
    if (this.#policy.withoutSession !== "drop") return 0;
    let spans = 0;
    for (const { trace } of this.#active.values()) spans += trace.size - trace.openSpans;
    return spans;
  }

  get queuedBytes(): number {
    return this.#file.queuedBytes;
  }

  /** The trace that has the start of a span, while the session of the span is not decided. */
  traceOf(source: object): UnnamedTrace | undefined {
    return this.#startedIn.get(source);
  }

  /**
   * Where a span goes that names no session: the trace, or the session that the policy gave the trace. `undefined`: to no
   * document.
   */
  admit(user: number, traceId: string, startTime: number): UnnamedTrace | SessionEntry | undefined {
    const filed = this.#filed(traceId) ?? this.#add(traceId, user);
    if (filed.trace.named !== undefined || filed.policy === undefined || filed.trace.size > 0)
      return filed.trace;
    if (filed.policy === null) return undefined;
    return this.#policyEntry(filed, user, startTime) ?? filed.trace;
  }

  recordStart(trace: UnnamedTrace, started: Omit<Provisional, "text">): "recorded" | "full" {
    const { spanId } = started.span;
    if (trace.get(spanId)) return "recorded";
    trace.hasStarts = true;
    const outcome = this.#put(trace, { ...started, text: encodeSpan(started.span) });
    if (outcome === "recorded") this.#startedIn.set(started.source, trace);
    return outcome;
  }

  recordEnd(trace: UnnamedTrace, source: object, span: TraceSpan): "recorded" | "full" {
    const outcome = this.#put(trace, {
      span,
      text: encodeSpan(span),
      source,
      read: undefined,
      sessionOf: undefined,
    });
    if (outcome === "full") return outcome;
    this.#startedIn.delete(source);
    this.#directory.markRecorded(source);
    const session = trace.decide(span.spanId);
    if (session !== undefined) this.#moveWithBelow(trace, span.spanId, session);
    this.#decideEnded(trace);
    return outcome;
  }

  learn(trace: UnnamedTrace, metadata: Partial<SessionMetadata>): void {
    if (trace.learn(metadata)) this.#file.append(encodeUnnamedTrace(trace.id, trace.metadata));
  }

  /**
   * A span names its session, or starts in one: provisional spans of the trace that this decides move there. `isStart`:
   * the start of the span is being recorded.
   */
  named(user: number, { traceId, spanId, parentSpanId, isStart }: NamedSpan, session: string): void {
    const { trace } = this.#filed(traceId) ?? this.#add(traceId, user);
    if (isStart) trace.hasStarts = true;
    // Most spans name the session that their trace is known to have.
    if (trace.named === session && trace.size === 0 && trace.hasStarts) return;
    const isFirst = trace.named === undefined;
    const spans = trace.name(spanId, parentSpanId, session);
    if (spans.length > 0) this.#move(trace, spans, session);
    if (isFirst && trace.size > 0) this.#file.append(encodeNamed(traceId, session));
  }

  /** Whether a span of a trace is in another session than this one, as far as that is known. */
  isElsewhere(traceId: string, spanId: string, session: string): boolean {
    const trace = this.#filed(traceId)?.trace;
    if (!trace || trace.get(spanId)) return false;
    const home = trace.homeOf(spanId) ?? (trace.hasStarts ? trace.named : undefined);
    return home !== undefined && home !== session;
  }

  /** Decides what time has decided, and finishes what the disk refused. Called every second. */
  tick(): void {
    const now = this.#directory.ports.clock.monotonic();
    this.#file.settle();
    for (const filed of [...this.#active.values()]) {
      const { trace } = filed;
      if (this.#documents.has(trace)) continue;
      this.#refresh(trace);
      const age = now - (trace.hasStarts ? filed.since : filed.last);
      // Spans to be dropped wait for a name as long as their trace is open.
      const isPatient = this.#policy.withoutSession === "drop" && trace.named === undefined;
      if (age >= decideMillis && !(isPatient && trace.openSpans > 0)) this.#decideAll(filed);
    }
    this.#documents.retry();
    this.#removeIfEmpty();
  }

  heartbeat(): void {
    this.#file.touch();
  }

  async syncRecent(): Promise<void> {
    if (this.#file.needsSync) await this.#file.sync();
  }

  /** Writes the documents of all traces that have ended, and makes the log of the other ones durable. */
  async flush(): Promise<void> {
    this.#file.settle();
    for (const filed of [...this.#active.values()]) {
      const { trace } = filed;
      this.#refresh(trace);
      // Without starts, the last span of a trace to arrive is its top, if the trace has one.
      if (trace.openSpans === 0 && (trace.hasStarts || trace.hasTop)) this.#decideAll(filed);
    }
    await this.#documents.flush();
    if (this.#directory.ports.durability !== "process") await this.#file.sync();
    this.#removeIfEmpty();
  }

  /** A caller ends the session that has the name of a trace: what is provisional goes into that session first. */
  decide(traceId: string): void {
    const filed = this.#active.get(traceId);
    if (!filed) return;
    const { trace } = filed;
    this.#refresh(trace);
    this.#documents.takeBack(trace);
    if (trace.named !== undefined || this.#documents.has(trace)) this.#decideAll(filed);
    else {
      const entry = this.#policyEntry(filed, trace.user, this.#directory.ports.clock.now());
      if (entry?.quietMillis === 0) entry.endAfterQuiet(decideMillis);
      this.#resume(trace, [...trace.spans()]);
    }
  }

  /** Decides all traces of a user, which leaves. */
  leave(user: number): void {
    for (const filed of [...this.#active.values()]) {
      if (filed.trace.user !== user) continue;
      this.#refresh(filed.trace);
      this.#decideAll(filed);
    }
  }

  /** Decides all traces of a user in its crash fence. What has ended is written at once, as far as time allows. */
  crash(user: number): void {
    this.leave(user);
    this.#documents.writeNow();
    this.#removeIfEmpty();
  }

  /** The user wants to go: `onGone` is called as soon as all its traces are decided, and their documents written. */
  release(user: number, onGone: () => void): void {
    this.#leaving.set(user, onGone);
    this.#letGo();
  }

  /** Nothing is retried any more. What is left in the log is left to recovery, though this process lives. */
  close(): void {
    this.#file.release();
  }

  #filed(traceId: string): Filed | undefined {
    if (this.#last?.trace.id === traceId) return this.#last;
    const filed = this.#active.get(traceId) ?? this.#known.get(traceId);
    if (filed) this.#last = filed;
    return filed;
  }

  #add(traceId: string, user: number): Filed {
    const now = this.#directory.ports.clock.monotonic();
    const trace = new UnnamedTrace(traceId, user);
    const filed: Filed = { trace, since: now, last: now, resumes: 0, policy: undefined };
    this.#known.set(traceId, filed);
    this.#last = filed;
    return filed;
  }

  #put(trace: UnnamedTrace, provisional: Provisional): "recorded" | "full" {
    const filed = this.#filed(trace.id) as Filed;
    const now = this.#directory.ports.clock.monotonic();
    const { spanId } = provisional.span;
    if (trace.size === 0) filed.since = now;
    filed.last = now;
    this.#documents.takeBack(trace);
    const before = trace.get(spanId);
    this.#bytes -= trace.bytes;
    // In memory first: an append may rewrite the log from what memory has.
    trace.put(spanId, provisional);
    this.#active.set(trace.id, filed);
    const isKept = this.#file.appendSpan(provisional.text) !== "dropped";
    if (!isKept) {
      trace.remove(spanId);
      if (before) trace.put(spanId, before);
      if (trace.size === 0) this.#active.delete(trace.id);
    }
    this.#bytes += trace.bytes;
    if (this.#bytes > maxBytes) this.#makeRoom();
    return isKept ? "recorded" : "full";
  }

  /** The oldest traces are decided before their time. */
  #makeRoom(): void {
    for (const filed of [...this.#active.values()]) {
      if (this.#bytes <= maxBytes) return;
      this.#decideAll(filed);
      this.#documents.writeNow(filed.trace);
    }
  }

  /** Reads which sessions the open spans name by now. Runs code of the host, which may record spans. */
  #refresh(trace: UnnamedTrace): void {
    for (const { source, sessionOf, span } of [...trace.spans()]) {
      const session = sessionOf?.();
      if (session === undefined || this.#startedIn.get(source) !== trace) continue;
      const { spanId, parentSpanId } = span;
      this.named(trace.user, { traceId: trace.id, spanId, parentSpanId, isStart: false }, session);
    }
  }

  /** Without a name, the trace is decided when its last open span ends. */
  #decideEnded(trace: UnnamedTrace): void {
    const filed = this.#active.get(trace.id);
    if (filed && trace.hasStarts && trace.openSpans === 0) this.#decideAll(filed);
  }

  #decideAll(filed: Filed): void {
    const { trace } = filed;
    if (trace.size === 0) {
      this.#active.delete(trace.id);
      return;
    }
    if (trace.named !== undefined) {
      this.#moveAllByAncestors(trace, trace.named);
      return;
    }
    const target = sessionByPolicy(this.#policy, trace.id);
    if (target === undefined) {
      filed.policy = null;
      this.#drop(trace);
    } else if (target === trace.id && trace.openSpans === 0 && filed.policy === undefined) {
      this.#documents.add(trace);
    } else this.#resume(trace, [...trace.spans()]);
  }

  /** Each span goes where its nearest ancestor is that has a session, else to `otherwise`. */
  #moveAllByAncestors(trace: UnnamedTrace, otherwise: string): void {
    const bySession = new Map<string, string[]>();
    for (const { span } of trace.spans()) {
      const session = nearestHome(trace, span) ?? otherwise;
      const spans = bySession.get(session) ?? [];
      bySession.set(session, spans);
      spans.push(span.spanId);
    }
    for (const [session, spans] of bySession) this.#move(trace, spans, session);
  }

  /** The spans of a trace that names no session go on in the session that the policy gives the trace. */
  #resume(trace: UnnamedTrace, spans: readonly Provisional[]): void {
    const target = sessionByPolicy(this.#policy, trace.id);
    if (target !== undefined)
      this.#move(
        trace,
        spans.map(({ span }) => span.spanId),
        target,
      );
  }

  #written(trace: UnnamedTrace, spans: readonly Provisional[]): void {
    (this.#filed(trace.id) as Filed).policy = trace.id;
    this.#settle(trace, spans);
    // Spans that came while the document was written.
    this.#decideEnded(trace);
  }

  #drop(trace: UnnamedTrace): void {
    const spans = [...trace.spans()];
    const ended = spans.filter(({ span }) => span.endTime !== undefined);
    for (const { source } of spans) this.#startedIn.delete(source);
    this.#settle(trace, spans);
    if (ended.length > 0) this.#listener.onLost("unnamed", ended.length);
  }

  #moveWithBelow(trace: UnnamedTrace, spanId: string, session: string): void {
    this.#move(trace, [spanId, ...trace.endedBelow(spanId)], session);
  }

  /** Moves provisional spans into the files of their session. */
  #move(trace: UnnamedTrace, spanIds: readonly string[], session: string): void {
    const filed = this.#filed(trace.id) as Filed;
    const moved = spanIds.map((id) => trace.get(id)).filter((one) => one !== undefined);
    if (moved.length === 0) return;
    const startTime = Math.min(...moved.map(({ span }) => span.startTime));
    const entry = this.#entryFor(filed, session, startTime);
    if (!entry) {
      this.#settle(trace, moved);
      this.#listener.onLost("unnamed", moved.filter(({ span }) => span.endTime !== undefined).length);
      return;
    }
    this.#moving = encodeMoved(trace.id, entry.id, spanIds);
    this.#file.append(this.#moving);
    for (const { span } of moved) trace.settleAt(span.spanId, entry.id);
    const { metadata } = trace;
    const { prompt: _later, ...added } = metadata;
    entry.writer.setMetadata(entry.writer.session.metadata.prompt === undefined ? metadata : added);
    for (const provisional of moved) this.#record(trace, entry, provisional);
    this.#moving = undefined;
    this.#settle(trace, moved, entry);
    this.#directory.endIfQuiet(entry);
  }

  #record(trace: UnnamedTrace, entry: SessionEntry, { span, source, read }: Provisional): void {
    const at = (state: TraceSpan): TraceSpan => {
      const { parentSpanId } = state;
      const home = parentSpanId === null ? undefined : this.#homeOf(trace, parentSpanId);
      return placed(state, entry.id, home);
    };
    this.#startedIn.delete(source);
    if (span.endTime === undefined && read) {
      this.#directory.recordStart(entry, source, at(span), () => at(read()), {});
    } else if (this.#directory.recordEnd(entry, source, at(span), {}) === "full") {
      this.#listener.onLost("full", 1);
    }
  }

  #homeOf(trace: UnnamedTrace, spanId: string): string | undefined {
    return trace.homeOf(spanId) ?? (trace.hasStarts && !trace.get(spanId) ? trace.named : undefined);
  }

  /** The session that takes provisional spans: that of the policy, where their own takes no spans any more. */
  #entryFor(filed: Filed, session: string, startTime: number): SessionEntry | undefined {
    const { trace } = filed;
    if (session !== trace.id) {
      const admitted = this.#directory.admit(trace.user, { id: session, traceId: trace.id, startTime });
      if (typeof admitted !== "string") {
        if (session === this.#policy.processSession) filed.policy = session;
        return admitted;
      }
    }
    return this.#policyEntry(filed, trace.user, startTime);
  }

  /** The session that the policy gives a trace, opened; `undefined` if it takes no spans. */
  #policyEntry(filed: Filed, user: number, startTime: number): SessionEntry | undefined {
    const { trace } = filed;
    const id = sessionByPolicy(this.#policy, trace.id);
    if (id === undefined) return undefined;
    const isOpen = this.#directory.openEntry(id) !== undefined;
    const entry = this.#directory.admit(user, { id, traceId: trace.id, startTime });
    if (typeof entry === "string") return undefined;
    if (id === trace.id && !isOpen) {
      entry.endAfterQuiet(quietMillis(filed));
      filed.resumes++;
    }
    filed.policy = id;
    return entry;
  }

  /** The spans are in the files of their session, or are to be in none: the log forgets them. */
  #settle(trace: UnnamedTrace, spans: readonly Provisional[], entry?: SessionEntry): void {
    const before = trace.bytes;
    for (const { span } of spans) trace.remove(span.spanId);
    this.#bytes -= before - trace.bytes;
    if (trace.size === 0) this.#active.delete(trace.id);
    const ids = spans.map(({ span }) => span.spanId);
    const record = encodeSettled(trace.id, ids);
    if (entry === undefined || entry.writer.isSettled) this.#file.append(record);
    else this.#unsettled.set(entry, [...(this.#unsettled.get(entry) ?? []), record]);
    this.#letGo();
  }

  #letGo(): void {
    for (const [user, onGone] of this.#leaving) {
      if ([...this.#active.values()].some(({ trace }) => trace.user === user)) continue;
      this.#leaving.delete(user);
      onGone();
    }
  }

  #removeIfEmpty(): void {
    for (const [entry, records] of this.#unsettled) {
      if (!entry.writer.isSettled) continue;
      this.#unsettled.delete(entry);
      for (const record of records) this.#file.append(record);
    }
    if (this.#active.size === 0 && this.#unsettled.size === 0) this.#file.remove();
  }

  /** The log as it would be if it were written now. */
  #content(token: string): Buffer[] {
    const records = [encodeUnnamedOwner(token, this.#policy)];
    for (const { trace } of this.#active.values()) {
      records.push(encodeUnnamedTrace(trace.id, trace.metadata));
      if (trace.named !== undefined) records.push(encodeNamed(trace.id, trace.named));
      for (const { text } of trace.spans()) records.push(encodeJournalSpan(text));
    }
    if (this.#moving) records.push(this.#moving);
    return records;
  }
}

/** How long a session of one trace is quiet before it ends. */
function quietMillis({ trace, resumes }: Filed): number {
  if (resumes === 0 && trace.hasStarts) return 0;
  return Math.min(60_000, decideMillis * 2 ** Math.max(0, resumes - 1));
}

function nearestHome(trace: UnnamedTrace, span: TraceSpan): string | undefined {
  for (let above = span.parentSpanId; above !== null; ) {
    const home = trace.homeOf(above);
    if (home !== undefined) return home;
    above = trace.get(above)?.span.parentSpanId ?? null;
  }
  return undefined;
}
