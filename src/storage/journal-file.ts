/**
 * The live log as a file: appended to, and written anew when most of it is history.
 */

import { encodeJournalSpanIntoScratch } from "../format/journal.js";
import { type FileSystem, tryUnlink } from "../platform/file-system.js";
import { AppendFile, type AppendFileEvents } from "./append-log.js";
import { isSwept } from "./commit.js";

/** Rewritten beyond this size, and this multiple of what is open. */
const maxBytes = 1_000_000;
const slack = 4;

export class LiveJournal {
  readonly file: AppendFile;
  readonly #fileSystem: FileSystem;
  readonly #events: AppendFileEvents;
  readonly #isSynced: boolean;
  /** The log as it would be if it were written now. */
  readonly #content: () => Buffer[];
  readonly #newTemp: () => string;
  #lastContent = 0;

  constructor(
    fileSystem: FileSystem,
    events: AppendFileEvents,
    options: { path: string; isSynced: boolean; content: () => Buffer[]; newTemp: () => string },
  ) {
    this.file = new AppendFile(fileSystem, options.path, events);
    this.#fileSystem = fileSystem;
    this.#events = events;
    this.#isSynced = options.isSynced;
    this.#content = options.content;
    this.#newTemp = options.newTemp;
  }

  /** Begins the log. */
  begin(): void {
    this.file.append(Buffer.concat(this.#content()));
  }

  /** A start or a change. */
  append(bytes: Buffer): void {
    this.file.append(bytes);
    if (this.file.good > maxBytes && this.file.good > slack * this.#lastContent) this.rewrite();
  }

  appendSpan(spanText: string): void {
    encodeJournalSpanIntoScratch(spanText, (bytes) => this.append(bytes));
  }

  /** Where somebody took or deleted it. */
  rewriteIfGone(): void {
    if (this.file.isGone()) this.rewrite();
  }

  /**
   * Writes what is open now into a new file and goes on in that. A fault is reported: `false`, and the old one stays.
   * Somebody who holds this owner for dead removes the copy now and then, so a copy that is gone is made again.
   */
  rewrite(): boolean {
    // Code of the host runs in a write (instrumentation of `fs`): a file is not replaced while it is written.
    if (this.file.isWriting) return false;
    for (let copies = 1; ; copies++) {
      try {
        return this.#swapCopy();
      } catch (error) {
        if (isSwept(error, copies)) continue;
        this.#events.onFault(error, this.file.path);
        return false;
      }
    }
  }

  #swapCopy(): boolean {
    const { sync: calls } = this.#fileSystem;
    const path = this.#newTemp();
    const fresh = new AppendFile(this.#fileSystem, path, this.#events);
    try {
      if (fresh.append(Buffer.concat(this.#content())) !== "written" || !fresh.descriptor) return false;
      if (this.#isSynced) calls.fdatasync(fresh.descriptor.fd);
      calls.rename(path, this.file.path);
      this.file.close();
      this.file.swap(fresh.descriptor.hold(), fresh.good, 0, 0);
      this.#lastContent = fresh.good;
      return true;
    } finally {
      fresh.close();
      tryUnlink(calls, path);
    }
  }
}
