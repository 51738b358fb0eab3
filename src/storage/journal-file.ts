/**
 * The journal (`.live`) as a file: appended to, and rewritten with what is open now when most of it is history.
 */

import type { SpanJson } from "../format/document.js";
import { encodeJournalSpanIntoScratch } from "../format/journal.js";
import { type FileSystem, tryUnlink } from "../platform/file-system.js";
import { isHeld } from "../platform/ground.js";
import { type Appended, AppendLog, type StorageEvents } from "./append-log.js";
import { isSwept } from "./commit.js";

/** The journal is rewritten beyond this size, and beyond this multiple of its last content. */
const maxBytes = 1_000_000;
const slack = 4;

/** What a journal asks of its writer. */
export interface JournalSource {
  /** The journal as it would be if it were written now. */
  journalContent(): Buffer[];
  /** A name for a rewritten journal. */
  tempPath(): string;
}

export class Journal extends AppendLog {
  readonly #fileSystem: FileSystem;
  readonly #events: StorageEvents;
  readonly #source: JournalSource;
  readonly #isSynced: boolean;
  /** Size at which the journal is rewritten next. */
  #rewriteBytes = maxBytes;

  /** @param isSynced whether a rewritten journal is synced before it takes the name: every `durability` but `process` */
  constructor(
    fileSystem: FileSystem,
    path: string,
    events: StorageEvents,
    source: JournalSource,
    isSynced: boolean,
  ) {
    super(fileSystem, path, events);
    this.#fileSystem = fileSystem;
    this.#events = events;
    this.#source = source;
    this.#isSynced = isSynced;
  }

  /** Begins the journal. */
  begin(): void {
    this.append(Buffer.concat(this.#source.journalContent()));
  }

  override append(bytes: Buffer, isSpan = false): Appended {
    // The record is content until a later one replaces it: the journal is not yet `slack` times its content.
    this.#rewriteBytes = Math.max(this.#rewriteBytes, slack * bytes.length);
    const appended = super.append(bytes, isSpan);
    if (this.size > this.#rewriteBytes) this.rewrite();
    return appended;
  }

  /** Appends the start of a span, or a change of an open span. */
  appendSpan(json: SpanJson): Appended {
    return encodeJournalSpanIntoScratch(json, (bytes) => this.append(bytes, true));
  }

  /** Rewrites a journal that another process renamed or deleted, or whose sync failed. */
  recreateIfRemoved(): void {
    if (this.isDoubtful || this.isRemoved()) this.rewrite();
  }

  /**
   * Writes what is open now into a new file and continues in that file. `false` when the file system refuses: the fault
   * is reported, and the old file stays. A process that takes this owner for dead removes the new file now and then, so
   * a removed one is built again.
   */
  rewrite(): boolean {
    // Code of the host runs in a write (instrumentation of `fs`): a file is not replaced while it is written.
    if (this.isWriting) return false;
    for (let copies = 1; ; copies++) {
      try {
        return this.#replace();
      } catch (error) {
        if (isSwept(error, copies)) continue;
        this.#postpone();
        this.#events.onFault(error, this.path);
        return false;
      }
    }
  }

  #replace(): boolean {
    const { sync: calls } = this.#fileSystem;
    const path = this.#source.tempPath();
    const fresh = new AppendLog(this.#fileSystem, path, this.#events);
    try {
      if (fresh.append(Buffer.concat(this.#source.journalContent())) !== "written" || !fresh.descriptor) {
        this.#postpone();
        return false;
      }
      if (this.#isSynced) calls.fdatasync(fresh.descriptor.fd);
      this.closeToReplace();
      this.#rename(path);
      this.discardQueue();
      const { size } = fresh;
      this.replace({ descriptor: fresh.descriptor.hold(), size, lines: 0, hasElisionMarker: false });
      this.#rewriteBytes = Math.max(maxBytes, slack * size);
      return true;
    } finally {
      fresh.close();
      tryUnlink(calls, path);
    }
  }

  /** The first refusal shows that the journal cannot be replaced while it is open. */
  #rename(path: string): void {
    const { sync: calls } = this.#fileSystem;
    try {
      calls.rename(path, this.path);
    } catch (error) {
      if (!isHeld(error) || !this.closeToReplace()) throw error;
      calls.rename(path, this.path);
    }
  }

  /** After a refused rewrite the next one waits for another 1 MB: each rewrite encodes every open span. */
  #postpone(): void {
    this.#rewriteBytes = this.size + maxBytes;
  }
}
