/**
 * The calls of a session tracer on the exporters that keep documents, besides the spans: the start and the end of a
 * session, facts of the session as a whole, and changes of open spans.
 */

import type { SessionHistory } from "../format/history.js";
import type { SessionMetadata, SessionSummary, TraceFile } from "../format/trace-file.js";

/** A session as it begins. */
export interface SessionOpening {
  /** The raw session id. */
  readonly id: string;
  /** Of the first turn as far as that is known; see {@link RecordedSession.setTraceId}. */
  readonly traceId: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** Of the session span. */
  readonly name: string;
  readonly input?: unknown;
  readonly metadata: SessionMetadata;
}

/** Changes of a session as a whole; members that are absent stay as they are. */
export interface SessionFacts {
  /** Of the session span. */
  readonly name?: string;
  readonly input?: unknown;
  readonly metadata?: Partial<SessionMetadata>;
  /** Merged into the attributes of the session span. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** A keeper of session documents: an exporter that session tracers can talk to. */
export interface SessionRecorder {
  /** Opens a session, or goes on where its document stands. Synchronous: there is a document when it returns. */
  openSession(opening: SessionOpening): RecordedSession;
  /**
   * Finds the document of a session, and finishes what a dead process or an end under way has left to do. Returns a
   * function that resumes the session synchronously, and changes nothing before it is called; `undefined` when there
   * is no usable document. Recorders of release 0.1.0 lack this method.
   */
  findSession?(id: string): Promise<(() => RecordedSession) | undefined>;
  /** {@link findSession}, and the call of its function. */
  resumeSession(id: string): Promise<RecordedSession | undefined>;
}

/** One open session of a recorder. No method throws; those that return promises reject when the disk refuses. */
export interface RecordedSession {
  /** Absent where documents are kept in memory. */
  readonly path: string | undefined;
  /** The document's trace. */
  readonly traceId: string;
  readonly metadata: SessionMetadata;
  /** Counters as of now, all ended spans included. */
  readonly summary: SessionSummary;
  /** What the document that it goes on from tells; once, and nothing after that. */
  takeHistory(): SessionHistory;
  /** The first turn has begun: until then nobody knew its trace. Without effect once a document names its trace. */
  setTraceId(traceId: string): void;
  /** Changes what is known of the session. */
  update(facts: SessionFacts): void;
  /** A running span has changed: keeps its present state, synchronously. */
  changed(spanId: string): void;
  /** Resolves when the document equals memory. */
  flush(): Promise<void>;
  /** Ends the session; an `error` that is not empty ends it with status `error`. Idempotent. */
  end(error?: string): Promise<void>;
  /** The same before it returns. */
  endNow(error?: string): void;
  /** The crash fence of this session, synchronous. Also after its end: `crashed` outranks every other status. */
  crash(reason?: string): void;
  /** The document as of the last flush or end. */
  document(): Promise<TraceFile | undefined>;
}
