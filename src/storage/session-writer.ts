/**
 * One writer's side of one session: its open document, its live log, and what it knows.
 *
 * Recording is synchronous, in this file; what makes documents of it are plans beside it (`merge.ts`,
 * `publish.ts`, `seal.ts`), of which at most one runs at a time.
 */

import { encodeHead, encodeLineIntoScratch } from "../format/document.js";
import {
  documentPath,
  livePath,
  nameCandidates,
  openPath,
  type SessionFiles,
  tempPath,
} from "../format/file-names.js";
import { encodeJournalSpan, encodeOwner, encodeSession } from "../format/journal.js";
import type { SessionEnd } from "../format/session-end.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { errorCode, tryUnlink } from "../platform/file-system.js";
import { runSync } from "../platform/gensync.js";
import { retire } from "../platform/liveness.js";
import { AppendFile } from "./append-log.js";
import { DocumentBase } from "./document-base.js";
import { findDocument, type Published } from "./document-file.js";
import { LiveJournal } from "./journal-file.js";
import { Pace } from "./pace.js";
import { type SessionStart, SessionState } from "./session-state.js";
import { syncFilesNow } from "./side-file-sync.js";
import type { WriterPorts } from "./writer-ports.js";

/**
 * `open` records; `sealing` is to end, as soon as its turn comes and the disk takes it; `sealed` and `crashed` have
 * ended. Only a new writer, by a resume, goes on from there.
 */
export type WriterState = "open" | "sealing" | "sealed" | "crashed";

export class SessionWriter {
  readonly ports: WriterPorts;
  readonly token: string;
  readonly session: SessionState;
  readonly open: AppendFile;
  readonly live: AppendFile;
  readonly #journal: LiveJournal;
  readonly pace: Pace;
  files: SessionFiles;
  state: WriterState = "open";
  readonly base = new DocumentBase();
  /** Counts changes; a document is up to date when it was built at the present count. */
  version = 0;
  publishedVersion = -1;
  /** The end that the open document's tail tells. */
  sealedAs: SessionEnd | undefined;
  /** Raised by the fence: work begun before it must not commit. */
  epoch = 0;
  /** Files being built, for the fence to remove. */
  readonly temps = new Set<string>();
  lastActive: number;

