/**
 * The unnamed log of a process as a file: created with its first record, and removed when it holds nothing any more. A
 * file that is created again has a token of its own.
 */

import { tempPath, unnamedPath } from "../format/file-names.js";
import { tryUnlink } from "../platform/file-system.js";
import { runAsync, runSync } from "../platform/gensync.js";
import { releaseToken } from "../platform/liveness.js";
import { type Appended, AppendLog } from "./append-log.js";
import { Journal, type JournalSource } from "./journal-file.js";
import type { WriterPorts } from "./session-writer.js";

export class UnnamedFile {
  readonly #ports: WriterPorts;
  readonly #dir: string;
  readonly #content: (token: string) => Buffer[];
  #journal: Journal | undefined;
  #token = "";
  #isReleased = false;

  /** `content` returns the log as it would be if it were written now. */
  constructor(ports: WriterPorts, dir: string, content: (token: string) => Buffer[]) {
    this.#ports = ports;
    this.#dir = dir;
    this.#content = content;
  }

  /** Bytes of records that wait in memory while the file system refuses them. */
  get queuedBytes(): number {
    return this.#journal?.queued.bytes ?? 0;
  }

  /** Appends the state of a span. When this returns, the state survives the process; not when it is `dropped`. */
  appendSpan(spanText: string): Appended {
    return this.#appended((journal) => journal.appendSpan(spanText));
  }

  append(bytes: Buffer): Appended {
    return this.#appended((journal) => journal.append(bytes));
  }

  /** Writes queued records, and the file anew if another process removed it. Faults are reported. */
  settle(): void {
    const journal = this.#journal;
    if (!journal) return;
    this.#reopen(journal);
    journal.recreateIfRemoved();
    if (!journal.isSettled) journal.flush();
  }

  /** Makes every record durable. Throws when the file system refuses. */
  async sync(): Promise<void> {
    const journal = this.#journal;
    if (!journal) return;
    await runAsync(this.#ports.fileSystem, journal.syncAll());
    await runAsync(this.#ports.fileSystem, AppendLog.syncNames(this.#dir, [journal]));
  }

  /** Whether a power cut could take something. */
  get needsSync(): boolean {
    return this.#journal?.needsSync === true;
  }

  /** Renews the lease of the process. */
  touch(): void {
    const { async: calls } = this.#ports.fileSystem;
    if (this.#journal) void calls.touch(this.#journal.path).catch(() => {});
  }

  /** The log holds nothing any more. */
  remove(): void {
    const journal = this.#journal;
    if (!journal || journal.isWriting) return;
    this.#journal = undefined;
    if (!tryUnlink(this.#ports.fileSystem.sync, journal.path)) releaseToken(this.#token);
    journal.close();
  }

  /** The last user of the directory is gone: what is left in the file is left to recovery. */
  release(): void {
    this.#isReleased = true;
    if (this.#journal) releaseToken(this.#token);
  }

  #appended(append: (journal: Journal) => Appended): Appended {
    const journal = this.#ensureJournal();
    this.#reopen(journal);
    const appended = append(journal);
    // A recovery that took this process for dead has what the file held, and reads the record if the rename came first.
    if (journal.checkRemoved()) journal.rewrite();
    if (this.#ports.durability === "each") this.#syncNow(journal);
    return appended;
  }

  /** What was in a file that is gone was read by the recovery that took it. */
  #reopen(journal: Journal): void {
    if (!journal.reopen()) journal.rewrite();
  }

  #ensureJournal(): Journal {
    if (this.#journal) return this.#journal;
    const { fileSystem, liveness, events, durability } = this.#ports;
    const token = liveness.newToken();
    const path = unnamedPath(this.#dir, token);
    const source: JournalSource = {
      journalContent: () => this.#content(token),
      // A name that recoveries sweep, those of version 0.1.0 too.
      tempPath: () => tempPath({ dir: this.#dir, name: "unnamed" }, token),
    };
    this.#token = token;
    if (this.#isReleased) releaseToken(token);
    this.#journal = new Journal(fileSystem, path, events, source, durability !== "process");
    this.#journal.begin();
    return this.#journal;
  }

  #syncNow(journal: Journal): void {
    try {
      journal.syncNow();
      runSync(this.#ports.fileSystem, AppendLog.syncNames(this.#dir, [journal]));
    } catch (error) {
      this.#ports.events.onFault(error, journal.path);
    }
  }
}
