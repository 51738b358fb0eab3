/**
 * One trace whose spans name no session: its provisional spans, and which session each of them belongs to.
 *
 * A span belongs to the session of its nearest named ancestor, else to the session that the trace named first. A span
 * that has ended is decided as soon as its parent is; an open span may still name a session itself.
 */

import { isOrigin } from "../format/origins.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { titleOf } from "../format/unnamed-policy.js";
import { RecentMap } from "../platform/recent-map.js";

/** A span whose session is not decided yet. */
export interface Provisional {
  /** The state last journaled. The parent is `null` where the span is to stand under the session span. */
  readonly span: TraceSpan;
  /** The state as JSON. */
  readonly text: string;
  /** The span as its processor knows it. */
  readonly source: object;
  /** The present state; absent for a span whose start was not recorded. */
  readonly read: (() => TraceSpan) | undefined;
  /** The session that the span names by now. Runs code of the host. */
  readonly sessionOf: (() => string | undefined) | undefined;
}

/** A trace that names no session for so long gets a document; one that is known by its ends only, after so long a silence. */
export const decideMillis = 5_000;

/** The longest silence after which the session of one trace ends. */
const maxQuietMillis = 60_000;

const noSpans = new Map<string, Provisional>();
const noChildren = new Map<string | undefined, Set<string>>();

/** Spans to remember of one trace, with their sessions. */
const maxHomes = 1_000;

export class UnnamedTrace {
  readonly id: string;
  /** The user of the directory that recorded the first span. */
  readonly user: number;
  #hasStarts = false;
  /** Monotonic times: of the first provisional span since there was none, and of the last record. */
  #since = 0;
  #last = 0;
  #policySession: string | null | undefined;
  /** The session to which all spans of the trace's own session have moved. */
  #movedTo: string | undefined;
  #resumes = 0;
  /** Made with the first provisional span: most traces have none. */
  #spans: Map<string, Provisional> = noSpans;
  /** Provisional spans by their parents; tops by `undefined`. */
  #children: Map<string | undefined, Set<string>> = noChildren;
  /** Sessions of spans that are no longer provisional. */
  #homes: RecentMap<string, string> | undefined;
  /** Sessions with spans below a parent that was not in the session when they were recorded, by the parent. */
  #below: RecentMap<string, readonly string[]> | undefined;
  #named: string | undefined;
  #openSpans = 0;
  #bytes = 0;
  #metadata: Partial<SessionMetadata> = {};

  constructor(id: string, user: number) {
    this.id = id;
    this.user = user;
  }

  /** Whether the start of a span was recorded: then the ends of all spans are known when they happen. */
  get hasStarts(): boolean {
    return this.#hasStarts;
  }

  markStarted(): void {
    this.#hasStarts = true;
  }

