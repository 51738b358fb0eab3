/**
 * One session of a file exporter, as the session tracer uses it.
 */

import type { DirectoryUser, HeldSession } from "../directory/shared-directory.js";
import type { SessionHistory } from "../format/history.js";
import { splitOrigins } from "../format/origins.js";
import { callerEnd, implicitEnd, type SessionEnd } from "../format/session-end.js";
import type { SpanIds } from "../format/span-map.js";
import type { SessionMetadata, SessionSummary, TraceFile } from "../format/trace-file.js";
import { newTraceId } from "../otel/ids.js";
import { readTrace } from "../recovery/read-trace.js";
import type { ContentFilter } from "./content-filter.js";
import type { SessionFacts, SessionHandle, SessionOpening } from "./session-store.js";

/** What the exporter does for its sessions. */
export interface SessionHost {
  readonly directory: DirectoryUser;
  /** What all content passes. */
  readonly filter: ContentFilter;
  /** Runs work that must not throw, and reports what the work throws. */
  guard(work: () => void): void;
  /** Waits for the disk, for a bounded time. */
  bounded(what: string, work: Promise<void>): Promise<void>;
  /** There is something to flush before a natural exit of the process. */
  onUse(): void;
}

/**
 * Opens a session, or continues the session of an existing document. There is a document when this returns. `facts`:
 * those of the opening, filtered.
 */
export function openSessionHandle(
  host: SessionHost,
  { id, traceId, startTime, name: given }: SessionOpening,
  { name = given, input, metadata = {} }: SessionFacts,
): SessionHandle {
  const session = host.directory.openSession({ id, traceId, startTime, name, input }, metadata);
  host.onUse();
  return new FileSession(host, session, session.isNew ? traceId : undefined);
}

/**
 * Finds the usable document of a session. Returns a function that continues the session synchronously, and opens nothing
 * before it is called.
 */
export async function findRecordedSession(
  host: SessionHost,
  id: string,
): Promise<(() => SessionHandle) | undefined> {
  const resume = await host.directory.findSession(id, newTraceId());
  return (
    resume &&
    (() => {
      const session = resume();
      host.onUse();
      return new FileSession(host, session, undefined);
    })
  );
}

class FileSession implements SessionHandle {
  readonly #host: SessionHost;
  readonly #session: HeldSession;
  /** The trace id that the head names although no span has it yet. */
  readonly #assumedTraceId: string | undefined;

  constructor(host: SessionHost, session: HeldSession, assumedTraceId: string | undefined) {
    this.#host = host;
    this.#session = session;
    this.#assumedTraceId = assumedTraceId;
  }

  get path(): string {
    // Also after the end, when the directory has forgotten under which name the session was.
    return this.#session.path();
  }

  get traceId(): string {
    return this.#session.traceId();
  }

  get isContinued(): boolean {
    return !this.#session.isNew;
  }

  get metadata(): SessionMetadata {
    return splitOrigins(this.#session.metadata()).metadata;
  }

  get summary(): SessionSummary {
    return this.#session.summary();
  }

  takeHistory(): SessionHistory {
    return this.#session.takeHistory();
  }

  setTraceId(traceId: string): void {
    const assumed = this.#assumedTraceId;
    if (assumed !== undefined) this.#host.guard(() => this.#session.setTraceId(traceId, assumed));
  }

  update(facts: SessionFacts): void {
    this.#host.guard(() => {
      const changed = this.#host.filter.facts(facts);
      this.#session.update(changed, (root) => this.#host.filter.assembled(root));
    });
  }

  changed(spanId: string, traceId?: string): void {
    this.#host.guard(() => this.#session.recordChange({ spanId, traceId }));
  }

  merged(span: SpanIds, given: Readonly<Record<string, unknown>>): void {
    this.#host.guard(() => {
      const { attributes } = this.#host.filter.facts({ attributes: given });
      if (attributes) this.#session.recordAttributes(span, attributes);
    });
  }

  flush(): Promise<void> {
    return this.#host.bounded("flush", this.#host.directory.flushSession(this.#session.id));
  }

  end(error?: string, isImplicit = false): Promise<void> {
    const end = isImplicit && !error ? implicitEnd : this.#endOf(error);
    if (!this.#session.isHeld()) return this.flush();
    return this.#host.bounded("end", this.#host.directory.end(this.#session.id, end));
  }

  endNow(error?: string): void {
    this.#host.guard(() => {
      const end = this.#endOf(error);
      if (this.#session.isHeld()) this.#host.directory.endNow(this.#session.id, end);
    });
  }

  crash(reason?: string): void {
    this.#host.guard(() =>
      this.#host.directory.crashSession(this.#session.id, reason && this.#host.filter.error(reason)),
    );
  }

  async document(): Promise<TraceFile | undefined> {
    try {
      return (await readTrace(this.path)).trace;
    } catch {
      return undefined;
    }
  }

  #endOf(error: string | undefined): SessionEnd {
    return callerEnd(error && this.#host.filter.error(error));
  }
}
