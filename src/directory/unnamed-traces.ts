/**
 * Traces whose spans name no session yet: filed in the unnamed log, until a span names one or the policy decides.
 *
 * A move is written to the log first, then the spans go into the files of their session, then the log forgets the spans:
 * whatever is killed when, recovery finds each span in one place, or finishes the move.
 */

import { encodeSpan } from "../format/document.js";
import { underSession } from "../format/parent-places.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { markByPolicy, sessionByPolicy, type UnnamedPolicy } from "../format/unnamed-policy.js";
import { firstTimeOf } from "../platform/epoch-time.js";
import { unnamedBounds } from "../recovery/retention.js";
import { moveDocument, placeBelow, settleAt } from "./moves.js";
import { ProvisionalSpans } from "./provisional-spans.js";
import type { SessionEntry } from "./sessions.js";
import type { DirectoryListener, NamedSpan } from "./shared-directory.js";
import type { TraceDirectory } from "./trace-directory.js";
import { TraceDocuments } from "./trace-documents.js";
import { decideMillis, type Provisional, type UnnamedTrace } from "./unnamed-trace.js";
import { type WatchedSpan, WatchedSpans } from "./watched-spans.js";

/** Bytes of provisional spans of all traces; beyond them the oldest trace is decided at once. */
const maxBytes = 32_000_000;

/** What the directory reports of traces without a session. */
export type UnnamedListener = Omit<DirectoryListener, "onReleased" | "onRefused">;

export class UnnamedTraces {
  readonly #directory: TraceDirectory;
  readonly #policy: UnnamedPolicy;
  readonly #listener: UnnamedListener;
  readonly #spans: ProvisionalSpans;
  readonly #documents: TraceDocuments;
  /** Traces of spans whose starts are provisional, by the spans as their processors know them. */
  readonly #startedIn = new WeakMap<object, UnnamedTrace>();
  readonly #watched: WatchedSpans;
  /** Users that want to go, and what to call when they are gone. */
  readonly #leaving = new Map<number, () => void>();

