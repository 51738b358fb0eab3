/**
 * Reading a file line by line in bounded memory.
 */
import { noBytesTaken } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";

const newline = 0x0a;
/** Copying: small enough never to hold up a process exit, large enough for the disk's speed. */
export const chunkBytes = 1 << 20;
/** Scanning: what is looked at between two turns of the event loop; parsing 512 KB takes about 1.5 ms. */
const scanBytes = 1 << 19;

/** A range of a file that begins with a line. */
export interface LineRange {
  readonly fd: number;
  readonly from: number;
  readonly to: number;
}

/** One line, without its newline, and where it begins. The bytes are valid until the callback returns. */
export type OnLine = (line: Buffer, offset: number) => void;

/**
 * Calls `onLine` for each line that ends in a newline within `[from, to)`, and runs `afterChunk` between reads.
 * Returns the offset after the last of them: what follows it is a torn line.
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
    // A line longer than the buffer: make room for it.
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

/** The last line that ends in a newline, without it, and where it begins and ends; empty where there is none. */
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

/** Writes all bytes, whatever pieces the file system takes. Throws when it takes none. */
export function* writeAll(fd: number, bytes: Uint8Array): Gensync<void> {
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(chunkBytes, bytes.length - done);
    const written = yield* io.write(fd, bytes, done, wanted);
    // Who asks again and again never comes back.
    if (written === 0) throw noBytesTaken();
    done += written;
  }
}
