/**
 * The lines of a new document on their way to its file.
 */

import { type Gensync, io } from "../platform/gensync.js";
import { chunkBytes, type LineRange, writeAll } from "./lines.js";

/** Where lines go: a new, empty file, a function that gets each, or nowhere. */
export type LineSink = number | ((span: Buffer) => void) | undefined;

const comma = 0x2c;

/** Gathers lines into pieces worth a system call, and syncs as it goes. */
export class LineWriter {
  size: number;
  lines = 0;
  readonly #out: LineSink;
  #pending: Buffer[];
  #unsynced = 0;

  constructor(out: LineSink, head: Buffer) {
    this.#out = out;
    this.#pending = [head];
    this.size = head.length;
  }

  /** Whether whole ranges can be added. */
  get isFile(): boolean {
    return typeof this.#out === "number";
  }

  add(text: Buffer): void {
    if (typeof this.#out !== "number") {
      this.#out?.(text);
      this.lines++;
      return;
    }
    // A copy: the bytes given are a view of the scanner's buffer.
    const line = Buffer.allocUnsafe(text.length + (this.lines === 0 ? 1 : 2));
    if (this.lines > 0) line[0] = 0x2c;
    text.copy(line, this.lines === 0 ? 0 : 1);
    line[line.length - 1] = 0x0a;
    this.#pending.push(line);
    this.lines++;
    this.size += line.length;
  }

  /** Whole lines as they stand; all but the first have their commas. To take them apart would cost ten times as much. */
  *addRange({ fd, from, to }: LineRange, lines: number): Gensync<void> {
    for (let position = from; position < to; ) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, to - position));
      const got = yield* io.read(fd, chunk, 0, chunk.length, position);
      if (got === 0) throw new Error("a file of lines is shorter than it was");
      let bytes = chunk.subarray(0, got);
      if (position === from) {
        if (bytes[0] === comma) bytes = bytes.subarray(1);
        if (this.lines > 0) bytes = Buffer.concat([Buffer.of(comma), bytes]);
      }
      this.#pending.push(bytes);
      this.size += bytes.length;
      position += got;
      yield* this.drain();
    }
    this.lines += lines;
  }

  *drain(): Gensync<void> {
    const [first] = this.#pending;
    const bytes = first && this.#pending.length === 1 ? first : Buffer.concat(this.#pending);
    this.#pending = [];
    if (bytes.length === 0 || typeof this.#out !== "number") return;
    yield* writeAll(this.#out, bytes);
    this.#unsynced += bytes.length;
    if (this.#unsynced >= 8 * chunkBytes) yield* this.#sync();
  }

  *finish(): Gensync<void> {
    yield* this.drain();
    yield* this.#sync();
  }

  *#sync(): Gensync<void> {
    this.#unsynced = 0;
    if (typeof this.#out === "number") yield* io.fdatasync(this.#out);
  }
}
