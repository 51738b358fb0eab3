/**
 * One writer's side of one session: its append log, its journal, and what it knows of the session.
 *
 * Recording is synchronous, in this file. The operations in `merge.ts`, `publish.ts` and `seal.ts` make documents of
 * what was recorded; at most one of them runs at a time for a session.
 */
import type { SessionStart } from "../format/beginnings.js";
import { encodeHead, encodeLineIntoScratch } from "../format/document.js";
import {
  appendLogPath,
  documentPath,
  journalPath,
  nameCandidates,
  type SessionFiles,
  tempPath,
} from "../format/file-names.js";
import { encodeAttributes, encodeJournalSpan, encodeOwner, encodeSession } from "../format/journal.js";
import type { SessionEnd } from "../format/session-end.js";
import type { SpanIds } from "../format/span-map.js";
import { parentsFirst } from "../format/tail.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { tryUnlink } from "../platform/file-system.js";
import { type Gensync, runSync } from "../platform/gensync.js";
import { Lifecycle } from "../platform/lifecycle.js";
import { releaseToken } from "../platform/liveness.js";
import { type Appended, AppendLog, type StorageEvents } from "./append-log.js";
import { buildFile, type NewFile } from "./build-file.js";
import type { CommitPorts } from "./commit.js";
import { BaseVersion, findPlace, type Published } from "./document-file.js";
import type { Durability } from "./durability.js";
import { Journal, type JournalSource } from "./journal-file.js";
import { SessionLock } from "./lock.js";
import { SessionClock } from "./session-clock.js";
import { SessionState } from "./session-state.js";
import type { SuspendedSession } from "./suspended-session.js";

/** What a writer works with. */
export interface WriterPorts extends CommitPorts {
  readonly durability: Durability;
  /** Spans kept in a document; 0: no cap. */
  readonly maxSpans: number;
  readonly events: StorageEvents;
}

export class SessionWriter implements JournalSource {
  readonly ports: WriterPorts;
  readonly token: string;
  readonly clock: SessionClock;
  readonly session: SessionState;
  readonly log: AppendLog;
  readonly journal: Journal;
  /** Only a new writer, by a resume, continues a session that has ended here. */
  readonly life = new Lifecycle();
  /** The document that the next commit is built against. */
  readonly base = new BaseVersion();
  /** Names of files that are being built, for the crash fence to remove. */
  readonly #temps = new Set<string>();
  #files: SessionFiles;
  #version = 0;
  #publishedVersion = -1;
  #sealedAs: SessionEnd | undefined;
  #epoch = 0;
  #isClean = true;