  /** For how long spans wait for a name; where only ends are known, for how long nothing has come. */
  waitingMillis(nowMonotonic: number): number {
    return nowMonotonic - (this.#hasStarts ? this.#since : this.#last);
  }

  /** Where the policy has sent the spans: `null` to no document; `undefined` while it has sent none. */
  get policySession(): string | null | undefined {
    return this.#policySession;
  }

  /** How often the trace was given a document, or its document was opened again. */
  get resumes(): number {
    return this.#resumes;
  }

  /** How long the session of the trace is quiet before it ends: the first time, it ends with its last open span. */
  get quietMillis(): number {
    if (this.#resumes === 0) return this.#hasStarts ? 0 : decideMillis;
    return Math.min(maxQuietMillis, decideMillis * 2 ** (this.#resumes - 1));
  }

  sendTo(policySession: string | null): void {
    this.#policySession = policySession;
  }

  /** The trace has a document now, or its document is open again. */
  markOpened(): void {
    this.#resumes++;
  }

  /** The session that a span of the trace named first. */
  get named(): string | undefined {
    return this.#named;
  }

  get openSpans(): number {
    return this.#openSpans;
  }

  /** Bytes of the provisional spans. */
  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#spans.size;
  }

  get metadata(): Partial<SessionMetadata> {
    return this.#metadata;
  }

  /** For the document of the trace. */
  get title(): Pick<SessionMetadata, "title"> {
    return this.#metadata.title === undefined ? titleOf(Array.from(this.spans(), ({ span }) => span)) : {};
  }

  spans(): Iterable<Provisional> {
    return this.#spans.values();
  }

  get(spanId: string): Provisional | undefined {
    return this.#spans.get(spanId);
  }

  /** The session of a span that is no longer provisional, as far as it is remembered. */
  homeOf(spanId: string): string | undefined {
    const home = this.#homes?.get(spanId);
    return home === this.id ? (this.#movedTo ?? home) : home;
  }

  /** All spans of the trace's own session have moved to the session that the trace names. */
  moveTo(session: string): void {
    this.#movedTo = session;
    this.#policySession = undefined;
  }

  /** Whether a top of the trace has arrived: then the other spans have, too, if spans are exported when they end. */
  get hasTop(): boolean {
    return this.#children.has(undefined);
  }

  /** Adds a span, or replaces its state. */
  put(provisional: Provisional, nowMonotonic: number): void {
    const { spanId } = provisional.span;
    if (this.#spans.size === 0) this.#since = nowMonotonic;
    this.#last = nowMonotonic;
    if (this.#spans === noSpans) {
      this.#spans = new Map();
      this.#children = new Map();
    }
    this.remove(spanId);
    this.#spans.set(spanId, provisional);
    const { parentSpanId, endTime } = provisional.span;
    const parent = parentSpanId ?? undefined;
    const children = this.#children.get(parent) ?? new Set();
    this.#children.set(parent, children.add(spanId));
    if (endTime === undefined) this.#openSpans++;
    this.#bytes += provisional.text.length;
  }

  remove(spanId: string): void {
    const known = this.#spans.get(spanId);
    if (!known) return;
    this.#spans.delete(spanId);
    const parent = known.span.parentSpanId ?? undefined;
    const children = this.#children.get(parent);
    children?.delete(spanId);
    if (children?.size === 0) this.#children.delete(parent);
    if (known.span.endTime === undefined) this.#openSpans--;
    this.#bytes -= known.text.length;
  }

  /** Adds metadata; returns whether there is news. */
  learn(metadata: Partial<SessionMetadata>): boolean {
    const known = this.#metadata as Record<string, unknown>;
    // The record of a resource changes when its detectors have finished. Of other members the first counts.
    const news = Object.entries(metadata).filter(
      ([key, value]) =>
        value !== undefined && (known[key] === undefined || (isOrigin(key) && known[key] !== value)),
    );
    if (news.length === 0) return false;
    this.#metadata = { ...this.#metadata, ...Object.fromEntries(news) };
    return true;
  }

  /** A span of the session is below a parent that is not in the session now. */
  noteBelow(parentSpanId: string, session: string): void {
    this.#below ??= new RecentMap(maxHomes);
    const sessions = this.#below.get(parentSpanId) ?? [];
    if (!sessions.includes(session)) this.#below.set(parentSpanId, [...sessions, session]);
  }

  /** The span belongs to a session now. Returns the sessions with spans below it that were recorded before. */
  settleAt(spanId: string, session: string): readonly string[] {
    const below = this.#below?.get(spanId) ?? [];
    this.#homes ??= new RecentMap(maxHomes);
    this.#homes.set(spanId, session);
    return below.map((one) => (one === this.id ? (this.#movedTo ?? one) : one));
  }

  /** A span names a session. */
  noteName(session: string): void {
    this.#named ??= session;
  }

  /**
   * A span names a session. Returns the provisional spans that this decides: the span and what is below it, its
   * ancestors, and what has ended below those.
   */
  name(spanId: string, parent: string | null, session: string): string[] {
    const decided = new Set<string>();
    this.noteName(session);
    this.#takeBelow(spanId, decided, true);
    if (this.#spans.has(spanId)) decided.add(spanId);
    // Of the ancestors the trace knows nothing better than the session that it named first.
    if (session !== this.#named) return [...decided];
    for (let above = parent; above !== null && this.#spans.has(above) && !decided.has(above); ) {
      decided.add(above);
      this.#takeBelow(above, decided, false);
      above = this.#spans.get(above)?.span.parentSpanId ?? null;
    }
    for (const top of this.#children.get(undefined) ?? []) this.#takeEnded(top, decided);
    return [...decided];
  }

  /** The session of a span that has ended, if it is decided by now. */
  decide(spanId: string): string | undefined {
    const parent = this.#spans.get(spanId)?.span.parentSpanId;
    if (parent === undefined) return undefined;
    if (parent === null) return this.#named;
    const home = this.homeOf(parent);
    if (home !== undefined || this.#spans.has(parent)) return home;
    // A parent that names a session itself, in the session of the trace; or one that is not recorded at all.
    return this.#hasStarts ? this.#named : undefined;
  }

  /** The ended provisional spans that are decided with their parent. */
  endedBelow(spanId: string): string[] {
    const decided = new Set<string>();
    this.#takeBelow(spanId, decided, false);
    return [...decided];
  }

  /** The session of the nearest ancestor that has one. */
  homeAbove(span: TraceSpan): string | undefined {
    for (let above = span.parentSpanId; above !== null; ) {
      const home = this.homeOf(above);
      if (home !== undefined) return home;
      above = this.#spans.get(above)?.span.parentSpanId ?? null;
    }
    return undefined;
  }

  /** The ids of the provisional spans by the session of their nearest ancestor that has one, else by `otherwise`. */
  byHome(otherwise: string): Map<string, string[]> {
    const found = new Map<string, string[]>();
    for (const { span } of this.#spans.values()) {
      const home = this.homeAbove(span) ?? otherwise;
      const ids = found.get(home) ?? [];
      found.set(home, ids);
      ids.push(span.spanId);
    }
    return found;
  }

  /** The nearest provisional ancestor that names a session by now. Runs code of the host. */
  namedAbove(span: TraceSpan): (Provisional & { readonly session: string }) | undefined {
    let above = this.#above(span);
    // Parents in a circle are never passed twice.
    for (let left = this.#spans.size; above && left > 0; left--) {
      const session = above.sessionOf?.();
      if (session !== undefined) return { ...above, session };
      above = this.#above(above.span);
    }
    return undefined;
  }

  #above({ parentSpanId }: TraceSpan): Provisional | undefined {
    return parentSpanId === null ? undefined : this.#spans.get(parentSpanId);
  }

  #takeBelow(spanId: string, decided: Set<string>, isCertain: boolean): void {
    const below = [spanId];
    for (let parent = below.pop(); parent !== undefined; parent = below.pop()) {
      for (const child of this.#children.get(parent) ?? []) {
        const isOpen = this.#spans.get(child)?.span.endTime === undefined;
        if (decided.has(child) || (isOpen && !isCertain)) continue;
        decided.add(child);
        below.push(child);
      }
    }
  }

  #takeEnded(spanId: string, decided: Set<string>): void {
    if (decided.has(spanId) || this.#spans.get(spanId)?.span.endTime === undefined) return;
    decided.add(spanId);
    this.#takeBelow(spanId, decided, false);
  }
}
