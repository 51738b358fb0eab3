/**
 * One directory of sessions in this process: opens sessions, records spans, ends sessions.
 */

import type { SessionStart } from "../format/beginnings.js";
import { implicitEnd, type SessionEnd } from "../format/session-end.js";
import type { SpanIds } from "../format/span-map.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { inTurns } from "../platform/async.js";
import { releaseToken } from "../platform/liveness.js";
import { findPath } from "../storage/document-file.js";
import { recreateFiles } from "../storage/merge.js";
import { interruptOpen } from "../storage/seal.js";
import type { SessionChange } from "../storage/session-change.js";
import type { SessionWriter, WriterPorts } from "../storage/session-writer.js";
import { retryOnEmfile } from "./emfile-retry.js";
import { type Closed, EndedSessions } from "./ended-sessions.js";
import { beginEnd, cancelWork, FinalDocuments, finalizeNow } from "./ends.js";
import { Fences } from "./fences.js";
import { Openings } from "./openings.js";
import type { Pace, WorkLanes } from "./publish-scheduler.js";
import { type SessionEntry, Sessions } from "./sessions.js";
import { hasGoodEnd } from "./suspension.js";
import { Upkeep } from "./upkeep.js";
import { allWritten, awaitedLater, notWritten } from "./write-failures.js";

/** What a directory works with. */
export interface DirectoryPorts extends WriterPorts {
  readonly pace: Pace;
}

/** Sessions that end, or are flushed, in one turn of the event loop: some 5 ms. */
const visitedPerTurn = 500;

/** A span's end, as far as this process knows: recorded, or closed by the end of the session. */
export type KnownEnd = "recorded" | "closed";

export class TraceDirectory {
  readonly dir: string;
  readonly ports: DirectoryPorts;
  readonly #sessions = new Sessions();
  readonly #openings: Openings;
  readonly #final: FinalDocuments;
  readonly #ended = new EndedSessions();
  readonly fences: Fences;
  readonly upkeep: Upkeep;
  /**
   * Spans as their processors know them: in which session they were started, or how their end is decided. They may come
   * through a second processor, and may end with another session than they started with.
   */
  readonly #sources = new WeakMap<object, SessionEntry | KnownEnd>();
  #isClosed = false;

