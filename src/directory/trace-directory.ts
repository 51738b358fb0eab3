/**
 * One directory of sessions in this process: opens sessions, records spans, ends sessions.
 */

import { crashEnd, implicitEnd, type SessionEnd } from "../format/session-end.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { releaseToken } from "../platform/liveness.js";
import { findPath } from "../storage/document-file.js";
import { recreateFiles, recreateIfRemoved } from "../storage/merge.js";
import { interruptOpen } from "../storage/seal.js";
import type { SessionStart } from "../storage/session-state.js";
import { SessionWriter, type WriterPorts } from "../storage/session-writer.js";
import { retryOnEmfile } from "./emfile-retry.js";
import { type Closed, EndedSessions } from "./ended-sessions.js";
import { beginEnd, cancelWork, finalize, finalizeNow } from "./ends.js";
import type { Pace } from "./publish-scheduler.js";
import { crashNotWritten, PublishScheduler, type WorkQueues } from "./publish-scheduler.js";
import { SessionEntry, Sessions } from "./sessions.js";
import { allWritten, notWritten } from "./write-failures.js";

/** What a directory works with. */
export interface DirectoryPorts extends WriterPorts {
  readonly pace: Pace;
}

/** A span's end, as far as this process knows: recorded, or closed by the end of the session. */
export type KnownEnd = "recorded" | "closed";

export class TraceDirectory {
  readonly dir: string;
  readonly ports: DirectoryPorts;
  readonly #queues: WorkQueues;
  readonly #sessions = new Sessions();
  readonly #ended = new EndedSessions();
  /**
   * Spans as their processors know them: in which session they were started, or how their end is decided. They may come
   * through a second processor, and may end with another session than they started with.
   */
  readonly #sources = new WeakMap<object, SessionEntry | KnownEnd>();
  /** The retries of {@link retry}, while they last. */
  #retries: Promise<unknown> | undefined;
  #isClosed = false;

