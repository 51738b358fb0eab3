/**
 * Several writers' lines in one file: each span once, in the order the sources come.
 *
 * Of two lines for one span, ended beats interrupted, and the later beats the earlier. Memory: one map entry
 * per span while it runs; it runs when a session is resumed, shared, recovered or compacted, never per span.
 */

import { count, countSpan, Elision, type SelectLines } from "./elision.js";
import { chunkBytes, scanLines, writeAll } from "./line-scan.js";
import { decodeMarker, type Marker, markerSpanId } from "./marker.js";
import {
  type DocumentHead,
  decodeLine,
  encodeHead,
  encodeSpan,
  inTrace,
  lineKey,
  withoutComma,
} from "./open-document.js";
import { call, type Plan } from "./plan.js";
import { Totals } from "./totals.js";
import type { TraceSpan } from "./trace-file.js";

/** Lines to merge. Spans of a source that name no trace belong to its `traceId`. */
export type Source = { readonly traceId: string } & (
  | { readonly type: "lines"; readonly fd: number; readonly from: number; readonly to: number }
  | { readonly type: "spans"; readonly spans: readonly TraceSpan[] }
);

/** Bytes of a source that are not a span's line. */
export interface Rot {
  readonly source: number;
  readonly offset: number;
  readonly bytes: number;
}

interface Winner {
  /** The first source that has the span, and the one whose line stands. */
  first: number;
  source: number;
  offset: number;
  interrupted: boolean;
}

/** Where merged lines go: a new, empty file, a function that gets each, or nowhere. */
export type LineSink = number | ((span: Buffer) => void) | undefined;

/** A file that takes the merged lines of several sources. */
export class UnionFile {
  readonly rot: Rot[] = [];
  /** How many spans each source was the first to have. */
  readonly given: number[] = [];
  /** Of the spans that each source was the first to have: how many it had as interrupted, and a later one as ended. */
  readonly corrected: number[] = [];
  /** How many lines of each source stand. */
  readonly standing: number[] = [];
  /** Whether one of the lines is a marker. */
  hasMarker = false;
  readonly #head: DocumentHead;
  readonly #parse: boolean;
  readonly #running: ReadonlySet<string>;
  readonly #out: LineWriter;
  readonly #winners = new Map<string, Winner>();
  #totals: Totals | undefined;

  /**
   * `parse` each line where bytes may have rotted: a line that is no span is told as rot. `count` totals anew, which
   * parses, too. Of `running` spans no line is kept.
   */
  constructor(
    out: LineSink,
    head: DocumentHead,
    {
      parse,
      count = parse,
      running = new Set(),
    }: { readonly parse: boolean; readonly count?: boolean; readonly running?: ReadonlySet<string> },
  ) {
    this.#head = head;
    this.#parse = parse;
    this.#running = running;
    this.#out = new LineWriter(out, encodeHead(head));
    this.#totals = count ? new Totals() : undefined;
  }

  /** Where they are counted: totals of every line, also of those a selection left out. */
  get totals(): Totals | undefined {
    return this.#totals;
  }

  get size(): number {
    return this.#out.size;
  }

  get lines(): number {
    return this.#out.lines;
  }

  /** Whether the span has a line. */
  has(spanId: string): boolean {
    return this.#winners.has(spanId);
  }

