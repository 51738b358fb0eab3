/**
 * Reading and writing files of lines in bounded memory.
 */
import { encodeSpan } from "../format/document.js";
import type { TraceSpan } from "../format/trace-file.js";
import { zeroBytesWritten } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";

const newline = 0x0a;
const comma = 0x2c;
/** Bytes per call when copying: too few to delay a process exit, enough for the speed of the disk. */
export const chunkBytes = 1 << 20;
/** Bytes per call when scanning, all handled in one turn of the event loop; parsing 512 KB takes about 1.5 ms. */
const scanBytes = 1 << 19;
/** Bytes per call when only a newline is looked for: 3 GB of a sparse file take some seconds. */
const seekBytes = 1 << 22;
/**
 * Bytes of the longest line that is read: V8 has no text beyond 512 MB, and parsing takes several times as much memory. A
 * longer line counts as corrupt, and costs only itself.
 */
export const maxLineBytes = 1 << 28;
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
 * The offset after the first newline in `[from, to)`; `undefined` where there is none. A hole of a sparse file ends the
 * search where no line is that long: a line has no NUL bytes, and 3 GB of them take many seconds to read.
 */
export function* afterNewline(fd: number, from: number, to: number): Gensync<number | undefined> {
  const piece = Buffer.allocUnsafe(Math.min(seekBytes, Math.max(0, to - from)));
  for (let position = from; position < to; ) {
    const got = yield* io.read(fd, piece, 0, Math.min(piece.length, to - position), position);
    if (got === 0) return undefined;
    const bytes = piece.subarray(0, got);
    const found = bytes.indexOf(newline);
    if (found >= 0) return position + found + 1;
    position += got;
    if (position - from > maxLineBytes && bytes.equals(Buffer.alloc(got))) return undefined;
  }
  return undefined;
}

/** The offset of the last newline in `[from, to)`; `undefined` where there is none. */
function* lastNewline(fd: number, from: number, to: number): Gensync<number | undefined> {
  for (let end = to, wanted = scanBytes; end > from; wanted = seekBytes) {
    const begin = Math.max(from, end - wanted);
    const found = (yield* readRange(fd, begin, end)).lastIndexOf(newline);
    if (found >= 0) return begin + found;
    end = begin;
  }
  return undefined;
}

/**
 * Calls `onLine` for each line that ends in a newline within `[from, to)`, and runs `afterChunk` between reads. A line of
 * more than `maxBytes` is given as an empty one, which is no record. Returns the offset after the last of these lines: what follows is a torn line.
 */
export function* scanLines(
  fd: number,
  from: number,
  to: number,
  onLine: OnLine,
  afterChunk?: () => Gensync<void>,
  maxBytes = maxLineBytes,
): Gensync<number> {
  // Not more than there is: buffers of that size for 1,000 short logs were a third of the time of their listing.
  let buffer = Buffer.allocUnsafe(Math.max(1, Math.min(scanBytes, to - from)));
  let filled = 0;
  let position = from;
  let lineStart = from;
  while (position < to) {
    if (filled === buffer.length) {
      // The line is longer than the buffer. Its end is looked for first: a sparse file may have none for gigabytes.
      const end = yield* afterNewline(fd, position, to);
      if (end === undefined) return lineStart;
      if (end - lineStart <= maxBytes) buffer = Buffer.concat([buffer], end - lineStart);
      else {
        onLine(Buffer.alloc(0), lineStart);
        lineStart = end;
        position = end;
        filled = 0;
      }
    }
    const wanted = Math.min(buffer.length - filled, to - position);
    const got = yield* io.read(fd, buffer, filled, wanted, position);
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
  return lineStart;
}

/** Lines to merge. Spans of a source that name no trace belong to the `traceId` of the source. */
export type Source = { readonly traceId: string } & (
  | ({ readonly type: "lines" } & LineRange)
  | { readonly type: "spans"; readonly spans: readonly TraceSpan[] }
);

/** Calls `onLine` for each line of a source. Returns the offset after the last line. */
export function* eachLine(
  source: Source,
  onLine: (line: Buffer, offset: number) => void,
  afterChunk?: () => Gensync<void>,
): Gensync<number> {
  if (source.type === "lines") return yield* scanLines(source.fd, source.from, source.to, onLine, afterChunk);
  for (const [index, span] of source.spans.entries()) onLine(Buffer.from(encodeSpan(span)), index);
  if (afterChunk) yield* afterChunk();
  return source.spans.length;
}

/** The last line that ends in a newline, without the newline, and its range; empty where there is no such line. */
export function* lastLine(fd: number, size: number): Gensync<{ line: Buffer; from: number; to: number }> {
  // The rest after the last line is a part of a line, or the hole of a sparse file: then the lines come before it.
  const last = yield* lastNewline(fd, Math.max(0, size - maxLineBytes), size);
  const end = last ?? (yield* scanLines(fd, 0, size, () => {})) - 1;
  if (end < 0) return { line: Buffer.alloc(0), from: 0, to: 0 };
  const longest = Math.max(0, end - maxLineBytes);
  const before = yield* lastNewline(fd, longest, end);
  // A line that is too long is no record: the file counts as ending with it.
  if (before === undefined && longest > 0) return { line: Buffer.alloc(0), from: end + 1, to: end + 1 };
  const from = before === undefined ? 0 : before + 1;
  return { line: yield* readRange(fd, from, end), from, to: end + 1 };
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

  /** Whether each line is passed to a function: then `addRange` cannot be used. */
  get takesLines(): boolean {
    return typeof this.#out === "function";
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
    // Without a destination, lines are only counted.
    for (let position = from; typeof this.#out === "number" && position < to; ) {
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

  /** Writes the pending lines, and syncs what is not synced. */
  *sync(): Gensync<void> {
    yield* this.drain();
    if (this.#unsynced > 0) yield* this.#sync();
  }

  *#sync(): Gensync<void> {
    this.#unsynced = 0;
    if (typeof this.#out === "number") yield* io.fdatasync(this.#out);
  }
}
