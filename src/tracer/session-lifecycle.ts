/** The sessions of one session tracer, one after the other, and how each of them starts, resumes, ends and crashes. */

import type { SessionHandle, SessionStore } from "../exporter/session-store.js";
import { unexplainedCrash } from "../format/session-end.js";
import type { SessionMetadata } from "../format/trace-file.js";
import { counted, Diagnostics } from "../otel/diagnostics.js";
import { newTraceId } from "../otel/ids.js";
import { Lifecycle } from "../platform/lifecycle.js";
import type { SessionTracerPorts } from "./input-types.js";
import { startMetadata } from "./metadata.js";
import { type Closing, type LoggedSession, SessionLog } from "./session-log.js";
import { clientContext } from "./trace-context.js";
import { textMember } from "./untrusted-input.js";

/** One session of the tracer. */
interface TracedSession {
  readonly log: SessionLog;
  readonly life: Lifecycle;
  /** The reason of the last crash, where one was given. */
  crashReason?: string | undefined;
  /** The last attempt to write the documents of the end has failed. */
  hasFailed?: boolean;
}

/** Resumes a session that was looked for, synchronously; `false`, and nothing changes, if that is not possible. */
export type ResumeFound = () => boolean;

export class SessionLifecycle {
  readonly #ports: SessionTracerPorts;
  readonly #diagnostics = new Diagnostics("SessionTracer");
  /** The present session, or the last one. Log methods do nothing before the first. */
  #session: TracedSession | undefined;
  /** Resolves when the documents of the session that ended last are written, or with `false` when that failed. */
  #ending: Promise<boolean> = Promise.resolve(true);
  #dropped = 0;

  constructor(ports: SessionTracerPorts) {
    this.#ports = ports;
  }

  /** The log of the present session, or of the last one. */
  get log(): SessionLog | undefined {
    return this.#session?.log;
  }

  get isOpen(): boolean {
    return this.#session?.life.isOpen === true;
  }

  /** Calls that came after the end of their session. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Ends an open session, and starts one. */
  start(id: string, options: unknown, parent: LoggedSession["parent"]): void {
    this.end(undefined);
    const metadata = startMetadata(options);
    const traceId = newTraceId();
    const { prompt } = metadata;
    const now = Date.now();
    const opening = {
      id,
      traceId,
      startTime: now,
      name: textMember(options, "instance_id") ?? id,
      metadata,
      ...(prompt !== undefined && { input: prompt }),
    };
    const client = clientContext(options);
    const handles: SessionHandle[] = [];
    for (const recorder of this.#ports.recorders)
      this.guard("startTrace", () => handles.push(recorder.openSession(opening)));
    this.#begin(id, traceId, { ...handles[0]?.metadata, ...metadata }, handles, parent);
    if (prompt && handles.some(({ isContinued }) => isContinued)) this.log?.prompted(prompt, now, client);
    else if (client) this.log?.openTurn(now, client);
  }

  /**
   * Looks for the documents of a session. Opens nothing: the function that it resolves with does, unless another session
   * was opened meanwhile. Rejects when a recorder does; then no recorder has the session open.
   */
  async find(id: string): Promise<ResumeFound> {
    const before = this.#session;
    if (before?.life.isOpen && before.log.id === id) return () => before.life.isOpen;
    await this.#ending;
    const found: Found[] = [];
    for (const recorder of this.#ports.recorders)
      found.push({ recorder, resume: await findSession(recorder, id) });
    return () => {
      if (this.isOpen && this.#session !== before) return this.log?.id === id;
      return this.#resume(id, found);
    };
  }

  /** Ends the session in good order, or tries again what an end could not write. {@link ended} resolves after that. */
  end(error: string | undefined, isImplicit = false): void {
    const session = this.#session;
    if (!session) return;
    if (session.life.end()) this.#close(session.log, { type: "end", error });
    else if (!session.hasFailed) return;
    session.hasFailed = false;
    const written = this.settle(session.log.handles.map(async (handle) => handle.end(error, isImplicit)));
    // An earlier session that this one replaced is written, too, when the end of this one is.
    this.#ending = Promise.all([written, this.#ending]).then(([isWritten]) => {
      session.hasFailed = !isWritten;
      session.life.confirmEnd();
      return isWritten;
    });
  }

  /** {@link end}, with the documents written before it returns. Also completes an end that is under way. */
  endNow(error: string | undefined): void {
    const session = this.#session;
    if (!session || session.life.state === "crashed") return;
    if (session.life.end()) this.#close(session.log, { type: "end", error });
    for (const handle of session.log.handles) this.guard("finalizeSync", () => handle.endNow(error));
    session.life.confirmEnd();
  }

  /** Whether the documents of the end are written. */
  ended(): Promise<boolean> {
    return this.#ending;
  }

  /** The crash fence. Also marks a session that has ended, and replaces the reason of an earlier crash. */
  crash(reason: string | undefined): void {
    const session = this.#session;
    if (!session) return;
    const wasOpen = session.life.isOpen;
    const isFirst = session.life.crash();
    if (!isFirst && (reason === undefined || reason === session.crashReason)) return;
    session.crashReason = reason;
    if (wasOpen) this.#close(session.log, { type: "crash", reason: reason ?? unexplainedCrash });
    for (const handle of session.log.handles) this.guard("flushSync", () => handle.crash(reason));
  }

  /** Runs `run` with the log of the open session. After the end of a session, drops and counts the call. */
  with(what: string, run: (log: SessionLog) => void): void {
    const session = this.#session;
    if (session?.life.isOpen) this.guard(what, () => run(session.log));
    else if (session) this.#drop(what, session.log.id);
  }

  /** Runs `run`. An error is logged and does not reach the host. */
  guard(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.failed(what, error);
    }
  }

