/**
 * The calls of a session tracer on the exporters that keep documents, besides the spans: the start and the end of a
 * session, facts of the session as a whole, and changes of open spans.
 */

import type { SessionHistory } from "../format/history.js";
import type { SpanIds } from "../format/span-map.js";
import type { SessionMetadata, SessionSummary, TraceFile } from "../format/trace-file.js";

/** The opening of a session. */
export interface SessionOpening {
  /** The raw session id. */
  readonly id: string;
  /** Trace of the first turn, as far as it is known; see {@link SessionHandle.setTraceId}. */
  readonly traceId: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** Name of the session span. */
  readonly name: string;
  readonly input?: unknown;
  readonly metadata: SessionMetadata;
}

/** Changes of a session as a whole; absent members stay as they are. */
export interface SessionFacts {
  /** Name of the session span. */
  readonly name?: string;
  readonly input?: unknown;
  readonly metadata?: Partial<SessionMetadata>;
  /** Merged into the attributes of the session span. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** An exporter that keeps session documents, as session tracers call it. */
export interface SessionStore {
  /** Opens a session, or continues the session of its document. Synchronous: there is a document when it returns. */
  openSession(opening: SessionOpening): SessionHandle;
  /**
   * Finds the document of a session, and finishes what a dead process or an end under way has left to do. Returns a
   * function that resumes the session synchronously, and changes nothing before it is called; `undefined` when there
   * is no usable document. Recorders of release 0.1.0 lack this method.
   */
  findSession?(id: string): Promise<(() => SessionHandle) | undefined>;
  /** {@link findSession}, and the call of its function. */
  resumeSession(id: string): Promise<SessionHandle | undefined>;
}

/** One open session of a store. No method throws; methods that return promises reject when the disk refuses. */
export interface SessionHandle {
  /** `undefined` where documents are kept in memory. */
  readonly path: string | undefined;
  /** The trace id of the document. */
  readonly traceId: string;
  readonly metadata: SessionMetadata;
  /** Whether the session was there before, in a document or open in this process. Absent in handles of release 0.1.0. */
  readonly isContinued?: boolean;
  /** Counters as of now, all ended spans included. */
  readonly summary: SessionSummary;
  /** What the session did before; once, and nothing after that. */
  takeHistory(): SessionHistory;
  /** The first turn has begun: its trace was not known before. No effect once a document names its trace. */
  setTraceId(traceId: string): void;
  /** Changes the session as a whole. */
  update(facts: SessionFacts): void;
  /**
   * An open span has changed: records its present state, synchronously. Session tracers of 0.1.0 pass no trace id, and
   * recorders of 0.1.0 take none.
   */
  changed(spanId: string, traceId?: string): void;
  /**
   * Attributes were merged into an open span: records the attributes, synchronously. Handles of release 0.1.0 lack this
   * method.
   */
  merged?(span: SpanIds, attributes: Readonly<Record<string, unknown>>): void;
  /** Resolves when the document equals memory. */
  flush(): Promise<void>;
  /**
   * Ends the session; an `error` that is not empty ends it with status `error`. Idempotent. `isImplicit`: all sessions are
   * shut down, and the session ends with its last activity.
   */
  end(error?: string, isImplicit?: boolean): Promise<void>;
  /** Like {@link end}, before it returns. */
  endNow(error?: string): void;
  /** The crash fence of this session, synchronous. Also after its end: `crashed` outranks every other status. */
  crash(reason?: string): void;
  /** The document as of the last flush or end. */
  document(): Promise<TraceFile | undefined>;
}
