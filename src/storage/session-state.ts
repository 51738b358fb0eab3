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
import { type DocumentHead, type DocumentTail, isRoot } from "../format/document.js";
import type { JournaledSession, MovedSpan } from "../format/journal.js";
import { isSameValue, mergeOwn } from "../format/json-value.js";
import { gone, lastLost, withLost } from "../format/lost-writers.js";
import {
  endWithSession,
  errorLeft,
  type HookVerdict,
  isOver,
  recordedEnd,
  type SessionEnd,
  verdictOf,
} from "../format/session-end.js";
import { inTrace, type SpanMap } from "../format/span-map.js";
import { totalsOf } from "../format/summary.js";
import { buildTail, endMark } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { type Awaited, awaitedAfter, awaitedAfterAll, isUnderWay } from "../format/under-way.js";
import { isoTime } from "../platform/epoch-time.js";
import type { Published } from "./document-file.js";
import { MovedSpans } from "./moved-spans.js";
import { OpenSpans } from "./open-spans.js";
import { PeerWriters } from "./peer-writers.js";
import type { SessionChange } from "./session-change.js";
import type { SuspendedSession } from "./suspended-session.js";

/** The head of a session whose raw id is known. */
export type SessionHead = DocumentHead & { readonly id: string };

type RootAddition = { attributes: Record<string, unknown>; limit(root: TraceSpan): TraceSpan };

/** Tokens of earlier writers that are remembered. */
const maxTokens = 8;

export class SessionState {
  /** Own spans that have no line yet. */
  readonly openSpans = new OpenSpans();
  #head: SessionHead;
  #root: TraceSpan;
  /** Attributes of the session span that are not merged into it yet. */
  #addedToRoot: RootAddition | undefined;
  #metadata: SessionMetadata = {};
  #totals = new Totals();
  readonly #peers = new PeerWriters();
  /** What this writer's turn waits for, pending spans left out. */
  #awaited: Awaited = "user";
  /** How this writer opened the session, and the ends of the document after which it went on. */
  #opening: Pick<JournaledSession, "bySpan" | "resumed" | "newRun" | "outlived">;
  #moved: MovedSpans;
  #movedTo: string | undefined;
  /** The last verdict of a process hook. */
  #verdict: HookVerdict | undefined;
  /** The totals include spans that were interrupted by a process hook and run on. */
  #countsOpenSpans = false;
  /** Tokens of this writer, and of those of this process before it: a process hook ended each of them. */
  #tokens: readonly string[];
  readonly #isDead: (token: string) => boolean;

  /**
   * `name`: the session id as file names have it. `token`: of the writer. `isDead`: whether the owner of a token is dead for
   * sure.
   */
  constructor(
    start: SessionStart,
    name: string,
    token: string,
    isDead: (token: string) => boolean = () => false,
  ) {
    this.#tokens = [token];
    this.#isDead = isDead;
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
    return this.#peers.spans;
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
    return this.#peers.haveWork;
  }

  /** Whether the error or the crash of a writer waits for the end of the session. */
  get inheritsEnd(): boolean {
    return this.#peers.end !== undefined;
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
    this.#tokens = [...session.#tokens.slice(-maxTokens), ...this.#tokens];
    this.#peers.continue(session.#peers, this.#tokens);
    this.#verdict = verdict;
    this.openSpans.adopt(openSpans);
    this.#countsOpenSpans = openSpans.size > 0;
  }