  /** Opens a session, or resumes it where a document stands. Faults are reported, not thrown. */
  constructor(ports: WriterPorts, dir: string, start: SessionStart) {
    this.ports = ports;
    this.token = ports.liveness.newToken();
    this.files = { dir, name: nameCandidates(start.id)[0] as string };
    const published = this.#findDocument(start.id);
    this.session = new SessionState(start, this.files.name);
    if (published) {
      this.session.resume(published);
      this.base.set(published, false);
    }
    this.open = new AppendFile(ports.fileSystem, openPath(this.files, this.token), ports.events);
    this.#journal = new LiveJournal(ports.fileSystem, ports.events, {
      path: livePath(this.files, this.token),
      isSynced: ports.durability !== "process",
      content: () => this.#liveContent(),
      newTemp: () => tempPath(this.files, this.token),
    });
    this.live = this.#journal.file;
    this.pace = new Pace(ports.pace, ports.clock.monotonic());
    this.lastActive = ports.clock.monotonic();
    // The live log first: from here on retention sees an owner.
    this.#journal.begin();
    this.open.append(encodeHead(this.session.head));
    if (ports.durability !== "process") this.#sync();
  }

  get path(): string {
    return documentPath(this.files);
  }

  /** Whether the published document equals memory. */
  get isPublished(): boolean {
    return this.publishedVersion === this.version && this.open.isSettled;
  }

  /** Resumed, and nothing is to be published before something is recorded. */
  takeAsPublished(): void {
    this.publishedVersion = this.version;
  }

  /** A span has started; its start survives the process from here on. */
  recordStart(span: TraceSpan, read: () => TraceSpan, source: object): void {
    this.#touch();
    this.#journal.appendSpan(this.session.openSpans.start(span, read, source));
    this.syncRecords();
  }

  /** A span without a line has changed; its present state survives the process from here on. */
  recordChange(spanId: string): void {
    const text = this.session.openSpans.change(spanId);
    // Reading the span ran code of the host, which may have ended the session.
    if (text === undefined || this.state !== "open") return;
    this.#touch();
    this.#journal.appendSpan(text);
    this.syncRecords();
  }

  /** A span has ended; it survives the process from here on, but for `full`. `known`: the live log had it, as it is. */
  recordEnd(span: TraceSpan): "news" | "known" | "full" {
    this.#touch();
    const isKnown = this.session.openSpans.isJournaled(span);
    const isKept = this.appendSpan(span);
    this.syncRecords();
    if (!isKept) return "full";
    return isKnown ? "known" : "news";
  }

  /** A line of the document, counted; `false` where there is no room for it. */
  appendSpan(span: TraceSpan): boolean {
    const text = this.session.openSpans.end(span);
    const appended = encodeLineIntoScratch(text, this.session.head.traceId, (line) =>
      this.open.appendLine(line),
    );
    if (appended === "dropped") return false;
    this.session.count(span);
    return true;
  }

  /** Adds to what is known of the session; journaled when it changes something. */
  setMetadata(metadata: Partial<SessionMetadata>): void {
    if (this.session.learn(metadata)) this.recordSession();
  }

  /** The session as a whole has changed; what is known of it survives the process from here on. */
  recordSession(): void {
    this.#touch();
    this.#journal.append(encodeSession(this.session.record()));
    this.syncRecords();
  }

  /**
   * Gives all spans without a line theirs: as `close` says, or as they are where they have ended. Returns the spans as
   * their processor knows them; `undefined` when the fence came meanwhile, from code of the host that reads a span.
   */
  closeOpen(close: (span: TraceSpan) => TraceSpan): object[] | undefined {
    const { epoch } = this;
    const spans = this.session.openSpans.read();
    if (this.epoch !== epoch) return undefined;
    const sources = this.session.openSpans.sources();
    for (const span of spans) this.appendSpan(span.endTime === undefined ? close(span) : span);
    return sources;
  }

  /** Journals what changed in open spans since they were last looked at. `false`: as in {@link closeOpen}. */
  refreshOpen(): boolean {
    this.rewriteLiveIfGone();
    const { epoch } = this;
    const texts = this.session.openSpans.changes();
    if (this.epoch !== epoch) return false;
    for (const text of texts) this.#journal.appendSpan(text);
    return true;
  }

  /**
   * Tries again what the file system did not take; `true` when the open document has every line. A live log that
   * lacks some of its own keeps no document from being written: that says all the log would have said.
   */
  settle(): boolean {
    this.#unpark();
    this.live.flush();
    return this.open.flush();
  }

  /** The same for work that needs every line. Throws what the file system says. */
  mustSettle(): void {
    if (!this.settle()) throw this.open.fault;
  }

  /** Gives up descriptors until the next record. */
  park(): boolean {
    if (this.state !== "open" || this.temps.size > 0 || !this.open.isSettled || !this.live.isSettled)
      return false;
    if (this.open.descriptor === undefined && this.live.descriptor === undefined) return false;
    this.open.park();
    this.live.park();
    this.base.park(this.ports.fileSystem.sync, this.ports.clock, this.path);
    return true;
  }

  /** `each`: every record is on the disk when its call returns, and so is the name of its file. */
  syncRecords(): void {
    if (this.ports.durability === "each") this.#sync();
  }

  /** A name for a file to build; the fence removes what is still there. */
  newTemp(): string {
    const path = tempPath(this.files, this.token);
    this.temps.add(path);
    return path;
  }

  /** Removes a built file that was not used. */
  dropTemp(path: string): void {
    if (this.temps.delete(path)) tryUnlink(this.ports.fileSystem.sync, path);
  }

  /** The session is in its document: the side files go. */
  close(): void {
    // In this order: an open document with a tail says that its owner has ended.
    const isRemoved = [this.live.path, this.open.path].map((path) =>
      tryUnlink(this.ports.fileSystem.sync, path),
    );
    if (isRemoved.includes(false)) retire(this.token);
    this.open.close();
    this.live.close();
    this.base.set(undefined, true);
  }

  /** Where somebody took or deleted the live log, it is written anew. */
  rewriteLiveIfGone(): void {
    this.#journal.rewriteIfGone();
  }

  /** Starts the live log anew with what is open now; `false` when the file system refuses. */
  rewriteLive(): boolean {
    return this.#journal.rewrite();
  }

  #liveContent(): Buffer[] {
    const spans = this.session.openSpans.journaled().map(encodeJournalSpan);
    return [encodeOwner(this.token), encodeSession(this.session.record()), ...spans];
  }

  #sync(): void {
    syncFilesNow(this.ports, this.files.dir, [this.live, this.open]);
  }

  #touch(): void {
    this.version++;
    this.lastActive = this.ports.clock.monotonic();
    this.#unpark();
  }

  #unpark(): void {
    for (const file of [this.live, this.open]) {
      if (file.descriptor !== undefined) continue;
      try {
        file.ensureOpen();
      } catch (error) {
        if (errorCode(error) !== "ENOENT") continue;
        // Recovery has what the file held: begin again, and merge with what it publishes.
        file.restart();
        if (file === this.open) file.append(encodeHead(this.session.head));
        else this.rewriteLive();
        this.base.isMerged = false;
      }
    }
  }

  /** The first name whose document is ours, or does not exist. */
  #findDocument(id: string): Published | undefined {
    const { fileSystem, events } = this.ports;
    try {
      const { files, published } = runSync(fileSystem, findDocument(fileSystem, id, this.files));
      this.files = files;
      return published;
    } catch (error) {
      // Commits will look again, and not replace what cannot be read.
      events.onFault(error, this.path);
      return undefined;
    }
  }
}
