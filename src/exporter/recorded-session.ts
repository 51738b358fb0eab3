/**
 * One open session of a file exporter, as its session tracer sees it.
 */

import type { TraceDirectory } from "../directory/trace-directory.js";
import { noHistory, type SessionHistory } from "../format/history.js";
import type { SessionEnd } from "../format/session-end.js";
import type { SessionMetadata, SessionSummary, TraceFile } from "../format/trace-file.js";
import { newTraceId } from "../otel/ids.js";
import { runAsync, runSync } from "../platform/gensync.js";
import { readTrace } from "../recovery/read-trace.js";
import { findResumable } from "../recovery/resume.js";
import { rewriteHead } from "../storage/merge.js";
import { closePeerSpans, isStillAlone } from "../storage/publish.js";
import { readHistory } from "../storage/session-history.js";
import type { SessionWriter } from "../storage/session-writer.js";
import type { ContentFilter } from "./content-filter.js";
import type { RecordedSession, SessionFacts, SessionOpening } from "./session-recorder.js";

/** What the exporter does for its sessions. */
export interface SessionHost {
  readonly directory: TraceDirectory;
  /** The exporter's number among the directory's users. */
  readonly user: number;
  /** What all content passes. */
  readonly filter: ContentFilter;
  /** Runs what must not throw, and tells what did. */
  guard(work: () => void): void;
  /** Waits for the disk, but not for ever. */
  bounded(what: string, work: Promise<void>): Promise<void>;
  /** There is something to flush before the process ends by itself. */
  onUse(): void;
}

/** A document of this size is read for what its session did before it goes on, when nobody can wait for more. */
const historyBytes = 1_000_000;

/**
 * Opens a session, or goes on where its document stands. There is a document when it returns. `facts`: those of the
 * opening, filtered.
 */
export function openRecordedSession(
  host: SessionHost,
  { id, traceId, startTime, name: given }: SessionOpening,
  { name = given, input, metadata = {} }: SessionFacts,
): RecordedSession {
  const { directory, user } = host;
  const known = directory.openWriter(id);
  const writer = directory.openSession(user, { id, traceId, startTime, name, input });
  host.onUse();
  const { published } = writer.base;
  const history =
    known || !published
      ? noHistory
      : runSync(directory.ports.fileSystem, readHistory(published, historyBytes));
  const isNew = !known && !published;
  writer.setMetadata(metadata);
  directory.publishFirst(writer);
  return new FileSession(host, writer, history, isNew ? traceId : undefined);
}

/** Goes on where a session's document stands; `undefined` when there is none that is usable. */
export async function resumeRecordedSession(
  host: SessionHost,
  id: string,
): Promise<RecordedSession | undefined> {
  const { directory, user } = host;
  const { fileSystem, clock } = directory.ports;
  // An end under way, or a session that somebody here has open: its document is behind.
  await directory.flushSession(id).catch(() => {});
  const history = await runAsync(fileSystem, findResumable(directory.ports, directory.dir, id));
  if (!history) return undefined;
  const known = directory.openWriter(id);
  const writer = directory.openSession(user, { id, traceId: newTraceId(), startTime: clock.now() });
  host.onUse();
  if (known) directory.interruptOpen(writer);
  else {
    // Before what is recorded from here on: spans stand in order of completion.
    if (isStillAlone(writer)) closePeerSpans(writer);
    writer.takeAsPublished();
  }
  return new FileSession(host, writer, history, undefined);
}

/** Who opened a writer's session last: that is who ends it. */
const holders = new WeakMap<SessionWriter, FileSession>();

class FileSession implements RecordedSession {
  #history: SessionHistory;
  readonly #host: SessionHost;
  readonly #id: string;
  /** What was known at its end stays to be asked for. */
  readonly #writer: SessionWriter;
  /** The trace that the head names although no span has told it. */
  readonly #assumedTraceId: string | undefined;

  constructor(
    host: SessionHost,
    writer: SessionWriter,
    history: SessionHistory,
    assumedTraceId: string | undefined,
  ) {
    this.#host = host;
    this.#writer = writer;
    this.#id = writer.session.head.id;
    this.#history = history;
    this.#assumedTraceId = assumedTraceId;
    holders.set(writer, this);
  }

  get path(): string {
    // Also after its end, when the directory knows no more under which name that was.
    return this.#writer.path;
  }

  get traceId(): string {
    return this.#writer.session.head.traceId;
  }

  get metadata(): SessionMetadata {
    return this.#writer.session.metadata;
  }

  get summary(): SessionSummary {
    return this.#writer.session.tail(this.#writer.ports.clock.now()).summary;
  }

  takeHistory(): SessionHistory {
    const history = this.#history;
    this.#history = noHistory;
    return history;
  }

  setTraceId(traceId: string): void {
    this.#host.guard(() => {
      const writer = this.#writer;
      const { head } = writer.session;
      if (head.traceId === traceId || head.traceId !== this.#assumedTraceId || writer.open.lines > 0) return;
      if (writer.state !== "open") return;
      runSync(writer.ports.fileSystem, rewriteHead(writer, { ...head, traceId }));
      writer.recordSession();
    });
  }

  update(facts: SessionFacts): void {
    this.#host.guard(() => {
      const change = this.#host.filter.facts(facts);
      const writer = this.#writer;
      if (writer.state !== "open") return;
      writer.session.update(change, (root) => this.#host.filter.assembled(root));
      writer.recordSession();
      this.#host.directory.changed(writer);
    });
  }

  changed(spanId: string): void {
    this.#host.guard(() => {
      if (this.#writer.state !== "open") return;
      this.#writer.recordChange(spanId);
      this.#host.directory.changed(this.#writer);
    });
  }

  flush(): Promise<void> {
    return this.#host.bounded("flush", this.#host.directory.flushSession(this.#id));
  }

  end(error?: string): Promise<void> {
    const end = this.#endOf(error);
    if (!this.#isMine()) return this.flush();
    return this.#host.bounded("end", this.#host.directory.end(this.#id, end));
  }

  endNow(error?: string): void {
    this.#host.guard(() => {
      const end = this.#endOf(error);
      if (this.#isMine()) this.#host.directory.endNow(this.#id, end);
    });
  }

  crash(reason?: string): void {
    this.#host.guard(() =>
      this.#host.directory.crashSession(this.#id, reason && this.#host.filter.error(reason)),
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
    return endOf(error && this.#host.filter.error(error));
  }

  /** Not where the session was opened again since: that is for who opened it to end. */
  #isMine(): boolean {
    const open = this.#host.directory.openWriter(this.#id);
    return open === undefined || (open === this.#writer && holders.get(open) === this);
  }
}

/** How a session ends that somebody ends: in good order, or with an error. */
export const endOf = (error: string | undefined): SessionEnd =>
  error ? { status: "error", error, rootMessage: error } : { status: "completed" };
