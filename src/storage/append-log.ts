/**
 * A file that only grows, by whole records: the append log of a session's spans (`.open`), and its journal (`.live`).
 *
 * Records that the file system refuses wait in a queue and are written first when the file system accepts bytes again.
 * The rest of a record that was cut short is written before any other byte.
 */
import { dirname } from "node:path";
import { Descriptor } from "../platform/descriptor.js";
import { errorCode, type FileSystem, isStale, zeroBytesWritten } from "../platform/file-system.js";
import type { Gensync } from "../platform/gensync.js";
import { locksOpenFiles } from "../platform/ground.js";
import { type LogRecord, RecordQueue } from "./record-queue.js";
import { SyncDebt } from "./sync-debt.js";

/**
 * Records that are queued while another record is written. They come from code of the host that runs in a call of the
 * file system (instrumentation of `fs`). Without a bound, code that records a span for each write would never end.
 */
const maxNested = 8;

/** The outcome of an append. */
export type Appended = "written" | "queued" | "dropped";

/** Called by append logs and publishes. */
export interface StorageEvents {
  /** A call failed; the records are kept. The caller's state is whole at that time: the handler may record spans. */
  onFault(error: unknown, path: string): void;
}

/** A file that replaces the one that a log appends to. */
export interface Replacement {
  readonly descriptor: Descriptor | undefined;
  /** Bytes of whole records. */
  readonly size: number;
  /** Span lines among the records. */
  readonly lines: number;
  readonly hasElisionMarker: boolean;
}

export class AppendLog {
  readonly #fileSystem: FileSystem;
  readonly #events: StorageEvents;
  #path: string;
  #descriptor: Descriptor | undefined;
  #exists = false;
  #size = 0;
  #lines = 0;
  #hasElisionMarker = false;
  #tail: "none" | "torn" | "whole" = "none";
  readonly #debt = new SyncDebt();
  /** A record was written since the last {@link checkRemoved}. */
  #hasNews = false;
  #fault: unknown;
  readonly #queue = new RecordQueue();
  /** Bytes of the first queued record that the file has. */
  #begun = 0;
  /** A record is being written: a record from within that write waits for its end. */
  #isWriting = false;
  /** Records that came from within a write, since the last one that did not. */
  #nested = 0;

  constructor(fileSystem: FileSystem, path: string, events: StorageEvents) {
    this.#fileSystem = fileSystem;
    this.#path = path;
    this.#events = events;
  }

  get path(): string {
    return this.#path;
  }

  /** Bytes of whole records. What the file has beyond them is the beginning of a record. */
  get size(): number {
    return this.#size;
  }

  /** Span lines in the file. */
  get lines(): number {
    return this.#lines;
  }

  /** Whether one line stands for spans that a cap left out. */
  get hasElisionMarker(): boolean {
    return this.#hasElisionMarker;
  }

  /** Whether the file has its tail, synced, or more or less of one. Nothing is written after either. */
  get tail(): "none" | "torn" | "whole" {
    return this.#tail;
  }

  /** The open file; absent before the first write, and while the session is idle. */
  get descriptor(): Descriptor | undefined {
    return this.#descriptor;
  }

  /** Bytes written since the last sync began. */
  get unsynced(): number {
    return this.#debt.bytes;
  }

  /** Whether a power cut could take something: bytes, or the name of the file. */
  get needsSync(): boolean {
    return this.#debt.isOwed;
  }

  /** Whether a sync has failed: then the file must be written anew. */
  get isDoubtful(): boolean {
    return this.#debt.isDoubtful;
  }

  /** Whether every record is in the file. */
  get isSettled(): boolean {
    return this.#queue.length === 0 && !this.#isWriting;
  }

  /** Whether a record is being written: the caller is code of the host that runs in a call of the file system. */
  get isWriting(): boolean {
    return this.#isWriting;
  }

  /** Why records are queued, while any are. */
  get fault(): unknown {
    return this.#isWriting ? new Error("a record is being written") : this.#fault;
  }

  /** Queued records: span lines among them, and bytes of all of them. */
  get queued(): { readonly lines: number; readonly bytes: number } {
    const { lines, bytes } = this.#queue;
    return { lines, bytes };
  }

  /** Whether the open file was renamed or deleted by another process. */
  isRemoved(): boolean {
    return this.#descriptor !== undefined && !this.#fileSystem.sync.exists(this.#path);
  }

