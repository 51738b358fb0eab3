/**
 * The contract between copies of this package in one process (`registry/2`): what an exporter may ask of a directory
 * that another copy, of another version, has opened.
 *
 * The contract is frozen. Values that cross it are plain data and functions; a change needs `registry/3`, beside which
 * copies of this version act as peer writers.
 */

import type { SessionStart } from "../format/beginnings.js";
import type { SessionHistory } from "../format/history.js";
import type { HookEvent, SessionEnd } from "../format/session-end.js";
import type { SpanIds } from "../format/span-map.js";
import type { SessionMetadata, SessionSummary, TraceSpan } from "../format/trace-file.js";
import type { Capability, Refusal } from "../platform/ground.js";
import type { IoCounts } from "../platform/io-counters.js";
import type { AppliedLimits } from "../recovery/retention.js";
import type { SessionChange } from "../storage/session-change.js";

/** A directory that is open in this process. */
export interface SharedDirectory {
  /** Adds a user. Sessions that crashed before it joined can be resumed by its spans. */
  join(listener: DirectoryListener): DirectoryUser;
}

/** What a user wants to hear. Of several users on a directory one hears of each event: their host is the same. */
export interface DirectoryListener {
  /** A call of the file system failed; what was recorded is kept. */
  onFault(error: unknown, path: string): void;
  /** Retention removed a document: by limits of the program, or by the default bounds of unnamed traces. */
  onRemoved(path: string, limits: AppliedLimits): void;
  /** The file system of the directory refuses something for good: once for each such thing. */
  onRefused(refusal: Refusal): void;
  /** The user is gone, after its `release()`: nothing that it recorded waits for the disk. */
  onReleased(): void;
  /**
   * Ended spans that were recorded without a session are in no document: the policy `drop` applied (`unnamed`), or the
   * retry queue was full.
   */
  onLost(reason: "unnamed" | "full", spans: number): void;
}

/** What a directory and one of its users have done, and what waits in memory. */
export interface DirectoryCounts extends IoCounts {
  /** Sessions that the user writes to, and sessions that wait for their final document. */
  readonly openSessions: number;
  /** Span lines, and bytes of all records, that the disk has not taken yet. Also of sessions that the user has left. */
  readonly queuedLines: number;
  readonly queuedBytes: number;
  /** Ended spans that are recorded and may be in no document, because the policy for spans without a session is `drop`. */
  readonly undecidedSpans: number;
  /** What the file system of the directory was found to refuse: capability to error code. */
  readonly refused: Readonly<Partial<Record<Capability, string>>>;
}

/** A span that names its session. */
export interface NamedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** `null` for a span without a parent in this process. */
  readonly parentSpanId: string | null;
  /** Whether the start of the span is being recorded. */
  readonly isStart: boolean;
}

/** An open span that goes to another session. */
export interface MovingSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** In the other session. */
  readonly parentSpanId: string | null;
}

/** An exporter's use of a directory. */
export interface DirectoryUser {
  /** Where the session's document is, or would be. */
  path(id: string): string;
  /** Whether the end of a span is decided already. `source` is the span as its processor knows it. */
  knownEnd(source: object): "recorded" | "closed" | undefined;
  /** Where the start of a span was recorded, until the span has ended. */
  homeOf(source: object): SpanHome | undefined;
  /** Where a span goes that names no session; `undefined`: to no document. */
  admitUnnamed(traceId: string, startTime: number): SpanHome | undefined;
  /** A span names a session: spans of its trace that were recorded without a session move there. */
  named(span: NamedSpan, sessionId: string): void;
  /**
   * A span of this session has a parent; `elsewhere`: the parent is in another session. If that shows later only, the span
   * is placed again.
   */
  placeBelow(traceId: string, parentSpanId: string, sessionId: string): "below" | "elsewhere";
  /** The session that takes a span; opened where a span may open it. */
  admit(opened: SessionStart): SharedSession | "crashed" | "ended";
  /** Opens or continues a session, with a document when it returns; only this opens the session after its end. */
  openSession(opened: SessionStart, metadata: Partial<SessionMetadata>): HeldSession;
  /**
   * Finds the usable document of a session. Returns a function that continues the session synchronously, and opens
   * nothing before it is called. `traceId`: for a session whose document is gone by then.
   */
  findSession(id: string, traceId: string): Promise<(() => HeldSession) | undefined>;
  /** This method, `flushSession`, `end` and `leave` reject with the path of a document and the cause: `WRITE_FAILED`. */
  flush(): Promise<void>;
  /** Also of sessions that have ended: retries a final document that could not be written. */
  flushSession(id: string): Promise<void>;
  end(id: string, end: SessionEnd): Promise<void>;
  endNow(id: string, end: SessionEnd): void;
  /** Ends the sessions that no other user writes to. Returns their ids at once. */
  leave(): { readonly ended: readonly string[]; readonly done: Promise<void> };
  /**
   * A process hook: the documents of the user's sessions are final if the process ends now. A span or a call that comes
   * later continues its session.
   */
  fence(event: HookEvent): void;
  /** The crash fence of the user's sessions, and of sessions that `ended` with `leave()`. */
  crash(ended: Iterable<string>, reason?: string): void;
  crashSession(id: string, reason?: string): void;
  counts(): DirectoryCounts;
  /** Recovers and prunes; resolves when both are done. */
  maintain(): Promise<void>;
  /**
   * The user is gone when no session of it waits for its final document: at once, or after retries. The last user stops
   * the housekeeping. Idempotent.
   */
  release(): void;
}

/** What records a span: a session, or a trace whose session is not known yet. */
export interface SpanHome {
  /** The session; `undefined` while it is not known. */
  readonly id: string | undefined;
  /** Parent of the spans that stand under the session span; `null` while the session is not known. */
  readonly rootSpanId: string | null;
  isOpen(): boolean;
  metadata(): Partial<SessionMetadata>;
  /**
   * `read` returns later states of the span, `sessionOf` the session that the span names by then. `full`: the retry
   * queue had no room.
   */
  recordStart(
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
    sessionOf: () => string | undefined,
  ): "recorded" | "full";
  recordEnd(source: object, span: TraceSpan, metadata: Partial<SessionMetadata>): "recorded" | "full";
  learn(metadata: Partial<SessionMetadata>): void;
  /** An open span belongs to another session, where `record` records its end, below the parent that it names. */
  moveOut<T>(span: MovingSpan, to: string, record: () => T): T;
}

/** One session of a directory. Methods of an ended session have no effect. */
export interface SharedSession extends SpanHome {
  readonly id: string;
  readonly rootSpanId: string;
  path(): string;
  traceId(): string;
  metadata(): SessionMetadata;
  /** Counters as of now. */
  summary(): SessionSummary;
  /** An open span has changed. Without a `traceId`: each open span with this span id. */
  recordChange(span: SpanIds): void;
  /** Attributes were merged into an open span: only they are journaled. */
  recordAttributes(span: SpanIds, attributes: Readonly<Record<string, unknown>>): void;
  /** `limit` bounds the size of the changed session span. */
  update(changed: SessionChange, limit: (root: TraceSpan) => TraceSpan): void;
  /** Replaces the trace id `assumed` of a session without spans. */
  setTraceId(traceId: string, assumed: string): void;
}

/** A session that was opened explicitly, by the caller that may end it. */
export interface HeldSession extends SharedSession {
  /** What the session did before; once, and nothing after that. */
  takeHistory(): SessionHistory;
  /** Whether the session has no document of an earlier time: then its trace id is only assumed. */
  readonly isNew: boolean;
  /** Whether no other caller has opened the session since. */
  isHeld(): boolean;
}