  failed(what: string, error: unknown): void {
    this.#diagnostics.failure(`${what} failed`, error);
  }

  /** Waits for the disk; `false` after a rejection. It is logged: the recorder keeps the data and tries again. */
  async settle(work: readonly Promise<void>[]): Promise<boolean> {
    const failed = (await Promise.allSettled(work)).filter((result) => result.status === "rejected");
    for (const { reason } of failed)
      this.#diagnostics.failure("a trace could not be written yet; the write is retried", reason);
    return failed.length === 0;
  }

  #resume(id: string, found: readonly Found[]): boolean {
    const resumed: SessionHandle[] = [];
    for (const { resume } of found) if (resume) this.guard("rehydrateFromFile", () => resumed.push(resume()));
    const first = resumed[0];
    if (!first) return false;
    const { metadata } = first;
    // A document of another program may name no trace. The next turn needs one.
    const traceId = first.traceId || newTraceId();
    // Without a session of its own, a recorder would not learn of the end.
    const opening = { id, traceId, startTime: Date.now(), name: id, metadata };
    const opened: SessionHandle[] = [];
    for (const { recorder, resume } of found)
      if (!resume) this.guard("rehydrateFromFile", () => opened.push(recorder.openSession(opening)));
    this.#begin(id, traceId, metadata, [...resumed, ...opened], undefined);
    return true;
  }

  #begin(
    id: string,
    traceId: string,
    metadata: SessionMetadata,
    handles: readonly SessionHandle[],
    parent: LoggedSession["parent"],
  ): void {
    // A session that was open before a resume, or that code of the host has started while its options were read.
    this.end(undefined);
    const { tracer, turnIds, onTurnEnd = () => {} } = this.#ports;
    const log = new SessionLog({ tracer, turnIds, onTurnEnd }, { id, traceId, metadata, handles, parent });
    this.#session = { log, life: new Lifecycle() };
    this.guard("start", () => this.#ports.onSessionStart?.(id));
  }

  #close(log: SessionLog, closing: Closing): void {
    this.guard("end", () => log.close(closing, Date.now()));
    this.guard("end", () => this.#ports.onSessionEnd?.(log.id));
  }

  #drop(what: string, id: string): void {
    this.#dropped++;
    const why = `session ${id} is over; start or resume it first`;
    const log = (message: string) => this.#diagnostics.log("warn", message);
    this.#diagnostics.repeated("dropped", {
      first: () => log(`dropped ${what}: ${why}`),
      more: (calls) => log(`dropped ${counted(calls, "call", "more")}: ${why} (${this.#dropped} in all)`),
    });
  }
}

/** A recorder, and how to resume the session there; `undefined` if it has no document of the session. */
interface Found {
  readonly recorder: SessionStore;
  readonly resume: (() => SessionHandle) | undefined;
}

/** A recorder of release 0.1.0 opens the session when it finds it. */
async function findSession(recorder: SessionStore, id: string): Promise<Found["resume"]> {
  if (recorder.findSession) return recorder.findSession(id);
  const session = await recorder.resumeSession(id);
  return session && (() => session);
}