  constructor(
    dir: string,
    ports: Omit<DirectoryPorts, "events">,
    lanes: WorkLanes,
    onFault: (error: unknown, path: string) => void,
  ) {
    this.dir = dir;
    const fileSystem = retryOnEmfile(ports.fileSystem, () => this.#sessions.evictOldest());
    this.ports = { ...ports, fileSystem, events: { onFault } };
    this.#final = new FinalDocuments(dir, lanes.publish, this.#sessions, onFault);
    this.#openings = new Openings(dir, this.ports, lanes, this.#sessions);
    this.upkeep = new Upkeep(this.#sessions, this.#final, fileSystem);
    this.fences = new Fences(this, this.#sessions, this.#ended, this.#openings);
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
    this.#openings.takeBack(entry);
    entry.makeExplicit();
    return entry;
  }

  /** The session that takes a span; opened where a span may open it. */
  admit(user: number, start: SessionStart): SessionEntry | Closed {
    const { id } = start;
    const known = this.#sessions.openFor(user, id) ?? this.#ended.closed(user, id);
    return known ?? this.#open(user, { ...start, bySpan: true });
  }

  /** `source` is the span as its processor knows it, `span` its state now, `read` returns its later states. `full`: as below. */
  recordStart(
    entry: SessionEntry,
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "full" {
    if (entry.runs(span)) return "recorded";
    const writer = this.#openings.takeBack(entry);
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
    // A span that had started before the verdict of a hook belongs to what the hook ended.
    const { verdict } = entry;
    const isEarlier = !verdict || entry.runs(span) || !(span.startTime > verdict.at);
    const writer = isEarlier ? this.#openings.continue(entry) : this.#openings.takeBack(entry);
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
    // With the verdict of a process hook, the session waits for what follows: the process ends, or a caller shuts down.
    if (entry.quietMillis !== 0 || entry.openSpans > 0 || entry.verdict) return;
    // A failure is reported, and the end retried.
    this.end(entry.id, implicitEnd).catch(() => {});
  }

  /** All spans of a session have moved to another one, and its files are gone. */
  discard(entry: SessionEntry): void {
    cancelWork(entry);
    entry.writer.life.end();
    this.#sessions.delete(entry);
  }

  /** The writer of an open session: a suspended session goes on. */
  writerOf(entry: SessionEntry): SessionWriter {
    return this.#openings.continue(entry);
  }

  /** An open span has changed. */
  recordChange(entry: SessionEntry, span: SpanIds): void {
    if (entry.openSpans === 0) return;
    this.#openings.continue(entry).recordChange(span);
    this.changed(entry);
  }

  /** Attributes were merged into an open span. */
  recordAttributes(entry: SessionEntry, span: SpanIds, attributes: Readonly<Record<string, unknown>>): void {
    if (entry.openSpans === 0) return;
    this.#openings.continue(entry).recordAttributes(span, attributes);
    this.changed(entry);
  }

  /** Adds metadata to a session. */
  learn(entry: SessionEntry, metadata: Partial<SessionMetadata>): void {
    if (entry.suspended && !entry.writer.session.learn(metadata)) return;
    this.#openings.continue(entry).setMetadata(metadata);
  }

  /** Changes a session as a whole; `limit` bounds the size of the changed session span. */
  update(entry: SessionEntry, changed: SessionChange, limit: (root: TraceSpan) => TraceSpan): void {
    const writer = this.#openings.continue(entry);
    writer.session.update(changed, limit);
    const { name, input, metadata, attributes } = changed;
    if (attributes && name === undefined && input === undefined && metadata === undefined)
      writer.recordSessionAttributes(attributes);
    else writer.recordSession();
    this.changed(entry);
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
    const work = [awaitedLater(this.#final.writeAll())];
    await this.#visit(user, (entry) => {
      const written = this.#sessions.isUnwritten(entry) ? this.#final.write(entry) : flushed(entry);
      work.push(awaitedLater(written));
    });
    await allWritten(work);
  }

  /**
   * A user leaves: its sessions end, but those that another user writes to are only published. `ended` names the sessions
   * that have ended so far, so that a crash fence that overtakes `done` finds them; the other ones are still open.
   */
  leave(user: number): { readonly ended: readonly string[]; readonly done: Promise<void> } {
    const ended: string[] = [];
    return { ended, done: this.#leave(user, ended) };
  }

  /** Ends a session that was silent for long. The verdict of a process hook becomes final. */
  async endIdle(entry: SessionEntry): Promise<void> {
    const end = entry.verdict?.end;
    if (entry.suspended) this.fences.settle(entry);
    else await this.end(entry.id, end ? { ...end, provisional: undefined } : implicitEnd);
  }

  /** Ends a session in good order. Rejects when the final document could not be written; then it is retried. */
  async end(id: string, end: SessionEnd): Promise<void> {
    this.#beginEnd(id, end);
    // A second call waits for the work under way, or retries what failed.
    await allWritten(this.#finishAll(id));
  }

  /** Like {@link end}, before it returns. A fault is reported; the final document is retried in the background. */
  endNow(id: string, end: SessionEnd): void {
    if (this.#beginEnd(id, end)) this.finishEndsNow(id);
  }

  /** Writes final documents of a session that wait for their turn, before this returns. Faults as for {@link endNow}. */
  finishEndsNow(id: string): void {
    for (const entry of this.#sessions.unwritten(id)) {
      cancelWork(entry);
      this.finishNow(entry);
    }
  }

  /**
   * Writes a final document before this returns. A fault is reported, and the document retried. `isAlone`: as for `seal`.
   */
  finishNow(entry: SessionEntry, isAlone = false): void {
    try {
      // Written already, and its completion callback is pending; or not written when code of the host, run by the reading
      // of spans, crashed the session again.
      if (entry.writer.life.state === "ended" || finalizeNow(entry, isAlone)) this.#sessions.delete(entry);
    } catch (error) {
      // The side files stay: this process retries while it lives, recovery after it.
      this.#addUnwritten(entry);
      this.ports.events.onFault(error, entry.writer.path);
    }
  }

  /** Calls `onGone` when every session that ended with the user is written: at once, or after retries. */
  release(user: number, onGone: () => void): void {
    this.#sessions.release(user, onGone);
  }

  /** Nothing is retried any more. What a late crash fence cannot write is left to recovery, though this process lives. */
  close(): void {
    this.#isClosed = true;
  }

  async #leave(user: number, ended: string[]): Promise<void> {
    const work: Promise<void>[] = [];
    await this.#visit(user, (entry) => {
      const isLast = entry.leave(user);
      if (isLast) ended.push(entry.id);
      if (this.#sessions.isUnwritten(entry)) return;
      if (isLast) this.#beginEndInOrder(entry);
      else work.push(awaitedLater(flushed(entry)));
    });
    await allWritten([this.#final.writeAll(), ...work]);
  }

  /** Calls `visit` for {@link sessionsOf}: the first ones before this returns, then as many in each turn of the event loop. */
  async #visit(user: number, visit: (entry: SessionEntry) => void): Promise<void> {
    await inTurns([...this.sessionsOf(user)], visitedPerTurn, (entry) => {
      // Else it was written meanwhile: its own end, or a crash.
      if (this.#sessions.has(entry)) visit(entry);
      return true;
    });
  }

  #schedule(entry: SessionEntry): void {
    this.#sessions.use(entry);
    entry.publisher.changed();
  }

  #open(user: number, start: SessionStart): SessionEntry {
    const entry = this.#openings.open(start);
    entry.addUser(user);
    this.#sessions.add(entry);
    return entry;
  }

  /** Begins the end of a session. A suspended session whose document has such an end needs no new document. */
  #beginEndInOrder(entry: SessionEntry): void {
    if (hasGoodEnd(entry)) this.fences.settle(entry);
    else this.#beginEnd(entry.id, implicitEnd);
  }

  #beginEnd(id: string, end: SessionEnd): SessionEntry | undefined {
    const entry = this.#sessions.get(id);
    if (!entry) return undefined;
    // No verdict holds any more: what a peer writer left undecided is decided by this end.
    if (entry.verdict) this.#openings.takeBack(entry);
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
    return this.#sessions.unwritten(id).map((entry) => this.#final.write(entry));
  }
}

/** Publishes an open session. */
const flushed = ({ publisher, writer, suspended }: SessionEntry): Promise<void> =>
  // The document of a suspended session is final, or waits among the final documents.
  suspended
    ? Promise.resolve()
    : publisher.flush().catch((error: unknown) => {
        throw notWritten(writer.path, error);
      });
