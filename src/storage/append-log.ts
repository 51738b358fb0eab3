/**
 * A file that only grows, by whole records: the open document and the live log.
 *
 * What the file system does not take is kept in a queue of whole records and written first when it takes
 * bytes again; the rest of a record that was cut short comes before any other byte.
 */
import { Descriptor } from "../platform/descriptor.js";
import { errorCode, type FileSystem, noBytesTaken } from "../platform/file-system.js";

/** Most that is kept in memory while the file system takes nothing. */
const maxQueuedBytes = 32_000_000;

/**
 * Records that are kept while another is written. They come from code of the host that runs in a call of the file system
 * (instrumentation of `fs`); code that records a span for each write would never come to an end.
 */
const maxNested = 8;

/** What became of a record. */
export type Appended = "written" | "queued" | "dropped";

/** What the file needs of those around it. */
export interface AppendFileEvents {
  /** A call failed; the records are kept. Called when the file is whole again: it may append to the file. */
  onFault(error: unknown, path: string): void;
}

interface Queued {
  readonly bytes: Buffer;
  /** Lines begin with a comma that the first of a file leaves out. */
  readonly isLine: boolean;
}

export class AppendFile {
  path: string;
  /** Offset after the last whole record. Bytes beyond it are the beginning of one. */
  good = 0;
  /** Span lines in the file. */
  lines = 0;
  /** Whether one of them is the marker of spans that a cap left out. */
  hasMarker = false;
  /** Bytes written since the last sync began. */
  unsynced = 0;
  /** Syncs under way. */
  syncs = 0;
  /** Whether its name is younger than the last sync of its directory: a power cut would take it back. */
  hasNewName = false;
  /** The topmost directory that was made for it, until that is durable too. */
  newDirectory: string | undefined;
  /** Whether the file has got its tail, or the beginning of one: nothing may follow either. */
  tail: "none" | "torn" | "whole" = "none";
  /** The descriptor; absent before the first write and while parked. */
  descriptor: Descriptor | undefined;
  readonly #fileSystem: FileSystem;
  readonly #events: AppendFileEvents;
  #exists = false;
  #hasNews = false;
  #fault: unknown;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  /** Bytes of the first queued record that the file has. */
  #begun = 0;
  /** Whether a record is being written: one that comes from within waits for its end. */
  #isWriting = false;
  /** Records that came from within, since the last one that did not. */
  #nested = 0;

  constructor(fileSystem: FileSystem, path: string, events: AppendFileEvents) {
    this.#fileSystem = fileSystem;
    this.path = path;
    this.#events = events;
  }

  /** Whether every record is in the file. */
  get isSettled(): boolean {
    return this.#queue.length === 0 && !this.#isWriting;
  }

  /** Whether a record is being written: the caller is code of the host that runs in a call of the file system. */
  get isWriting(): boolean {
    return this.#isWriting;
  }

  /** Why records wait, while any do. */
  get fault(): unknown {
    return this.#isWriting ? new Error("a record is being written") : this.#fault;
  }