  /** `maxFiles`: the option; its default bounds the documents of traces that name no session. */
  constructor(
    directory: TraceDirectory,
    policy: UnnamedPolicy,
    listener: UnnamedListener,
    maxFiles: number | undefined,
  ) {
    this.#directory = directory;
    this.#policy = policy;
    this.#listener = listener;
    this.#watched = new WatchedSpans(directory);
    this.#spans = new ProvisionalSpans(directory.ports, directory.dir, policy);
    this.#documents = new TraceDocuments(directory, maxFiles ?? unnamedBounds.maxFiles, {
      onWritten: (trace, spans) => this.#written(trace, spans),
      onResumed: (trace, spans) => this.#moveByPolicy(trace, spans),
      onFault: (error, path) => listener.onFault(error, path),
      onRemoved: (path) => listener.onRemoved(path, maxFiles === undefined ? "default" : "given"),
    });
  }

  /** Traces whose spans have no session yet, or no document. */
  get size(): number {
    return this.#spans.size;
  }

  /** Spans that have ended and may be in no document, as the policy says. */
  get undecidedSpans(): number {
    return this.#policy.withoutSession === "drop" ? this.#spans.endedSpans : 0;
  }

  get queuedBytes(): number {
    return this.#spans.queuedBytes;
  }

  /** Ended spans that may be in no file, because the disk refuses the log. */
  get queuedSpans(): number {
    return this.#spans.queuedBytes > 0 ? this.#spans.endedSpans : 0;
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
    const trace = this.#spans.trace(traceId, user);
    const { named, policySession, size } = trace;
    if (named !== undefined || policySession === undefined || size > 0) return trace;
    return policySession === null ? undefined : (this.#policyEntry(trace, user, startTime) ?? trace);
  }

  recordStart(trace: UnnamedTrace, started: Omit<Provisional, "text">): "recorded" | "full" {
    if (trace.get(started.span.spanId)) return "recorded";
    trace.markStarted();
    const outcome = this.#put(trace, { ...started, text: encodeSpan(started.span) });
    if (outcome === "recorded") this.#startedIn.set(started.source, trace);
    return outcome;
  }

  recordEnd(trace: UnnamedTrace, source: object, span: TraceSpan): "recorded" | "full" {
    // Nothing reports that an attribute was set: the end of a span below is the first event after it.
    const above = trace.namedAbove(span);
    if (above && this.#startedIn.get(above.source) === trace)
      this.#openSpanNames(trace, above.span, above.session);
    const ended = { span, text: encodeSpan(span), source, read: undefined, sessionOf: undefined };
    const outcome = this.#put(trace, ended);
    if (outcome === "full") return outcome;
    this.#startedIn.delete(source);
    this.#directory.markRecorded(source);
    const session = trace.decide(span.spanId);
    if (session !== undefined) this.#move(trace, [span.spanId, ...trace.endedBelow(span.spanId)], session);
    this.#decideIfEnded(trace);
    return outcome;
  }

  learn(trace: UnnamedTrace, metadata: Partial<SessionMetadata>): void {
    this.#spans.learn(trace, metadata);
  }

  /** A span names its session, or starts in one: provisional spans of the trace that this decides move there. */
  named(user: number, { traceId, spanId, parentSpanId, isStart }: NamedSpan, session: string): void {
    const trace = this.#spans.trace(traceId, user);
    if (isStart) trace.markStarted();
    this.#documents.takeBack(trace);
    if (trace.size === 0 && (trace.named !== undefined || trace.policySession !== trace.id)) {
      trace.noteName(session);
      settleAt(this.#directory, trace, spanId, session, user);
      return;
    }
    const isFirst = trace.named === undefined;
    if (isFirst && trace.policySession === trace.id) moveDocument(this.#directory, trace, user, session);
    const decided = trace.name(spanId, parentSpanId, session);
    settleAt(this.#directory, trace, spanId, session, user);
    this.#move(trace, decided, session);
    if (isFirst && trace.size > 0) this.#spans.nameTrace(trace, session);
  }

  /** An open span was recorded in the session that the policy gave its trace. */
  watch(traceId: string, span: WatchedSpan): void {
    const trace = this.#spans.find(traceId);
    if (trace) this.#watched.add(trace, span);
  }

  /** A span of the session has this parent, which may turn up in another session later. */
  placeBelow(traceId: string, parentSpanId: string, session: string): "below" | "elsewhere" {
    const trace = this.#spans.find(traceId);
    return trace ? placeBelow(this.#directory, trace, parentSpanId, session) : "below";
  }

  /** A span of a trace is recorded in the session that the policy gave the trace. */
  settle(traceId: string, spanId: string, session: string): void {
    const trace = this.#spans.find(traceId);
    if (trace) settleAt(this.#directory, trace, spanId, session);
  }

  /** Decides what time has decided, and finishes what the disk refused. Called every second. */
  tick(): void {
    const now = this.#directory.ports.clock.monotonic();
    this.#spans.settleFile();
    for (const trace of this.#spans.traces()) {
      if (this.#documents.has(trace)) continue;
      this.#refresh(trace);
      // Spans to be dropped wait for a name as long as their trace is open.
      const isPatient = this.#policy.withoutSession === "drop" && trace.named === undefined;
      if (isPatient && trace.openSpans > 0) continue;
      if (trace.waitingMillis(now) >= decideMillis) this.#decideAll(trace);
    }
    this.#readWatched();
    this.#documents.retry();
    this.#spans.removeIfEmpty();
    this.#letGo();
  }

  heartbeat(): void {
    this.#spans.heartbeat();
  }

  /** Syncs what was recorded since the last call: `durability: "interval"`. */
  syncRecent(): void {
    this.#spans.sync().catch((error: unknown) => this.#listener.onFault(error, this.#directory.dir));
  }

  /** Writes the documents of all traces that have ended, and makes the log of the other ones durable. */
  async flush(): Promise<void> {
    this.#spans.settleFile();
    this.#readWatched();
    for (const trace of this.#spans.traces()) {
      this.#refresh(trace);
      // Without starts, the top of a trace arrives last.
      if (trace.openSpans === 0 && (trace.hasStarts || trace.hasTop)) this.#decideAll(trace);
    }
    await this.#documents.flush();
    if (this.#directory.ports.durability !== "process") await this.#spans.sync();
    this.#spans.removeIfEmpty();
    this.#letGo();
  }

  /** A caller ends the session that has the name of a trace: what is provisional goes into that session first. */
  decide(traceId: string): void {
    const trace = this.#spans.active(traceId);
    if (!trace) return;
    this.#refresh(trace);
    this.#documents.takeBack(trace);
    if (trace.named !== undefined) this.#decideAll(trace);
    else if (trace.size > 0) {
      const entry = this.#policyEntry(trace, trace.user, this.#directory.ports.clock.now());
      entry?.endAfterQuiet(decideMillis);
      this.#moveByPolicy(trace, [...trace.spans()]);
    }
  }

  /** Decides all traces of a user, which leaves; at a `hook`, spans to be dropped go on waiting for a name. */
  leave(user: number, hook = false): void {
    this.#readWatched();
    for (const trace of this.#spans.traces()) {
      if (trace.user !== user) continue;
      this.#refresh(trace);
      if (!hook || trace.named !== undefined || this.#policy.withoutSession !== "drop")
        this.#decideAll(trace);
    }
  }

  /** Decides all traces of a user in its crash fence. What has ended is written at once, as far as time allows. */
  crash(user: number, isProvisional = false): void {
    this.leave(user, isProvisional);
    this.#documents.writeNow();
    this.#spans.removeIfEmpty();
  }

  /** The user wants to go: `onGone` is called as soon as all its traces are decided, and their documents written. */
  release(user: number, onGone: () => void): void {
    this.#leaving.set(user, onGone);
    this.#letGo();
  }

  /** Nothing is retried any more. */
  close(): void {
    this.#spans.close();
  }

  #letGo(): void {
    for (const [user, onGone] of this.#leaving) {
      if (this.#spans.traces().some((trace) => trace.user === user)) continue;
      this.#leaving.delete(user);
      onGone();
    }
  }

  #put(trace: UnnamedTrace, provisional: Provisional): "recorded" | "full" {
    this.#documents.takeBack(trace);
    const outcome = this.#spans.put(trace, provisional);
    // The oldest traces are decided before their time.
    for (const oldest of this.#spans.bytes > maxBytes ? this.#spans.traces() : []) {
      if (this.#spans.bytes <= maxBytes) break;
      this.#decideAll(oldest);
      this.#documents.writeNow(oldest);
    }
    return outcome;
  }

  /** Reads which sessions the open spans name by now. Runs code of the host, which may record spans. */
  #refresh(trace: UnnamedTrace): void {
    for (const { source, sessionOf, span } of [...trace.spans()]) {
      const session = sessionOf?.();
      if (session === undefined || this.#startedIn.get(source) !== trace) continue;
      this.#openSpanNames(trace, span, session);
    }
  }

  /** Like {@link #refresh}, for open spans in sessions that the policy gave to their traces. */
  #readWatched(): void {
    for (const { trace, span, session } of this.#watched.named()) this.#openSpanNames(trace, span, session);
  }

  #openSpanNames({ user, id }: UnnamedTrace, { spanId, parentSpanId }: TraceSpan, session: string): void {
    this.named(user, { traceId: id, spanId, parentSpanId, isStart: false }, session);
  }

  /** Without a name, the trace is decided when its last open span ends. */
  #decideIfEnded(trace: UnnamedTrace): void {
    if (trace.size > 0 && trace.hasStarts && trace.openSpans === 0) this.#decideAll(trace);
  }

  #decideAll(trace: UnnamedTrace): void {
    const { named, size, openSpans, policySession } = trace;
    if (size === 0) return;
    const target = sessionByPolicy(this.#policy, trace.id);
    if (named !== undefined) this.#moveByAncestors(trace, named);
    else if (target === undefined) {
      trace.sendTo(null);
      this.#lose(trace, [...trace.spans()]);
    } else if (target === trace.id && openSpans === 0 && policySession === undefined)
      this.#documents.add(trace);
    else this.#moveByPolicy(trace, [...trace.spans()]);
  }

  /** Each span goes where its nearest ancestor is that has a session, else to `otherwise`. */
  #moveByAncestors(trace: UnnamedTrace, otherwise: string): void {
    for (const [session, spans] of trace.byHome(otherwise)) this.#move(trace, spans, session);
  }

  /** The spans of a trace that names no session go on in the session that the policy gives the trace. */
  #moveByPolicy(trace: UnnamedTrace, spans: readonly Provisional[]): void {
    const ids = spans.map(({ span }) => span.spanId);
    const target = sessionByPolicy(this.#policy, trace.id);
    if (target !== undefined) this.#move(trace, ids, target);
  }

  #written(trace: UnnamedTrace, spans: readonly Provisional[]): void {
    trace.sendTo(trace.id);
    trace.markOpened();
    this.#spans.settle(trace, spans);
    for (const { span } of spans) settleAt(this.#directory, trace, span.spanId, trace.id);
    // Spans that came while the document was written.
    this.#decideIfEnded(trace);
    this.#letGo();
  }

  /** The spans are to be in no document. */
  #lose(trace: UnnamedTrace, spans: readonly Provisional[]): void {
    for (const { source } of spans) this.#startedIn.delete(source);
    this.#spans.settle(trace, spans);
    const ended = spans.filter(({ span }) => span.endTime !== undefined);
    if (ended.length > 0) this.#listener.onLost("unnamed", ended.length);
  }

  /** Moves provisional spans into the files of their session. */
  #move(trace: UnnamedTrace, spanIds: readonly string[], session: string): void {
    const moved = spanIds.map((id) => trace.get(id)).filter((one) => one !== undefined);
    if (moved.length === 0) return;
    const startTime = firstTimeOf(moved.map(({ span }) => span));
    const entry = this.#entryFor(trace, session, startTime);
    if (!entry) {
      this.#lose(trace, moved);
      return;
    }
    this.#spans.move(trace, moved, entry, () => {
      for (const { span } of moved) settleAt(this.#directory, trace, span.spanId, entry.id);
      const { prompt: _later, ...added } = trace.metadata;
      const isFirst = entry.writer.session.metadata.prompt === undefined;
      this.#directory.learn(entry, isFirst ? trace.metadata : added);
      const ids = new Set(moved.map(({ span }) => span.spanId));
      for (const provisional of moved) this.#record(trace, entry, provisional, ids);
    });
    this.#directory.endIfQuiet(entry);
  }

  #record(
    trace: UnnamedTrace,
    entry: SessionEntry,
    { span, source, read, sessionOf }: Provisional,
    movedTogether: ReadonlySet<string>,
  ): void {
    const { parentSpanId: parent } = span;
    const isBelow =
      parent !== null &&
      (movedTogether.has(parent) || placeBelow(this.#directory, trace, parent, entry.id) === "below");
    const { rootSpanId } = this.#directory.writerOf(entry).session;
    // Where the span stands is decided now: the parent may move later, and the span with it.
    const placed = (state: TraceSpan) => (isBelow ? state : underSession(state, rootSpanId));
    const first = placed(span);
    this.#startedIn.delete(source);
    if (span.endTime === undefined && read) {
      this.#directory.recordStart(entry, source, first, () => placed(read()), {});
      if (entry.id === trace.id && sessionOf) this.#watched.add(trace, { span, source, sessionOf });
    } else if (this.#directory.recordEnd(entry, source, first, {}) === "full")
      this.#listener.onLost("full", 1);
  }

  /** The session that takes provisional spans: that of the policy, where their own takes no spans any more. */
  #entryFor(trace: UnnamedTrace, session: string, startTime: number): SessionEntry | undefined {
    if (session !== sessionByPolicy(this.#policy, trace.id)) {
      const admitted = this.#directory.admit(trace.user, { id: session, traceId: trace.id, startTime });
      if (typeof admitted !== "string") return admitted;
    }
    return this.#policyEntry(trace, trace.user, startTime);
  }

  /** The session that the policy gives a trace, opened; `undefined` if it takes no spans. */
  #policyEntry(trace: UnnamedTrace, user: number, startTime: number): SessionEntry | undefined {
    const id = sessionByPolicy(this.#policy, trace.id);
    if (id === undefined) return undefined;
    const isOpen = this.#directory.openEntry(id) !== undefined;
    const entry = this.#directory.admit(user, { id, traceId: trace.id, startTime });
    if (typeof entry === "string") return undefined;
    trace.sendTo(id);
    if (isOpen) return entry;
    // A document that is there has the mark, unless a program named the session.
    if (!entry.writer.base.published) this.#directory.learn(entry, markByPolicy(this.#policy, id, trace));
    if (id !== trace.id) return entry;
    entry.endAfterQuiet(trace.quietMillis);
    trace.markOpened();
    return entry;
  }
}
