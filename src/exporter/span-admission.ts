/**
 * Decides whether a span is recorded, in which session, and as which span of a document.
 *
 * Reading a span runs code of the host: the `sessionId` option, getters, the redactor. That code may record spans (this
 * span included), end the session, and end the exporter. So the decision is made after the reading, and no code of the
 * host runs between the decision and the write.
 */

import type { Context } from "@opentelemetry/api";
import type { DirectoryUser, NamedSpan, SpanHome } from "../directory/shared-directory.js";
import { underSession } from "../format/parent-places.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { laterSpan } from "../otel/first-sdk-span.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { isTime } from "../platform/epoch-time.js";
import { tryOr } from "../platform/errors.js";
import { attachmentOf } from "../projection/exact-span.js";
import type { ContentFilter } from "./content-filter.js";
import type { LossReason } from "./fault-log.js";
import type { SessionPolicy } from "./session-policy.js";
import { type SessionIdOption, SessionRouter } from "./session-router.js";
import { type ConvertedSpan, SpanConverter } from "./to-trace-span.js";

/** Nesting of readings: a redactor that records a span for each value would recurse without end. */
const maxReadings = 3;

/** A span of a document, and the session that records it, or its trace while the session is not known. */
export interface AdmittedSpan extends ConvertedSpan {
  readonly home: SpanHome;
  /** The session in which the span was started, if the span has named another one since. */
  readonly startedIn: SpanHome | undefined;
}

/** What decides the session of a span, besides the span. */
export interface SessionChoice {
  readonly sessionId: SessionIdOption | undefined;
  /** For spans without a session. */
  readonly policy: SessionPolicy;
}

/** The admission of one exporter. */
export class SpanAdmission {
  readonly #directory: DirectoryUser;
  readonly #router: SessionRouter;
  readonly #policy: SessionPolicy;
  readonly #converter: SpanConverter;
  readonly #closedBy: () => LossReason | undefined;
  /** Readings that are under way, one inside the other. */
  #readings = 0;

  /** `closedBy`: why the exporter accepts no spans; `undefined` while it accepts them. */
  constructor(
    directory: DirectoryUser,
    { sessionId, policy }: SessionChoice,
    filter: ContentFilter,
    closedBy: () => LossReason | undefined,
  ) {
    this.#directory = directory;
    this.#router = new SessionRouter(sessionId);
    this.#policy = policy;
    this.#converter = new SpanConverter(filter);
    this.#closedBy = closedBy;
  }

  /**
   * The span in its present state with its session; or why it is lost; or that it was recorded before. `startedIn`: the
   * context in which the span starts; absent for its end.
   */
  admit(span: ReadableSpan, startedIn?: Context): AdmittedSpan | LossReason | "recorded" {
    const directory = this.#directory;
    let closed = this.#closedBy();
    if (closed) return closed;
    const known = directory.knownEnd(span);
    if (known) return known;
    if (this.#readings >= maxReadings) return "nested";
    let session: FoundSession | undefined;
    let position: SpanPosition;
    let home: SpanHome | LossReason;
    let read: ConvertedSpan;
    const isStart = startedIn !== undefined;
    this.#readings++;
    try {
      position = positionOf(span, isStart);
      session = this.#sessionOf(span, startedIn);
      closed = this.#closedBy();
      if (closed) return closed;
      home = this.#homeOf(span, session, position);
      if (typeof home === "string") return home;
      read = this.#converter.convert(span, home.rootSpanId, startedIn);
    } finally {
      this.#readings--;
    }
    closed = this.#closedBy();
    if (closed) return closed;
    const endedMeanwhile = directory.knownEnd(span);
    if (endedMeanwhile) return endedMeanwhile;
    // The reading ran code of the host, which may have ended the session, or named it.
    if (home.id === undefined || !home.isOpen()) home = this.#homeOf(span, session, position);
    if (typeof home === "string") return home;
    this.#converter.origins.whenSettled(span, home.id ?? position.traceId, home);
    const started = session?.isNamed && !isStart ? directory.homeOf(span) : undefined;
    return {
      home,
      startedIn: started?.id === home.id ? undefined : started,
      span: this.#inHome(read.span, home),
      metadata: addedMetadata(read, home),
    };
  }

  /**
   * Reads the later states of an admitted span, under the parent that it was admitted with; absent for a turn. Each copy of
   * a document asks for every open span: a span that has not changed is neither projected nor redacted again.
   */
  reader(
    span: ReadableSpan,
    { home, span: admitted }: AdmittedSpan,
    startedIn: Context | undefined,
  ): () => TraceSpan | undefined {
    let state: readonly unknown[] | undefined;
    let read: TraceSpan | undefined;
    return () => {
      const now = tryOr(() => stateOf(span), undefined);
      if (!(now && state && isSameList(now, state))) {
        state = now;
        read = underParentOf(admitted, this.#converter.convert(span, home.rootSpanId, startedIn).span);
      }
      return read;
    };
  }

  /** Resolves when the resources of all spans are known, or after a while; `undefined` if they are. */
  resourcesKnown(): Promise<void> | undefined {
    return this.#converter.origins.settled();
  }

  /** The session that a span names itself by now. */
  ownSession(span: ReadableSpan): string | undefined {
    return this.#router.own(span, false);
  }

  /** No session records this span: its children become children of the session span. */
  leaveOut(span: ReadableSpan): void {
    this.#converter.leaveOut(span);
  }

  /** The session of a span as far as the span decides it: what it names itself counts more than where it started. */
  #sessionOf(span: ReadableSpan, startedIn: Context | undefined): FoundSession | undefined {
    const own = this.#router.own(span, startedIn !== undefined);
    if (own !== undefined) return { id: own, isNamed: true };
    const home = startedIn ? undefined : this.#directory.homeOf(span);
    if (home) return home.id === undefined ? undefined : { id: home.id, isNamed: false };
    const inherited = this.#router.inherited(span, startedIn);
    return inherited === undefined ? undefined : { id: inherited, isNamed: true };
  }

  #homeOf(
    span: ReadableSpan,
    session: FoundSession | undefined,
    position: SpanPosition,
  ): SpanHome | LossReason {
    const directory = this.#directory;
    const { traceId, startTime } = position;
    if (session === undefined) {
      this.#policy.learn(span);
      return directory.homeOf(span) ?? directory.admitUnnamed(traceId, startTime) ?? "unnamed";
    }
    if (session.isNamed) {
      // A span that ends where it started has named its session before.
      const home = position.isStart ? undefined : directory.homeOf(span);
      if (home?.id === session.id && home.isOpen()) return home;
      directory.named(position, session.id);
    }
    return directory.admit({ id: session.id, traceId, startTime });
  }

