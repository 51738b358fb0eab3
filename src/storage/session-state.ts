/**
 * The state of a session that its spans on disk do not carry: head, session span, metadata, totals, open spans.
 */

import {
  mergeHeads,
  mergeSessionSpans,
  reopened,
  type SessionStart,
  sessionSpan,
} from "../format/beginnings.js";
import type { CounterName } from "../format/counters.js";
import { type DocumentHead, type DocumentTail, isoTime, isRoot } from "../format/document.js";
import type { JournaledSession, MovedSpan } from "../format/journal.js";
import { isSameValue, mergeOwn } from "../format/json-value.js";
import {
  endWithSession,
  type HookVerdict,
  interrupt,
  isOver,
  recordedEnd,
  type SessionEnd,
  verdictOf,
  worseEnd,
} from "../format/session-end.js";
import { inTrace, SpanMap, withTrace } from "../format/span-map.js";
import { totalsOf } from "../format/summary.js";
import { buildTail, endMark } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { type Awaited, awaitedAfter, awaitedAfterAll, isUnderWay, readAwaits } from "../format/under-way.js";
import type { Published } from "./document-file.js";
import { MovedSpans } from "./moved-spans.js";
import { OpenSpans } from "./open-spans.js";
import type { SuspendedSession } from "./suspended-session.js";

/**
 * A change of the session as a whole; absent members stay as they are. Part of the contract between copies of the package
 * (`directory/shared-directory.ts`).
 */
export interface SessionChange {
  /** Name of the session span. */
  readonly name?: string;
  /** Input of the session span. */
  readonly input?: unknown;
  readonly metadata?: Partial<SessionMetadata>;
  /** Merged into the attributes of the session span. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** The head of a session whose raw id is known. */
export type SessionHead = DocumentHead & { readonly id: string };

type RootAddition = { attributes: Record<string, unknown>; limit(root: TraceSpan): TraceSpan };

export class SessionState {
  /** Own spans that have no line yet. */
  readonly openSpans = new OpenSpans();
  #head: SessionHead;
  #root: TraceSpan;
  /** Attributes of the session span that are not merged into it yet. */
  #addedToRoot: RootAddition | undefined;
  #metadata: SessionMetadata = {};
  #totals = new Totals();
  /** Spans of peer writers that have no line yet, as the document has them, each with its trace id. */
  #peerSpans = new SpanMap<TraceSpan>();
  /** When the document listed the peer spans, in epoch milliseconds; 0 while no document did. */
  #peerSpansAt = 0;
  /** What peer writers wait for, by their tokens, as the document has it. */
  #peerAwaits = new Map<string, Awaited>();
  /** What this writer's turn waits for, pending spans left out. */
  #awaited: Awaited = "user";
  /** What ended a peer writer that was under way, while the session went on. */
  #lostWriter: string | undefined;
  /** How this writer opened the session, and the ends of the document after which it went on. */
  #opening: Pick<JournaledSession, "bySpan" | "resumed" | "newRun" | "outlived">;
  #moved: MovedSpans;
  #movedTo: string | undefined;
  /** The worst error or crash that a peer writer, or this one beside living peers, left for the end of the session. */
  #inheritedEnd: SessionEnd | undefined;
  /** The last verdict of a process hook. */
  #verdict: HookVerdict | undefined;
  /** The totals include spans that were interrupted by a process hook and run on. */
  #countsOpenSpans = false;
  readonly #token: string;

  /** `name`: the session id as file names have it. `token`: of the writer. */
  constructor(start: SessionStart, name: string, token: string) {
    this.#token = token;
    const { id, traceId, startTime } = start;
    this.#head = { id, traceId, sessionId: name, startedAt: isoTime(startTime) };
    this.#root = sessionSpan(start);
    this.#moved = new MovedSpans(id);
    this.#opening = { bySpan: start.bySpan };
  }

  get head(): SessionHead {
    return this.#head;
  }