  constructor(
    dir: string,
    ports: Omit<DirectoryPorts, "events">,
    queues: WorkQueues,
    onFault: (error: unknown, path: string) => void,
  ) {
    this.dir = dir;
    const fileSystem = retryOnEmfile(ports.fileSystem, () => this.#sessions.evictOldest());
    this.ports = { ...ports, fileSystem, events: { onFault } };
    this.#queues = queues;
  }

  /** Returns the number of a new user of this directory: that user may resume sessions that crashed before. */
  join(): number {
    return this.#ended.join();
  }

  /** The entry of a session that is open now. */
  openEntry(id: string): SessionEntry | undefined {
    return this.#sessions.open(id);
  }

  /** The sessions of this process in the directory, in the order in which they were opened. */
  get sessions(): Iterable<SessionEntry> {
    return this.#sessions.all();
  }

  /** The sessions with spans of `user`, those that wait for their final document included. */
  sessionsOf(user: number): Iterable<SessionEntry> {
    return this.#sessions.of(user);
  }

  /** Where the session's document is, or would be. */
  path(id: string): string {
    return this.#sessions.get(id)?.writer.path ?? findPath(this.ports.fileSystem, this.dir, id);
  }

  /** Whether the end of a span is decided already; `undefined` for news. */
  knownEnd(source: object): KnownEnd | undefined {
    const known = this.#sources.get(source);
    return typeof known === "string" ? known : undefined;
  }

  /** The session in which a span was started, while the span has not ended. */
  startedIn(source: object): SessionEntry | undefined {
    const known = this.#sources.get(source);
    return typeof known === "string" ? undefined : known;
  }

  /** The end of a span is recorded in the unnamed log. */
  markRecorded(source: object): void {
    this.#sources.set(source, "recorded");
  }

  /**
   * Opens a session explicitly, or joins the users that have it open; an earlier end no longer counts. From here on
   * only this method opens the session again after an end.
   */
  openSession(user: number, start: SessionStart): SessionEntry {
    this.#ended.forget(start.id);
    const entry = this.#sessions.openFor(user, start.id) ?? this.#open(user, start);
    entry.makeExplicit();
    return entry;
  }

  /** The session that takes a span; opened where a span may open it. */
  admit(user: number, start: SessionStart): SessionEntry | Closed {
    return (
      this.#sessions.openFor(user, start.id) ?? this.#ended.closed(user, start.id) ?? this.#open(user, start)
    );
  }

  /** `source` is the span as its processor knows it, `span` its state now, `read` returns its later states. `full`: as below. */
  recordStart(
    entry: SessionEntry,
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "full" {
    const { writer } = entry;
    if (writer.session.openSpans.has(span)) return "recorded";
    writer.setMetadata(metadata);
    const appended = writer.recordStart(span, read, source);
    this.#sources.set(source, entry);
    this.changed(entry);
    return appended === "dropped" ? "full" : "recorded";
  }

  /** `source` is the span as its processor knows it. Returns `full` when the retry queue had no room for the span. */
  recordEnd(
    entry: SessionEntry,
    source: object,
    span: TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "full" {
    const { writer } = entry;
    writer.setMetadata(metadata);
    const outcome = writer.recordEnd(span);
    if (outcome !== "full") this.#sources.set(source, "recorded");
    // If the journal already had this span, its file was checked at that time; recovery takes both files together.
    if (outcome === "known") this.#schedule(entry);
    else this.changed(entry);
    return outcome === "full" ? "full" : "recorded";
  }

  /** Ends a session that is to end with its last open span. */
  endIfQuiet(entry: SessionEntry): void {
    if (entry.quietMillis !== 0 || entry.writer.session.openSpans.size > 0) return;
    // A failure is reported, and the end retried.
    this.end(entry.id, implicitEnd).catch(() => {});
  }

  /** All spans of a session have moved to another one, and its files are gone. */
  discard(entry: SessionEntry): void {
    cancelWork(entry);
    entry.writer.life.end();
    this.#sessions.delete(entry);
  }

  /** Something of the session was recorded: its document follows. */
  changed(entry: SessionEntry): void {
    if (entry.writer.checkRemoved()) recreateFiles(entry.writer);
    this.#schedule(entry);
  }

  /** Interrupts the open spans of a session whose tracer is gone while the process lives: another tracer continues it. */
  interruptOpen(entry: SessionEntry): void {
    const closed = interruptOpen(entry.writer);
    if (!closed) return;
    for (const source of closed) this.#sources.set(source, "closed");
    this.changed(entry);
  }

  /** Publishes one session, and writes final documents that could not be written before. Rejects when the disk refuses. */
  async flushSession(id: string): Promise<void> {
    const entry = this.openEntry(id);
    await allWritten([...this.#finishAll(id), ...(entry ? [flushed(entry)] : [])]);
  }

  /** Like {@link flushSession}, for all sessions of a user. Rejects with the first failure. */
  async flush(user: number): Promise<void> {
    const work = this.#finishAll();
    for (const entry of this.sessionsOf(user)) {
      if (!this.#sessions.isUnwritten(entry)) work.push(flushed(entry));
    }
    await allWritten(work);
  }

  /**
   * A user leaves: its sessions end, but those that another user writes to are only published. Returns at once which
   * sessions end, so that a crash fence that overtakes `done` finds them.
   */
  leave(user: number): { readonly ended: readonly string[]; readonly done: Promise<void> } {
    const ended: string[] = [];
    const work = this.#finishAll();
    for (const entry of this.sessionsOf(user)) {
      const isLast = entry.leave(user);
      if (isLast) ended.push(entry.id);
      if (this.#sessions.isUnwritten(entry)) continue;
      work.push(isLast ? this.end(entry.id, implicitEnd) : flushed(entry));
    }
    return { ended, done: allWritten(work) };
  }

  /** Ends a session in good order. Rejects when the final document could not be written; then it is retried. */
  async end(id: string, end: SessionEnd): Promise<void> {
    this.#beginEnd(id, end);
    // A second call waits for the work under way, or retries what failed.
    await allWritten(this.#finishAll(id));
  }

  /** Like {@link end}, before it returns. A fault is reported; the final document is retried in the background. */
  endNow(id: string, end: SessionEnd): void {
    const entry = this.#beginEnd(id, end);
    if (!entry) return;
    // The final document is written, its completion callback is pending.
    if (entry.writer.life.state === "ended") {
      this.#sessions.delete(entry);
      return;
    }
    cancelWork(entry);
    this.#finishNow(entry);
  }

  /**
   * The crash fence of a user's sessions: synchronous. Copies under way are removed, and cannot commit any more.
   * Sessions that `ended` with the user are opened again to be marked.
   */
  crash(user: number, ended: Iterable<string>, reason?: string): void {
    const written = [...this.sessionsOf(user)].filter((entry) => entry.isWrittenBy(user));
    const ids = new Set([...ended, ...written.map(({ id }) => id)]);
    const reopened = new Set([...ids].filter((id) => !this.#ended.hasCrashed(id)));
    this.#crash(user, ids, reopened, crashEnd(reason));
  }

  /** The crash fence of one session, also of one that has ended or crashed before: the last reason stays. */
  crashSession(user: number, id: string, reason?: string): void {
    const ids = new Set([id]);
    this.#crash(user, ids, ids, crashEnd(reason));
  }

  /** Calls `onGone` when every session that ended with the user is written: at once, or after retries. */
  release(user: number, onGone: () => void): void {
    this.#sessions.release(user, onGone);
  }

  /** Nothing is retried any more. What a late crash fence cannot write is left to recovery, though this process lives. */
  close(): void {
    this.#isClosed = true;
  }

  /** Retries what the disk refused. Called every second by `housekeeping.ts`. */
  retry(): void {
    for (const { writer, publisher } of this.#sessions.all()) {
      if (!writer.isSettled) writer.settle();
      if (writer.isPublished) continue;
      recreateIfRemoved(writer);
      publisher.changed();
    }
    // A slow disk must not collect retries: the next ones wait for these.
    this.#retries ??= Promise.allSettled(this.#finishAll()).finally(() => {
      this.#retries = undefined;
    });
    this.#sessions.clean();
  }

  /** Renews the lease of each session: the modification time of its journal. */
  heartbeat(): void {
    const { async: calls } = this.ports.fileSystem;
    for (const { writer } of this.#sessions.all()) void calls.touch(writer.journal.path).catch(() => {});
  }

  /** Syncs what was recorded since the last call: `durability: "interval"`. */
  syncRecent(): void {
    for (const { writer, publisher } of this.#sessions.all()) {
      const logs = [writer.journal, writer.log].filter((log) => log.needsSync);
      if (logs.length > 0) publisher.sync(logs);
    }
  }

  #schedule(entry: SessionEntry): void {
    this.#sessions.use(entry);
    entry.publisher.changed();
  }

  #open(user: number, start: SessionStart): SessionEntry {
    const entry = this.#entryOf(start);
    entry.addUser(user);
    this.#sessions.add(entry);
    return entry;
  }

  #entryOf(start: SessionStart): SessionEntry {
    const writer = new SessionWriter(this.ports, this.dir, start);
    const publisher = new PublishScheduler(writer, this.#queues, this.ports.pace, () =>
      this.#sessions.use(entry),
    );
    const entry = new SessionEntry(start.id, writer, publisher);
    return entry;
  }

  /** Opens an ended session again, to be marked as crashed; `undefined` when the session has no document. */
  #reopenEnded(id: string): SessionEntry | undefined {
    if (!this.ports.fileSystem.sync.exists(this.path(id))) return undefined;
    return this.#entryOf({ id, traceId: "", startTime: this.ports.clock.now() });
  }

  #beginEnd(id: string, end: SessionEnd): SessionEntry | undefined {
    const entry = this.#sessions.get(id);
    if (!entry) return undefined;
    if (entry.endExplicit()) this.#ended.end(id);
    const sources = beginEnd(entry, end);
    if (!sources) return entry;
    for (const source of sources) this.#sources.set(source, "closed");
    this.#addUnwritten(entry);
    return entry;
  }

  #addUnwritten(entry: SessionEntry): void {
    this.#sessions.addUnwritten(entry);
    if (this.#isClosed) releaseToken(entry.writer.token);
  }

  #finishAll(id?: string): Promise<void>[] {
    return this.#sessions.unwritten(id).map((entry) => this.#finish(entry));
  }

  /** Writes the final document when its turn comes. Rejects when the disk refuses; then the entry stays unwritten. */
  #finish(entry: SessionEntry): Promise<void> {
    return this.#queues.publish.run(async () => {
      if (!this.#sessions.isUnwritten(entry)) return;
      try {
        if (await finalize(entry)) this.#sessions.delete(entry);
      } catch (error) {
        this.ports.events.onFault(error, entry.writer.path);
        throw notWritten(entry.writer.path, error);
      }
      if (this.#sessions.isUnwritten(entry)) throw notWritten(entry.writer.path, crashNotWritten());
    });
  }

  #finishNow(entry: SessionEntry): void {
    try {
      // Not written when code of the host, run by the reading of spans, crashed the session again.
      if (finalizeNow(entry)) this.#sessions.delete(entry);
    } catch (error) {
      // The side files stay: this process retries while it lives, recovery after it.
      this.#addUnwritten(entry);
      this.ports.events.onFault(error, entry.writer.path);
    }
  }

  #crash(user: number, ids: ReadonlySet<string>, reopened: ReadonlySet<string>, end: SessionEnd): void {
    const entries = new Set<SessionEntry>();
    for (const entry of this.#sessions.unwritten()) {
      if (!ids.has(entry.id)) continue;
      // Already finalized, its completion callback is pending: reopened below like any ended session.
      if (entry.writer.life.state === "ended") this.#sessions.delete(entry);
      else entries.add(entry);
    }
    for (const id of ids) {
      const entry = this.#sessions.get(id);
      if (entry) entries.add(entry);
    }
    const found = new Set([...entries].map(({ id }) => id));
    for (const id of reopened) {
      const ended = found.has(id) ? undefined : this.#reopenEnded(id);
      ended?.addUser(user);
      if (ended) entries.add(ended);
    }
    // First all work under way is cancelled, then each document is written: a slow disk delays only the writing.
    for (const entry of entries) {
      cancelWork(entry);
      entry.writer.life.crash();
      entry.endAs(end);
    }
    // Before the documents are written: code of the host, run by the reading of spans, may record spans.
    for (const id of ids) this.#ended.crash(id);
    for (const entry of entries) {
      entry.endExplicit();
      this.#finishNow(entry);
    }
  }
}

/** Publishes an open session. */
const flushed = ({ publisher, writer }: SessionEntry): Promise<void> =>
  publisher.flush().catch((error: unknown) => {
    throw notWritten(writer.path, error);
  });