  /** What the file system did not take yet. */
  get waiting(): { readonly lines: number; readonly bytes: number } {
    return { lines: this.#queue.filter(({ isLine }) => isLine).length, bytes: this.#queuedBytes };
  }

  /** Whether somebody took the file that is open here, or deleted it. */
  isGone(): boolean {
    return this.descriptor !== undefined && !this.#fileSystem.sync.exists(this.path);
  }

  /**
   * The same, if something was written since this was asked last: what is acknowledged has to be in a file that a
   * recovery finds, or has read. One that takes the file earlier than that reads it later. A look takes 1.3 µs.
   */
  isGoneWithNews(): boolean {
    const hasNews = this.#hasNews;
    this.#hasNews = false;
    return hasNews && this.isGone();
  }

  /** A record as it is. */
  append(bytes: Buffer): Appended {
    return this.#add({ bytes, isLine: false });
  }

  /** A span's line; `line` begins with the comma that separates it from the line before. */
  appendLine(line: Buffer): Appended {
    return this.#add({ bytes: line, isLine: true });
  }

  /** The last bytes of the file. Throws when the file system does not take them all; then it must be written anew. */
  end(bytes: Buffer): void {
    const { fd } = this.ensureOpen();
    this.tail = "torn";
    for (let done = 0; done < bytes.length; ) {
      const written = this.#fileSystem.sync.write(fd, bytes, done, bytes.length - done);
      if (written === 0) throw noBytesTaken();
      done += written;
    }
    this.#fileSystem.sync.fdatasync(fd);
    this.tail = "whole";
  }

  /** Tries to write what is queued; `true` when nothing is left. Never throws. */
  flush(): boolean {
    if (!this.#isWriting) this.#nested = 0;
    const isFlushed = this.#drain();
    if (!isFlushed) this.#events.onFault(this.fault, this.path);
    return isFlushed;
  }

  /** Syncs what it has got since the last time, on this thread. */
  syncNow(): void {
    if (this.unsynced === 0) return;
    this.#fileSystem.sync.fdatasync(this.ensureOpen().fd);
    this.unsynced = 0;
  }

  /** Closes the descriptor until the next write. Not while a record is half written. */
  park(): boolean {
    if (this.#isWriting || this.#begun > 0 || this.descriptor === undefined) return false;
    this.descriptor.releaseNow();
    this.descriptor = undefined;
    return true;
  }

  /** Opens the file again after `park`. Throws ENOENT when somebody took it. */
  ensureOpen(): Descriptor {
    if (this.descriptor) return this.descriptor;
    this.descriptor = new Descriptor(this.#fileSystem, this.#openOrCreate());
    this.#exists = true;
    return this.descriptor;
  }

  /** Goes on in another file that was renamed to this path. */
  swap(descriptor: Descriptor, good: number, lines: number, unsynced: number): void {
    this.descriptor?.release();
    this.descriptor = descriptor;
    this.#exists = true;
    this.good = good;
    this.lines = lines;
    this.unsynced = unsynced;
    this.hasNewName = true;
    this.tail = "none";
    this.#begun = 0;
  }

  /** Starts again with an empty file, when the old one was taken and nothing of it is to be had. */
  restart(): void {
    this.descriptor?.release();
    this.descriptor = undefined;
    this.#exists = false;
    this.good = 0;
    this.lines = 0;
    this.hasMarker = false;
    this.unsynced = 0;
    this.#begun = 0;
  }

  /** Lets go of the file for good. */
  close(): void {
    this.descriptor?.release();
    this.descriptor = undefined;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #add(record: Queued): Appended {
    if (this.#isWriting) return this.#nested++ < maxNested ? this.#keep(record, "last") : "dropped";
    this.#nested = 0;
    const isNext = this.isSettled || this.#drain();
    const isWritten = isNext && this.#tryWrite(record);
    if (isWritten && this.isSettled) return "written";
    const outcome = isWritten ? "written" : this.#keep(record, isNext ? "first" : "last");
    // Only now: a logger that records a span appends to this file.
    if (!isWritten || !this.#drain()) this.#events.onFault(this.fault, this.path);
    return outcome;
  }

  /** Writes the queue; `false` when the file system refuses, for the reason in `fault`. */
  #drain(): boolean {
    if (this.#isWriting) return false;
    for (let first = this.#queue[0]; first; first = this.#queue[0]) {
      if (!this.#tryWrite(first)) return false;
      this.#queue.shift();
      this.#queuedBytes -= first.bytes.length;
    }
    this.#fault = undefined;
    return true;
  }

  /**
   * A record waits: as the `first`, of which the file may have the beginning, or as the `last`, if there is room. It is
   * copied: the caller uses its buffer again.
   */
  #keep(record: Queued, place: "first" | "last"): Appended {
    const kept = { ...record, bytes: Buffer.from(record.bytes) };
    if (place === "first") this.#queue.unshift(kept);
    else if (this.#queuedBytes + record.bytes.length > maxQueuedBytes) return "dropped";
    else this.#queue.push(kept);
    this.#queuedBytes += record.bytes.length;
    return "queued";
  }

  #tryWrite(record: Queued): boolean {
    this.#isWriting = true;
    try {
      this.#write(record);
      return true;
    } catch (error) {
      this.#fault = error;
      return false;
    } finally {
      this.#isWriting = false;
    }
  }

  #write({ bytes, isLine }: Queued): void {
    const { fd } = this.ensureOpen();
    const from = isLine && this.lines === 0 ? 1 : 0;
    // A short write is no error: the next call tells why (write(2): full disk, file size limit).
    while (from + this.#begun < bytes.length) {
      const offset = from + this.#begun;
      const written = this.#fileSystem.sync.write(fd, bytes, offset, bytes.length - offset);
      this.#begun += written;
      this.unsynced += written;
      if (written === 0) throw noBytesTaken();
    }
    this.good += bytes.length - from;
    this.#hasNews = true;
    if (isLine) this.lines++;
    this.#begun = 0;
  }

  #openOrCreate(): number {
    const { sync } = this.#fileSystem;
    if (this.#exists) return sync.open(this.path, "append");
    this.hasNewName = true;
    try {
      return sync.open(this.path, "create");
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
      this.newDirectory = sync.mkdirs(this.path.slice(0, this.path.lastIndexOf("/")));
      return sync.open(this.path, "create");
    }
  }
}