  /** A parent in another session is no parent here. */
  #inHome(span: TraceSpan | undefined, { id, rootSpanId }: SpanHome): TraceSpan | undefined {
    if (!span || id === undefined || span.parentSpanId === rootSpanId || span.parentSpanId === null)
      return span;
    const place = this.#directory.placeBelow(span.traceId ?? "", span.parentSpanId, id);
    return place === "elsewhere" && rootSpanId !== null ? underSession(span, rootSpanId) : span;
  }
}

function underParentOf(admitted: TraceSpan | undefined, later: TraceSpan | undefined): TraceSpan | undefined {
  if (!later || !admitted || later.parentSpanId === admitted.parentSpanId) return later;
  const { parentSpanId, remoteParentSpanId } = admitted;
  return { ...later, parentSpanId, ...(remoteParentSpanId !== undefined && { remoteParentSpanId }) };
}

/** The session of a span: one that the span or its context names, or the one in which the span was started. */
interface FoundSession {
  readonly id: string;
  readonly isNamed: boolean;
}

/** Where a span is in its trace, and when it started. */
type SpanPosition = NamedSpan & { readonly startTime: number };

function positionOf(span: ReadableSpan, isStart: boolean): SpanPosition {
  const { traceId, spanId } = span.spanContext();
  const parentSpanId = tryOr(() => localParentOf(laterSpan(span)), null);
  return {
    traceId,
    spanId,
    parentSpanId,
    isStart,
    startTime: startOf(span),
  };
}

/** When the span started; now, where its program gave no time: its session begins then. */
function startOf(span: ReadableSpan): number {
  const given = tryOr(() => millis(span.startTime), Number.NaN);
  return isTime(given) ? given : Date.now();
}

function localParentOf({ parentSpanContext: parent }: ReadableSpan): string | null {
  return parent?.isRemote === true ? null : (parent?.spanId ?? null);
}

/**
 * All that a span can change, as primitive values; `undefined` if it has a value that can change inside, or if a session
 * tracer knows the span exactly.
 */
function stateOf(span: ReadableSpan): unknown[] | undefined {
  if (attachmentOf(span) !== undefined) return undefined;
  const { attributes, status, events, links } = span;
  const state: unknown[] = [span.name, span.ended, status.code, status.message, events.length, links.length];
  state.push(span.droppedAttributesCount, span.droppedEventsCount, span.droppedLinksCount);
  for (const key in attributes) {
    const value = attributes[key];
    if (typeof value === "object" && value !== null) return undefined;
    state.push(key, value);
  }
  return state;
}

const isSameList = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((value, at) => Object.is(value, b[at]));

/**
 * What a span adds to the metadata of its session. The prompt of a session is that of its first root: the input of a later
 * root is the message of a later turn. A turn of a session tracer carries the prompt of its session, and no span.
 */
function addedMetadata({ span, metadata }: ConvertedSpan, home: SpanHome): Partial<SessionMetadata> {
  if (span === undefined || metadata.prompt === undefined || home.metadata().prompt === undefined)
    return metadata;
  const { prompt: _later, ...added } = metadata;
  return added;
}