  /** Continues from a document. The end of that document no longer counts, but an error that waits for a good end does. */
  resume(published: Published): void {
    this.#moved.learn(published, this.openSpans);
    this.#mergeHead(published);
    const { head, tail, body } = published;
    // A document without a trace id keeps none: with a trace id of this writer, its spans would have other keys here than
    // for a peer writer that resumes the document as well.
    if (head) this.#head = { ...this.#head, traceId: head.traceId };
    if (!tail) return;
    this.#mergeTail(published, tail);
    if (isOver(tail.summary)) this.#opening = { ...this.#opening, resumed: endMark(tail) };
    this.#inheritError(tail);
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
  adopt(published: Published, totals: Totals | undefined): void {
    this.#mergeHead(published);
    if (totals) this.setTotals(totals);
    const { tail } = published;
    if (!tail) return;
    this.#mergeTail(published, tail);
    this.#inheritError(tail);
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
    this.#peers.inherit(end);
  }

  /** Keeps spans of peer writers that no document lists any more. `traceId`: that of the last document that did. */
  keepPeerSpans(spans: readonly TraceSpan[], traceId: string): void {
    this.#peers.keep(spans, traceId);
  }

  /** Drops spans of peer writers that have lines in the document now, or that are open spans of this writer. */
  dropPeerSpansWithLines(lines: Pick<SpanMap<unknown>, "has">): void {
    const own = this.openSpans.inDocument(this.#head.traceId);
    this.#peers.drop((span) => lines.has(span) || own.has(span));
  }

  /** As {@link PeerWriters.interrupt}. */
  interruptPeerSpans(statusMessage: string, detector: string | undefined): TraceSpan[] {
    return this.#peers.interrupt(statusMessage, detector);
  }

  /** The record that a journal needs to recover the session without its document. */
  record(): JournaledSession {
    const { id, traceId, startedAt } = this.#head;
    const [root, metadata] = [this.root, this.#metadata];
    const moved = this.#moved.recent.length > 0 ? this.#moved.recent : undefined;
    const own = { id, traceId, startedAt, root, metadata, ...this.#opening };
    const earlier = this.#tokens.length > 1 ? this.#tokens.slice(0, -1) : undefined;
    return { ...own, moved, movedTo: this.#movedTo, fenced: this.#verdict, earlier };
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

  /** The tail at this moment. Reads open spans, which runs code of the host; at an end, a standing verdict closes them. */
  tail(nowMillis: number, given?: SessionEnd, left?: SessionEnd): DocumentTail {
    const open = this.openSpans.read();
    const awaited = awaitedAfterAll(this.#awaited, open);
    const close = (span: TraceSpan) =>
      given && span.endTime === undefined
        ? endWithSession(span, given, this.#verdict?.at ?? nowMillis)
        : span;
    const [peers, token] = [this.#peers, this.#tokens.at(-1) as string];
    const isFinalCrash = peers.end?.status === "crashed";
    // The end of a process that went on after the verdict.
    const later = given && peers.endedAfter(this.#verdict?.end?.provisional);
    const end = later?.end ?? given;
    const verdict = verdictOf(end, peers.end);
    const { provisional, detector } = end ?? left ?? {};
    const lost = later?.lost ?? withLost(peers.lost, provisional ?? gone, detector);
    return buildTail({
      head: this.#head,
      root: this.root,
      rootEnd: isFinalCrash && end?.provisional !== undefined ? { ...end, provisional: undefined } : end,
      spans: [...open.map(close), ...peers.spans.values()].map((span) => inTrace(span, this.#head.traceId)),
      totals: this.#totals,
      metadata: this.#metadata,
      verdict,
      awaits: left ? peers.awaits : new Map([...peers.awaits, [token, awaited]]),
      lost,
      lostWriter: lastLost(later?.lost ?? peers.lost, verdict.end ? undefined : this.#isDead),
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

  #mergeTail(published: Published, tail: DocumentTail): void {
    const isOutlived = this.#opening.outlived === endMark(tail);
    this.#peers.learn(published, this.#tokens, isOutlived, (span) => this.#moved.has(span));
    this.#metadata = { ...tail.metadata, ...this.#metadata };
  }

  #inheritError(tail: DocumentTail): void {
    const error = errorLeft(tail);
    if (error !== undefined) this.#peers.inherit({ status: "error", error });
  }
}