  /** Merges the sources: once to see which line of each span stands, once to write them. Syncs as it goes. */
  *write(sources: readonly Source[], select?: SelectLines): Plan<void> {
    const markerId = markerSpanId(this.#head.id ?? "");
    const markers: (Marker & { readonly winner: Winner })[] = [];
    // Counted as they are looked at, which spares parsing them twice, unless one of several lines of a span is to stand.
    let isCounted = this.#parse && this.#totals !== undefined;
    for (const [index, source] of sources.entries()) {
      yield* eachLine(source, (line, offset) => {
        const key = readKey(line, offset, this.#parse);
        if (key === undefined) this.rot.push({ source: index, offset, bytes: line.length });
        else if (!this.#running.has(key.spanId)) {
          const winner = { first: index, source: index, offset, interrupted: key.interrupted };
          if (key.spanId === markerId || this.#winners.has(key.spanId)) isCounted = false;
          if (isCounted && this.#totals && key.span) countSpan(key.span, this.#totals);
          if (key.spanId === markerId) markers.push({ ...decodeMarker(line), winner });
          else this.#keepBetter(key.spanId, winner);
        }
      });
    }
    if (this.#totals && !isCounted) this.#totals = new Totals();
    // Of markers that stand for spans without lines, the one of most stands for those of the others as well.
    const marker = markers
      .filter(({ last }) => !this.#winners.has(last))
      .sort((a, b) => b.elided - a.elided)[0];
    const selection = select?.(this.#winners.size, marker !== undefined);
    const elision = selection && new Elision(selection, marker);
    if (marker) this.#winners.set(markerId, marker.winner);
    this.hasMarker = marker !== undefined || elision !== undefined;
    const mark = (next: "line" | "marker" | "end") => {
      const span = elision?.marker(next);
      if (span) this.#out.add(Buffer.from(encodeSpan(span)));
    };
    const emit = (index: number, source: Source) => (line: Buffer, offset: number) => {
      const key = readKey(line, offset, false);
      if (key === undefined) return;
      const winner = this.#winners.get(key.spanId);
      if (winner?.source !== index || winner.offset !== offset) return;
      this.given[winner.first] = (this.given[winner.first] ?? 0) + 1;
      this.standing[index] = (this.standing[index] ?? 0) + 1;
      if (this.#totals && !isCounted) count(line, this.#totals);
      mark(key.spanId === markerId ? "marker" : "line");
      if (elision && (key.spanId === markerId || !elision.keeps(line, key.spanId))) return;
      this.#put(line, source);
    };
    for (const [index, source] of sources.entries()) {
      yield* eachLine(source, emit(index, source), () => this.#out.drain());
    }
    mark("end");
    yield* this.#out.finish();
  }

  /** Lines that came while the merge was written. Throws when one of their spans has a line already. */
  *append(source: Source): Plan<void> {
    yield* eachLine(
      source,
      (line, offset) => {
        const key = readKey(line, offset, false);
        if (key === undefined) return;
        if (this.#winners.has(key.spanId))
          throw new Error(`span ${key.spanId} ended while its line was merged`);
        this.#winners.set(key.spanId, { first: -1, source: -1, offset, interrupted: key.interrupted });
        if (this.#totals) count(line, this.#totals);
        this.#put(line, source);
      },
      () => this.#out.drain(),
    );
    yield* this.#out.finish();
  }

  #keepBetter(spanId: string, candidate: Winner): void {
    const known = this.#winners.get(spanId);
    if (known && candidate.interrupted && !known.interrupted) return;
    if (known?.interrupted && !candidate.interrupted)
      this.corrected[known.first] = (this.corrected[known.first] ?? 0) + 1;
    this.#winners.set(spanId, known ? { ...candidate, first: known.first } : candidate);
  }

  #put(line: Buffer, source: Source): void {
    this.#out.add(withTraceId(withoutComma(line), source.traceId, this.#head.traceId));
  }
}

function* eachLine(
  source: Source,
  onLine: (line: Buffer, offset: number) => void,
  afterChunk?: () => Plan<void>,
): Plan<void> {
  if (source.type === "lines") {
    yield* scanLines(source.fd, source.from, source.to, onLine, afterChunk);
  } else {
    for (const [index, span] of source.spans.entries()) onLine(Buffer.from(encodeSpan(span)), index);
    if (afterChunk) yield* afterChunk();
  }
}

function readKey(
  line: Buffer,
  offset: number,
  parse: boolean,
): { spanId: string; interrupted: boolean; span?: TraceSpan } | undefined {
  const key = parse ? undefined : lineKey(line);
  if (key) return key;
  const decoded = decodeLine(line, offset);
  // A tail is the last line of a file, and none of its spans' lines: elsewhere it was put there.
  if (decoded.type !== "span") return undefined;
  const { spanId, interrupted } = decoded.span;
  // With the member twice, its first bytes name another span than its JSON.
  if (parse && (lineKey(line)?.spanId ?? spanId) !== spanId) return undefined;
  return { spanId, interrupted: interrupted === true, span: decoded.span };
}

/** Spans that name no trace belong to the document's: those of another document are told so. */
function withTraceId(text: Buffer, from: string, to: string): Buffer {
  if (from === to) return text;
  const decoded = decodeLine(text, -1);
  if (decoded.type !== "span") return text;
  return Buffer.from(encodeSpan(inTrace({ traceId: from, ...decoded.span }, to)));
}

/** Gathers lines into pieces worth a system call. */
class LineWriter {
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

  *drain(): Plan<void> {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    if (bytes.length === 0 || typeof this.#out !== "number") return;
    yield* writeAll(this.#out, bytes);
    this.#unsynced += bytes.length;
    if (this.#unsynced >= 8 * chunkBytes) yield* this.#sync();
  }

  *finish(): Plan<void> {
    yield* this.drain();
    yield* this.#sync();
  }

  *#sync(): Plan<void> {
    this.#unsynced = 0;
    if (typeof this.#out === "number") yield* call("fdatasync", this.#out);
  }
}