  get root(): TraceSpan {
    const added = this.#addedToRoot;
    if (added) {
      this.#addedToRoot = undefined;
      const attributes = { ...this.#root.attributes, ...added.attributes };
      this.#root = added.limit({ ...this.#root, attributes });
    }
    return this.#root;
  }

  /** Does not merge attributes into the session span, as {@link root} does. */
  get rootSpanId(): string {
    return this.#root.spanId;
  }

  get metadata(): SessionMetadata {
    return this.#metadata;
  }

  /** Spans of peer writers that have no line yet. */
  get peerSpans(): Pick<SpanMap<TraceSpan>, "size" | "has"> {
    return this.#peerSpans;
  }

  /** What this writer's turn waits for, pending spans left out. */
  get awaited(): Awaited {
    return this.#awaited;
  }

  /**
   * Whether work of this writer is under way; work of peer writers does not count. No code of the host runs: a hook that
   * fences the session asks this first.
   */
  get isUnderWay(): boolean {
    const states = this.openSpans.states();
    const hasOpenSpans = states.some(({ endTime }) => endTime === undefined);
    return isUnderWay(hasOpenSpans, [awaitedAfterAll(this.#awaited, states)]);
  }

  /** Whether the document has spans of peer writers without lines, or turns of theirs that wait. */
  get hasPeerWork(): boolean {
    return this.#peerSpans.size > 0 || this.#peerAwaits.size > 0;
  }

  /** The last verdict of a process hook on this session; without an `end` once it is taken back. */
  get verdict(): HookVerdict | undefined {
    return this.#verdict;
  }

  fence(verdict: HookVerdict): void {
    this.#verdict = verdict;
  }

  /** Takes a standing verdict back; `false` if there is none. */
  takeBack(): boolean {
    if (!this.#verdict?.end) return false;
    const { end: _end, ...event } = this.#verdict;
    this.#verdict = event;
    return true;
  }

  get countsOpenSpans(): boolean {
    return this.#countsOpenSpans;
  }

  /** Continues a session after the fence of a process hook, whether or not there is its document ({@link resume}). */
  continue({ session, openSpans, verdict }: SuspendedSession): void {
    this.#head = { ...session.#head, sessionId: this.#head.sessionId };
    this.#root = session.root;
    this.#metadata = session.#metadata;
    this.#awaited = session.#awaited;
    this.#moved = session.#moved;
    this.#inheritedEnd = session.#inheritedEnd;
    this.#lostWriter = session.#lostWriter;
    this.#verdict = verdict;
    this.openSpans.adopt(openSpans);
    this.#countsOpenSpans = openSpans.size > 0;
  }

  /** Continues from a document. The end of that document no longer counts. `isDead`: whether the owner of a token is. */
  resume(published: Published, isDead: (token: string) => boolean): void {
    this.#moved.learn(published, this.openSpans);
    this.#mergeHead(published);
    const { head, tail, body } = published;
    // A document without a trace id keeps none: with a trace id of this writer, its spans would have other keys here than
    // for a peer writer that resumes the document as well.
    if (head) this.#head = { ...this.#head, traceId: head.traceId };
    if (!tail) return;
    this.#mergeTail(published, tail, isDead);
    const left = recordedEnd(tail.summary);
    if (isOver(tail.summary)) this.#opening = { ...this.#opening, resumed: endMark(tail) };
    else if (left) this.inheritEnd(left);
    this.#totals = totalsOf(tail, body.type === "spans" ? body.spans : []);
  }

  /** Another process took this writer for dead, and may have ended the document: the writer goes on. */
  outlive({ tail }: Published): void {
    if (tail && isOver(tail.summary)) this.#opening = { ...this.#opening, outlived: endMark(tail) };
  }

  /** Another run begins: loops are found within one run. Returns whether the session had ended before. */
  beginRun(): boolean {
    this.#totals.beginRun();
    const { resumed } = this.#opening;
    if (resumed !== undefined) this.#opening = { ...this.#opening, newRun: true };
    return resumed !== undefined;
  }

  /** Merges the document that a peer writer published; `totals` of the lines of both, where they were counted. */
  adopt(published: Published, totals: Totals | undefined, isDead: (token: string) => boolean): void {
    this.#mergeHead(published);
    if (totals) this.setTotals(totals);
    const { tail } = published;
    if (!tail) return;
    this.#mergeTail(published, tail, isDead);
    const end = recordedEnd(tail.summary);
    // The crash that a hook of another process states is taken back if that process lives.
    const { recovered, provisional } = tail.layout;
    const isProgramCrash = end?.status === "crashed" && !recovered && provisional === undefined;
    if (end?.status === "error" || isProgramCrash) this.inheritEnd(end);
  }

  /** The totals of the lines were counted anew. With `names`, only these counters take the new value. */
  setTotals(totals: Totals, names?: readonly CounterName[]): void {
    if (names) this.#totals.setCounts(names, totals);
    else {
      this.#totals = totals;
      this.#countsOpenSpans = false;
    }
  }

  /** A span of this writer has ended. Returns whether its turn waits for another thing now. */
  follow(span: TraceSpan): boolean {
    const before = this.#awaited;
    this.#awaited = awaitedAfter(before, span);
    return this.#awaited !== before;
  }

  /** This writer's turn waits for nothing any more. Returns whether it did. */
  cutTurn(): boolean {
    const before = this.#awaited;
    this.#awaited = "user";
    return before !== "user";
  }

  /** The span has a line now. */
  count(span: TraceSpan): void {
    this.#totals.add(span);
  }

  /** Another head; the raw id stays. */
  setHead(head: DocumentHead): void {
    this.#head = { ...head, id: this.#head.id };
  }

  /** A call opens the session, which a span may have opened before. */
  openByCall(): void {
    this.#opening = { ...this.#opening, bySpan: undefined };
  }

  /** Adds metadata; returns whether a value changed. */
  learn(metadata: Partial<SessionMetadata>): boolean {
    const known = this.#metadata as Record<string, unknown>;
    const changes = Object.entries(metadata).filter(
      ([key, value]) => value !== undefined && !isSameValue(known[key], value),
    );
    if (changes.length === 0) return false;
    this.#metadata = { ...this.#metadata, ...Object.fromEntries(changes) };
    return true;
  }

  /** Changes metadata and session span; `limit` bounds the size of the changed session span. */
  update(
    { name, input, metadata, attributes }: SessionChange,
    limit: (root: TraceSpan) => TraceSpan = (root) => root,
  ): void {
    if (metadata) this.#metadata = { ...this.#metadata, ...metadata };
    const named = { ...(name !== undefined && { name }), ...(input !== undefined && { input }) };
    if (name !== undefined || input !== undefined) this.#root = limit({ ...this.root, ...named });
    if (attributes) this.#addToRoot(attributes, limit);
  }

  /** The attributes are merged when the session span is read next: a merge copies all of them. */
  #addToRoot(attributes: Readonly<Record<string, unknown>>, limit: (root: TraceSpan) => TraceSpan): void {
    const added = this.#addedToRoot?.attributes ?? {};
    mergeOwn(added, attributes);
    this.#addedToRoot = { attributes: added, limit };
  }

  /** An end that counts when the last writer ends the session, unless that end is worse. */
  inheritEnd(end: SessionEnd): void {
    this.#inheritedEnd = worseEnd(this.#inheritedEnd, end);
  }

  /** Keeps spans of peer writers that no document lists any more. `traceId`: that of the last document that did. */
  keepPeerSpans(spans: readonly TraceSpan[], traceId: string): void {
    for (const listed of spans) {
      const span = withTrace(listed, traceId);
      if (!this.#peerSpans.has(span)) this.#peerSpans.set(span, span);
    }
  }

  /** Drops spans of peer writers that have lines in the document now, or that are open spans of this writer. */
  dropPeerSpansWithLines(lines: Pick<SpanMap<unknown>, "has">): void {
    const own = this.openSpans.inDocument(this.#head.traceId);
    for (const span of this.#peerSpans.values())
      if (lines.has(span) || own.has(span)) this.#peerSpans.delete(span);
  }

  /**
   * Removes the open spans of peer writers and returns them as interrupted. Ended ones stay. `detector`: what ended the
   * writers, if this writer outlives them.
   */
  interruptPeerSpans(statusMessage: string, detector: string | undefined): TraceSpan[] {
    const open = [...this.#peerSpans.values()].filter((span) => span.endTime === undefined);
    if (open.length > 0 || this.#peerAwaits.size > 0) this.#lostWriter = detector ?? this.#lostWriter;
    this.#peerAwaits.clear();
    for (const span of open) this.#peerSpans.delete(span);
    return open.map((span) => interrupt(span, this.#peerSpansAt || span.startTime, statusMessage));
  }

  /** The record that a journal needs to recover the session without its document. */
  record(): JournaledSession {
    const { id, traceId, startedAt } = this.#head;
    const [root, metadata] = [this.root, this.#metadata];
    const moved = this.#moved.recent.length > 0 ? this.#moved.recent : undefined;
    const own = { id, traceId, startedAt, root, metadata, ...this.#opening };
    return { ...own, moved, movedTo: this.#movedTo, fenced: this.#verdict };
  }

  /** A span is in another session, or came here after spans below it. Returns what the journal is to have anew. */
  addMoved(moved: MovedSpan): { readonly session: boolean; readonly openSpans: boolean } {
    const session = this.#moved.add(moved);
    return { session, openSpans: this.openSpans.placeAgain((span) => this.placed(span)) };
  }

  /** The span as this session holds it: below a span of another session, it stands under the session span. */
  placed(span: TraceSpan): TraceSpan {
    return this.#moved.place(span, this.#root.spanId);
  }

  /** Spans in other sessions. */
  get moved(): MovedSpans {
    return this.#moved;
  }

  /** All spans of this writer move to another session. */
  moveTo(id: string): void {
    this.#movedTo = id;
  }

  /** The tail at this moment. Reads open spans, which runs code of the host; at an `end`, a standing verdict closes them. */
  tail(nowMillis: number, end?: SessionEnd, left?: SessionEnd): DocumentTail {
    const open = this.openSpans.read();
    const awaited = awaitedAfterAll(this.#awaited, open);
    const at = this.#verdict?.at ?? nowMillis;
    const close = (span: TraceSpan) =>
      end && span.endTime === undefined ? endWithSession(span, end, at) : span;
    const isFinalCrash = this.#inheritedEnd?.status === "crashed";
    return buildTail({
      head: this.#head,
      root: this.root,
      rootEnd: isFinalCrash && end?.provisional !== undefined ? { ...end, provisional: undefined } : end,
      spans: [...open.map(close), ...this.#peerSpans.values()].map((span) =>
        inTrace(span, this.#head.traceId),
      ),
      totals: this.#totals,
      metadata: this.#metadata,
      verdict: verdictOf(end, this.#inheritedEnd),
      awaits: left ? this.#peerAwaits : new Map([...this.#peerAwaits, [this.#token, awaited]]),
      lostWriter: this.#lostWriter,
      moved: this.#moved.last,
      left,
      nowMillis,
    });
  }

  #mergeHead({ head, tail }: Published): void {
    if (!head) return;
    this.#head = mergeHeads(this.#head, [head, this.#head]);
    const root = tail?.spans.find(isRoot);
    if (root) this.#root = mergeSessionSpans(reopened(root), [this.root]);
  }

  #mergeTail({ head }: Published, tail: DocumentTail, isDead: (token: string) => boolean): void {
    const { metadata, spans, endedAt, layout, summary } = tail;
    this.#peerSpansAt = Date.parse(endedAt) || 0;
    this.#peerAwaits = isOver(summary) ? new Map() : readAwaits(layout.awaits);
    this.#peerAwaits.delete(this.#token);
    // A process that may live takes the verdict of its hook back, and this writer lives, whatever a recovery found.
    const isFinal = layout.provisional === undefined || isDead(layout.provisional);
    if (isFinal && this.#opening.outlived !== endMark(tail))
      this.#lostWriter = summary.detector ?? this.#lostWriter;
    this.#metadata = { ...metadata, ...this.#metadata };
    this.#peerSpans = new SpanMap();
    const traceId = head?.traceId ?? "";
    const unfinished = spans.filter((span) => !isRoot(span) && !this.#moved.has(withTrace(span, traceId)));
    this.keepPeerSpans(unfinished, traceId);
  }
}