  /** Opens a session, resumes that of a document, or continues a `suspended` one. Faults are reported, not thrown. */
  constructor(ports: WriterPorts, dir: string, start: SessionStart, suspended?: SuspendedSession) {
    this.ports = ports;
    this.clock = new SessionClock(ports.clock);
    this.token = ports.liveness.newToken();
    this.#files = { dir, name: nameCandidates(start.id)[0] as string };
    const published = this.#findDocument(start.id);
    this.session = new SessionState(start, this.#files.name, this.token, this.isDead);
    if (suspended) this.session.continue(suspended);
    if (published) {
      this.session.resume(published);
      this.base.set(published, false);
    }
    const { fileSystem, events, durability } = ports;
    this.log = new AppendLog(fileSystem, appendLogPath(this.#files, this.token), events);
    const isSynced = durability !== "process";
    this.journal = new Journal(fileSystem, journalPath(this.#files, this.token), events, this, isSynced);
    // The journal first: from here on retention sees an owner.
    this.journal.begin();
    this.log.append(encodeHead(this.session.head));
    if (isSynced) this.#sync();
  }

  /** Whether the owner of a token is dead for sure. */
  readonly isDead = (token: string): boolean => this.ports.liveness.verdict(token) === "dead";

  get files(): SessionFiles {
    return this.#files;
  }

  /** Counts changes; a document is up to date when it was built at the present count. */
  get version(): number {
    return this.#version;
  }

  /** The count of changes that the published document holds; -1 before the first. */
  get publishedVersion(): number {
    return this.#publishedVersion;
  }

  /** Raised when work under way is cancelled: work of an earlier epoch must not commit. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The end that the tail of the append log states. */
  get sealedAs(): SessionEnd | undefined {
    return this.#sealedAs;
  }

  /** Files that are being built. */
  get temps(): Iterable<string> {
    return this.#temps;
  }

  get path(): string {
    return documentPath(this.files);
  }

  /** Whether the published document equals memory. */
  get isPublished(): boolean {
    return this.#publishedVersion === this.#version && this.log.isSettled;
  }

  /** `false` after the end, while side files could not be removed. */
  get isClean(): boolean {
    return this.#isClean;
  }

  /** Whether a publish has something to do: also between the end of a session and its final document. */
  get canPublish(): boolean {
    return this.life.isOpen || this.life.state === "ending";
  }

  /** Whether both files have every record. */
  get isSettled(): boolean {
    return this.log.isSettled && this.journal.isSettled;
  }

  /** A document with this version was committed. */
  markPublished(version: number): void {
    this.#publishedVersion = version;
    if (version === this.#version) this.session.moved.forgetRecent();
  }

  /** Work under way is void: it belongs to an earlier epoch. */
  cancelWork(): void {
    this.#epoch++;
  }

  /** A span has started. When this returns, the start survives the process; not when the queue is full (`dropped`). */
  recordStart(span: TraceSpan, read: () => TraceSpan, source: object): Appended {
    this.#touch();
    const appended = this.journal.appendSpan(this.session.openSpans.start(span, read, source));
    this.syncRecords();
    return appended;
  }

  /** A span without a line has changed. When this returns, its present state survives the process. */
  recordChange(ids: SpanIds): void {
    const texts = this.session.openSpans.change(ids);
    // Reading the span ran code of the host, which may have ended the session.
    if (texts.length === 0 || !this.life.isOpen) return;
    this.#touch();
    for (const text of texts) this.journal.appendSpan(text);
    this.syncRecords();
  }

  /** Attributes were merged into a span without a line. When this returns, the attributes survive the process. */
  recordAttributes(ids: SpanIds, attributes: Readonly<Record<string, unknown>>): void {
    const span = this.session.openSpans.merge(ids, attributes);
    if (!span || !this.life.isOpen) return;
    this.#touch();
    this.journal.append(encodeAttributes(span, attributes));
    this.syncRecords();
  }

  /** Attributes were merged into the session span. When this returns, the attributes survive the process. */
  recordSessionAttributes(attributes: Readonly<Record<string, unknown>>): void {
    this.#touch();
    this.journal.append(encodeAttributes({ spanId: this.session.rootSpanId }, attributes));
    this.syncRecords();
  }

  /** A span has ended, and survives the process; not when the queue is `full`. `known`: the journal had the ended span. */
  recordEnd(given: TraceSpan): "news" | "known" | "full" {
    this.#touch();
    const span = this.session.placed(given);
    const isKnown = this.session.openSpans.isJournaled(span);
    const isKept = this.appendSpan(span);
    if (this.session.follow(span)) this.journal.append(encodeOwner(this.token, this.session.awaited));
    this.syncRecords();
    return isKept ? (isKnown ? "known" : "news") : "full";
  }

  /** Appends the line of a span and counts the span; `false` when the queue has no room for the line. */
  appendSpan(span: TraceSpan): boolean {
    const text = this.session.openSpans.end(span);
    const { traceId } = this.session.head;
    const appended = encodeLineIntoScratch(text, traceId, (line) => this.log.appendLine(line));
    if (appended === "dropped") return false;
    this.session.count(span);
    return true;
  }

  /** Adds metadata of the session; journaled when a value changes. */
  setMetadata(metadata: Partial<SessionMetadata>): void {
    if (this.session.learn(metadata)) this.recordSession();
  }

  /** The session as a whole has changed. When this returns, what is known of the session survives the process. */
  recordSession(): void {
    this.#touch();
    this.journal.append(encodeSession(this.session.record()));
    this.syncRecords();
  }

  /**
   * Gives each open span its line: as `close` returns the span, or as the span is when it has ended. Returns the spans
   * as their processors know them; `undefined` when code of the host, run by the reading of spans, crashed the session.
   */
  closeOpen(close: (span: TraceSpan) => TraceSpan): object[] | undefined {
    const epoch = this.#epoch;
    const spans = this.session.openSpans.read();
    if (this.#epoch !== epoch) return undefined;
    const sources = this.session.openSpans.sources();
    if (spans.length > 0) this.#version++;
    for (const span of parentsFirst(spans)) {
      if (span.endTime !== undefined) this.session.follow(span);
      this.appendSpan(span.endTime === undefined ? close(span) : span);
    }
    return sources;
  }

  /** Journals what changed in open spans since they were read last. `false`: as `undefined` of {@link closeOpen}. */
  refreshOpen(): boolean {
    this.journal.recreateIfRemoved();
    const epoch = this.#epoch;
    const texts = this.session.openSpans.changes();
    if (this.#epoch !== epoch) return false;
    for (const text of texts) this.journal.appendSpan(text);
    return true;
  }

  /**
   * Writes queued records; `true` when the append log has every line. A journal that lacks records keeps no document
   * from being written: the document says everything that the journal would have said.
   */
  settle(): boolean {
    this.#reopenFiles();
    this.journal.flush();
    return this.log.flush();
  }

  /** Like {@link settle}, for work that needs every line. Throws the fault of the file system. */
  mustSettle(): void {
    if (!this.settle()) throw this.log.fault;
  }

  /** Closes the files until the next record. `false` when they are in use, or closed already. */
  closeIdleFiles(): boolean {
    if (!this.canPublish || this.#temps.size > 0 || !this.isSettled) return false;
    if (this.log.descriptor === undefined && this.journal.descriptor === undefined) return false;
    this.log.closeIdle();
    this.journal.closeIdle();
    this.base.closeIdle(this.ports.fileSystem.sync, this.ports.clock, this.path);
    return true;
  }

  /** With `durability: "each"`, syncs every record and the names of the files before it returns. */
  syncRecords(): void {
    if (this.ports.durability === "each") this.#sync();
  }

  /** Whether another process removed a file that was written since the last call: a recovery may take either alone. */
  checkRemoved(): boolean {
    return this.log.checkRemoved() || this.journal.checkRemoved();
  }

  /** Builds a file of this session; the crash fence removes what is still there. */
  *buildFile<T>(build: (file: NewFile) => Gensync<T>): Gensync<T> {
    const path = this.tempPath();
    this.#temps.add(path);
    try {
      return yield* buildFile(this.ports.fileSystem, path, build);
    } finally {
      this.#temps.delete(path);
    }
  }

  /** A new temporary name. */
  tempPath(): string {
    return tempPath(this.#files, this.token);
  }

  /** Writes the tail: the append log is a whole document once the tail is synced. Throws when the file system refuses. */
  finalizeLog(tail: Buffer, end: SessionEnd): void {
    this.log.end(tail);
    this.#sealedAs = end;
  }

  /** The session is in its document: removes the side files. Called again for those that could not be removed. */
  removeSideFiles(): void {
    // In this order: an append log with a tail says that its owner has ended.
    const { sync: calls } = this.ports.fileSystem;
    const isRetry = !this.#isClean;
    const isRemoved = [this.journal.path, this.log.path].map((path) => tryUnlink(calls, path));
    this.#isClean = !isRemoved.includes(false);
    // Recovery may remove them, too: the names are of no use to this writer any more.
    if (!this.#isClean) releaseToken(this.token);
    else if (isRetry) new SessionLock(calls, this.#files).leave();
    this.log.close();
    this.journal.close();
    this.base.set(undefined, true);
  }

  /**
   * The document under this writer's name belongs to another session: continues under the next name. Throws when the
   * file system refuses to rename the side files, or when no name is left; then nothing has changed.
   */
  moveToNextName(): void {
    const { head } = this.session;
    const names = nameCandidates(head.id);
    const name = names[names.indexOf(this.#files.name) + 1];
    if (name === undefined) throw new Error(`no file name is left for session ${JSON.stringify(head.id)}`);
    const files = { ...this.#files, name };
    const oldPath = this.log.path;
    this.log.rename(appendLogPath(files, this.token));
    try {
      this.journal.rename(journalPath(files, this.token));
    } catch (error) {
      // Both files or none: recovery finds them by one name.
      this.log.rename(oldPath);
      throw error;
    }
    this.#files = files;
    this.session.setHead({ ...head, sessionId: name });
    // The head in the append log has the old name: a merge writes it anew.
    this.base.markUnmerged();
  }

  /** The journal as it would be if it were written now. */
  journalContent(): Buffer[] {
    const { awaited, openSpans } = this.session;
    const spans = openSpans.journaled().map(encodeJournalSpan);
    const attributes = Array.from(openSpans.journaledAttributes(), (merged) => encodeAttributes(...merged));
    return [encodeOwner(this.token, awaited), encodeSession(this.session.record()), ...spans, ...attributes];
  }

  #sync(): void {
    const logs = [this.journal, this.log];
    try {
      for (const log of logs) log.syncNow();
      runSync(this.ports.fileSystem, AppendLog.syncNames(this.#files.dir, logs));
    } catch (error) {
      this.ports.events.onFault(error, this.log.path);
    }
  }

  #touch(): void {
    this.#version++;
    this.clock.touch();
    this.#reopenFiles();
  }

  /** A recovery has what a removed file held: begins another one, and merges with what the recovery publishes. */
  #reopenFiles(): void {
    if (this.journal.descriptor && this.log.descriptor) return;
    const isRemoved = [this.journal, this.log].map((log) => !log.reopen());
    if (isRemoved[0]) this.journal.rewrite();
    if (isRemoved[1]) this.log.restart(encodeHead(this.session.head));
    if (isRemoved.includes(true)) this.base.markUnmerged();
  }

  /** The first name whose document is this session's, or does not exist. */
  #findDocument(id: string): Published | undefined {
    const { fileSystem, events } = this.ports;
    try {
      const { files, published } = runSync(fileSystem, findPlace(fileSystem, id, this.#files, this.token));
      this.#files = files;
      return published;
    } catch (error) {
      // Commits look again, and do not replace what cannot be read.
      events.onFault(error, this.path);
      return undefined;
    }
  }
}