  /**
   * Like {@link isRemoved}, for a file that was written since the last call: an acknowledged record must be in a file that
   * recovery will find or has read. A symlink in its place is seen by {@link isRemoved}. A look takes 1.1 µs.
   */
  checkRemoved(): boolean {
    if (!this.#hasNews) return false;
    this.#hasNews = false;
    return this.#descriptor !== undefined && !this.#fileSystem.sync.existsQuickly(this.#path);
  }

  /** Appends a record. */
  append(bytes: Buffer, isSpan = false): Appended {
    return this.#add({ bytes, isSpan, isLine: false });
  }

  /** Appends a span's line; `line` begins with the comma that separates the line from the one before. */
  appendLine(line: Buffer): Appended {
    return this.#add({ bytes: line, isSpan: true, isLine: true });
  }

  /** Writes the tail, which the caller syncs and confirms. Throws when the file system refuses: then the file must be replaced. */
  end(bytes: Buffer): void {
    const { fd } = this.ensureOpen();
    this.#tail = "torn";
    for (let done = 0; done < bytes.length; ) {
      const written = this.#fileSystem.sync.write(fd, bytes, done, bytes.length - done);
      if (written === 0) throw zeroBytesWritten();
      done += written;
    }
    this.#debt.wrote(bytes.length);
  }

  /** The file with its tail is synced. */
  confirmTail(): void {
    this.#tail = "whole";
  }

  /** Tries to write what is queued; `true` when nothing is left. Never throws. */
  flush(): boolean {
    if (!this.#isWriting) this.#nested = 0;
    const isFlushed = this.#drain();
    if (!isFlushed) this.#events.onFault(this.fault, this.#path);
    return isFlushed;
  }

  /** Syncs the bytes written since the last sync began, on this thread. */
  syncNow(): void {
    this.#debt.payNow(this.#fileSystem, () => this.ensureOpen());
  }

  /** Syncs the bytes written since the last sync began. */
  syncNew(): Gensync<void> {
    return this.#debt.pay(() => this.ensureOpen(), "new");
  }

  /** Waits until every byte written so far is on the disk, those of a sync that is under way included. */
  syncAll(): Gensync<void> {
    return this.#debt.pay(() => this.ensureOpen(), "all");
  }

  /** Makes the names of those of these logs durable that are new. Throws when the file system refuses: then no name is. */
  static syncNames(dir: string, logs: readonly AppendLog[]): Gensync<void> {
    return SyncDebt.payNames(
      dir,
      logs.map((log) => log.#debt),
    );
  }

  /** Closes the file until the next write. `false` while a record is half written, or when the file is closed. */
  closeIdle(): boolean {
    if (this.#isWriting || this.#begun > 0 || this.#descriptor === undefined) return false;
    this.#descriptor.releaseNow();
    this.#descriptor = undefined;
    return true;
  }

  /**
   * Closes the file, which is about to be replaced, where an open file cannot be. A record from within a write goes on. Returns
   * whether the file was open.
   */
  closeToReplace(): boolean {
    if (!locksOpenFiles(this.#fileSystem) || this.#isWriting || !this.#descriptor) return false;
    this.#descriptor.releaseNow();
    this.#descriptor = undefined;
    return true;
  }

  /** Opens the file again after {@link closeIdle}. Throws ENOENT when another process removed the file. */
  ensureOpen(): Descriptor {
    if (this.#descriptor) return this.#descriptor;
    this.#descriptor = new Descriptor(this.#fileSystem, this.#openOrCreate());
    this.#exists = true;
    return this.#descriptor;
  }

  /** Opens a closed file for the next record; `false` when another process removed the file. Other refusals meet that record. */
  reopen(): boolean {
    if (this.#descriptor || this.#isWriting) return true;
    try {
      this.ensureOpen();
      return true;
    } catch (error) {
      return errorCode(error) !== "ENOENT";
    }
  }

  /** Creates the directory of the file if it is missing. */
  ensureDirectory(): void {
    const made = this.#fileSystem.sync.mkdirs(dirname(this.#path));
    if (made !== undefined) this.#debt.named(made);
  }

  /** Continues in a file that was renamed to this path. */
  replace(file: Replacement): void {
    this.#begin(file);
    this.#debt.named();
  }

  /**
   * Begins a new file with a record, which queued ones follow: the old file was taken by a recovery, which has its records.
   * Never throws. Nothing changes when the file system refuses, or has the old file again (a mount that is back).
   */
  restart(first: Buffer): void {
    try {
      const descriptor = new Descriptor(this.#fileSystem, this.#create());
      this.#begin({ descriptor, size: 0, lines: 0, hasElisionMarker: false });
      this.#queue.putFirst({ bytes: first, isSpan: false, isLine: false });
    } catch {
      // The next append, or the next flush, meets the reason.
    }
    this.flush();
  }

  /** Renames the file. Throws what rename(2) says; then nothing has changed. */
  rename(path: string): void {
    this.#fileSystem.sync.rename(this.#path, path);
    this.#path = path;
    this.#debt.named();
  }

  /** Closes the file for good and forgets queued records. */
  close(): void {
    this.#descriptor?.release();
    this.#descriptor = undefined;
    this.discardQueue();
  }

  /** Forgets queued records: the file that replaces this one has them. */
  protected discardQueue(): void {
    this.#queue.clear();
  }

  #begin({ descriptor, size, lines, hasElisionMarker }: Replacement): void {
    this.#descriptor?.release();
    this.#descriptor = descriptor;
    this.#exists = descriptor !== undefined;
    this.#size = size;
    this.#lines = lines;
    this.#hasElisionMarker = hasElisionMarker;
    this.#debt.forgetBytes();
    this.#tail = "none";
    this.#begun = 0;
  }

  #add(record: LogRecord): Appended {
    if (this.#isWriting) return this.#nested++ < maxNested ? this.#keep(record, "last") : "dropped";
    this.#nested = 0;
    const isNext = this.isSettled || this.#drain();
    const isWritten = isNext && this.#tryWrite(record);
    if (isWritten && this.isSettled) return "written";
    const outcome = isWritten ? "written" : this.#keep(record, isNext ? "first" : "last");
    // Only when the state is whole: a logger that records a span appends to this file.
    if (!isWritten || !this.#drain()) this.#events.onFault(this.fault, this.#path);
    return outcome;
  }

  /** Writes the queue; `false` when the file system refuses, for the reason in `fault`. */
  #drain(): boolean {
    if (this.#isWriting) return false;
    for (let first = this.#queue.first; first; first = this.#queue.first) {
      if (!this.#tryWrite(first)) return false;
      this.#queue.shift();
    }
    this.#fault = undefined;
    return true;
  }

  /** Queues a record in front of all others or behind them. The file may have the beginning of the `first` one already. */
  #keep(record: LogRecord, place: "first" | "last"): Appended {
    // Without the rest of a record that has begun, no later one could be read.
    const isKept =
      place === "first" ? this.#queue.putFirst(record, this.#begun > 0) : this.#queue.add(record);
    return isKept ? "queued" : "dropped";
  }

  /** `false` when the file system refuses, or when the file has a tail: then the record waits for a replacement. */
  #tryWrite(record: LogRecord): boolean {
    if (this.#tail !== "none") {
      this.#fault = new Error("the file has its tail: it must be replaced before a record is written");
      return false;
    }
    this.#isWriting = true;
    try {
      this.#write(record);
      return true;
    } catch (error) {
      this.#fault = error;
      if (isStale(error)) this.#reopenLater();
      return false;
    } finally {
      this.#isWriting = false;
    }
  }

  /** The next write opens the file by its name. */
  #reopenLater(): void {
    this.#descriptor?.release();
    this.#descriptor = undefined;
  }

  #write({ bytes, isLine }: LogRecord): void {
    const { fd } = this.ensureOpen();
    const from = isLine && this.#lines === 0 ? 1 : 0;
    // A short write is no error: the next call fails with the reason (write(2): full disk, file size limit).
    while (from + this.#begun < bytes.length) {
      const offset = from + this.#begun;
      const written = this.#fileSystem.sync.write(fd, bytes, offset, bytes.length - offset);
      this.#begun += written;
      this.#debt.wrote(written);
      if (written === 0) throw zeroBytesWritten();
    }
    this.#size += bytes.length - from;
    this.#hasNews = true;
    if (isLine) this.#lines++;
    this.#begun = 0;
  }

  #openOrCreate(): number {
    return this.#exists ? this.#fileSystem.sync.open(this.#path, "append") : this.#create();
  }

  #create(): number {
    const { sync } = this.#fileSystem;
    this.#debt.named();
    try {
      return sync.open(this.#path, "create");
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
      this.#debt.named(sync.mkdirs(this.#path.slice(0, this.#path.lastIndexOf("/"))));
      return sync.open(this.#path, "create");
    }
  }
}
