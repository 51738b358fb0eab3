/**
 * Reading and writing files of lines in bounded memory.
 */
import { zeroBytesWritten } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";

const newline = 0x0a;
const comma = 0x2c;
/** Bytes per call when copying: too few to delay a process exit, enough for the speed of the disk. */
export const chunkBytes = 1 << 20;
/** Bytes per call when scanning, all handled in one turn of the event loop; parsing 512 KB takes about 1.5 ms. */
const scanBytes = 1 << 19;
/** A file is synced after this many bytes, so that the last sync and the rename after it have little left to do. */
const syncEveryBytes = 8 * chunkBytes;

/** A range of a file; `from` is the beginning of a line. */
export interface LineRange {
  readonly fd: number;
  readonly from: number;
  readonly to: number;
}

/** Takes a line without its newline, and the offset of the line. The bytes are valid until the callback returns. */
export type OnLine = (line: Buffer, offset: number) => void;

/**
 * Calls `onLine` for each line that ends in a newline within `[from, to)`, and runs `afterChunk` between reads.
 * Returns the offset after the last of these lines: what follows is a torn line.
 */
export function* scanLines(
  fd: number,
  from: number,
  to: number,
  onLine: OnLine,
  afterChunk?: () => Gensync<void>,
): Gensync<number> {
  let buffer = Buffer.allocUnsafe(scanBytes);
  let filled = 0;
  let position = from;
  let lineStart = from;
  for (;;) {
    // The line is longer than the buffer: enlarge the buffer.
    if (filled === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
    const wanted = Math.min(buffer.length - filled, to - position);
    const got = wanted <= 0 ? 0 : yield* io.read(fd, buffer, filled, wanted, position);
    if (got === 0) return lineStart;
    const searchFrom = filled;
    filled += got;
    position += got;
    let begin = 0;
    for (
      let end = buffer.indexOf(newline, searchFrom);
      end >= 0 && end < filled;
      end = buffer.indexOf(newline, begin)
    ) {
      onLine(buffer.subarray(begin, end), lineStart);
      lineStart += end + 1 - begin;
      begin = end + 1;
    }
    buffer.copyWithin(0, begin, filled);
    filled -= begin;
    if (afterChunk) yield* afterChunk();
  }
}

/** The last line that ends in a newline, without the newline, and its range; empty where there is no such line. */
export function* lastLine(fd: number, size: number): Gensync<{ line: Buffer; from: number; to: number }> {
  for (let wanted = scanBytes; ; wanted *= 2) {
    const begin = Math.max(0, size - wanted);
    const bytes = yield* readRange(fd, begin, size);
    const end = bytes.lastIndexOf(newline);
    const before = end > 0 ? bytes.lastIndexOf(newline, end - 1) : -1;
    if (before < 0 && begin > 0) continue;
    const from = begin + before + 1;
    return { line: bytes.subarray(before + 1, Math.max(0, end)), from, to: begin + end + 1 };
  }
}

/** Reads exactly `[from, to)`, or up to the end of the file if that comes first. */
export function* readRange(fd: number, from: number, to: number): Gensync<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.max(0, to - from));
  let filled = 0;
  while (filled < bytes.length) {
    const wanted = Math.min(chunkBytes, bytes.length - filled);
    const got = yield* io.read(fd, bytes, filled, wanted, from + filled);
    if (got === 0) break;
    filled += got;
  }
  return bytes.subarray(0, filled);
}

/** Writes all bytes, in as many calls as the file system needs. Throws when a call writes 0 bytes. */
export function* writeAll(fd: number, bytes: Uint8Array): Gensync<void> {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(chunkBytes, bytes.length - done);
    const written = yield* io.write(fd, bytes, done, wanted);
    // Another attempt would loop for ever.
    if (written === 0) throw zeroBytesWritten();
    done += written;
  }
}

/** Copies `[0, end)`, in pieces, syncing as it grows. */
export function* copyRange(from: number, to: number, end: number): Gensync<void> {
  const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end));
  let unsynced = 0;
  for (let position = 0; position < end; ) {
    const got = yield* io.read(from, chunk, 0, Math.min(chunk.length, end - position), position);
    if (got === 0) throw new Error("a file was truncated while it was copied");
    yield* writeAll(to, got === chunk.length ? chunk : chunk.subarray(0, got));
    position += got;
    unsynced += got;
    if (unsynced >= syncEveryBytes) {
      yield* io.fdatasync(to);
      unsynced = 0;
    }
  }
}

/** The destination of lines: a new, empty file, a function that is called with each line, or none. */
export type LineSink = number | ((span: Buffer, from: LineOrigin | undefined) => void) | undefined;

/** Where the line of a span was read. */
export interface LineOrigin {
  readonly fd: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Writes the lines of a new document: collects them into chunks of a useful size, and syncs as it goes. */
export class LineWriter {
  readonly #out: LineSink;
  #pending: Buffer[];
  #size: number;
  #lines = 0;
  #unsynced = 0;

  constructor(out: LineSink, head: Buffer) {
    this.#out = out;
    this.#pending = [head];
    this.#size = head.length;
  }

  /** Bytes so far, written or pending. */
  get size(): number {
    return this.#size;
  }

  get lines(): number {
    return this.#lines;
  }

  /** Whether `addRange` can be used. */
  get isFile(): boolean {
    return typeof this.#out === "number";
  }

  /** Adds a line; `text` has neither comma nor newline. */
  add(text: Buffer, from?: LineOrigin): void {
    if (typeof this.#out !== "number") {
      this.#out?.(text, from);
      this.#lines++;
      return;
    }
    // A copy, since the given bytes are a view of the scanner's buffer.
    const line = Buffer.allocUnsafe(text.length + (this.#lines === 0 ? 1 : 2));
    if (this.#lines > 0) line[0] = comma;
    text.copy(line, this.#lines === 0 ? 0 : 1);
    line[line.length - 1] = newline;
    this.#pending.push(line);
    this.#lines++;
    this.#size += line.length;
  }

  /**
   * Adds a range of whole lines, all but the first with a comma, as bytes. To split the range into lines would take ten
   * times as long.
   */
  *addRange({ fd, from, to }: LineRange, lines: number): Gensync<void> {
    for (let position = from; position < to; ) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, to - position));
      const got = yield* io.read(fd, chunk, 0, chunk.length, position);
      if (got === 0) throw new Error("a file of lines was truncated while it was read");
      let bytes = chunk.subarray(0, got);
      if (position === from) {
        if (bytes[0] === comma) bytes = bytes.subarray(1);
        if (this.#lines > 0) bytes = Buffer.concat([Buffer.of(comma), bytes]);
      }
      this.#pending.push(bytes);
      this.#size += bytes.length;
      position += got;
      yield* this.drain();
    }
    this.#lines += lines;
  }

  /** Writes the pending lines. */
  *drain(): Gensync<void> {
    const [first] = this.#pending;
    const bytes = first && this.#pending.length === 1 ? first : Buffer.concat(this.#pending);
    this.#pending = [];
    if (bytes.length === 0 || typeof this.#out !== "number") return;
    yield* writeAll(this.#out, bytes);
    this.#unsynced += bytes.length;
    if (this.#unsynced >= syncEveryBytes) yield* this.#sync();
  }

  /** Writes the pending lines and syncs the file. */
  *finish(): Gensync<void> {
    yield* this.drain();
    yield* this.#sync();
  }

  *#sync(): Gensync<void> {
    this.#unsynced = 0;
    if (typeof this.#out === "number") yield* io.fdatasync(this.#out);
  }
}
