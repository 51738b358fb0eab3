/**
 * Several writers' lines in one file: each span once, in the order the sources come.
 *
 * Of two lines for one span, ended beats interrupted, and the later beats the earlier. Memory: one map entry
 * per span while it runs; it runs when a session is resumed, shared, recovered or compacted, never per span.
 */

import {
  countLine,
  countSpan,
  decodeMarker,
  Elision,
  type ElisionMarker,
  markerSpanId,
  type SelectLines,
} from "../format/cap.js";
import {
  type DocumentHead,
  decodeLine,
  encodeHead,
  encodeSpan,
  inTrace,
  lineKey,
  withoutComma,
} from "../format/document.js";
import { Totals } from "../format/totals.js";
import type { TraceSpan } from "../format/trace-file.js";
import type { Gensync } from "../platform/gensync.js";
import { type LineSink, LineWriter } from "./line-writer.js";
import { scanLines } from "./lines.js";

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

type FoundMarker = ElisionMarker & { readonly winner: Winner };

/** What sources hold. */
interface Look {
  readonly markers: readonly FoundMarker[];
  /** Of sources whose lines all stand, as they are: how many. */
  readonly whole: readonly (number | undefined)[];
  /** Whether all lines have been counted. */
  readonly isCounted: boolean;
}

const comma = 0x2c;

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
  *write(sources: readonly Source[], select?: SelectLines): Gensync<void> {
    const markerId = markerSpanId(this.#head.id ?? "");
    const { markers, whole, isCounted } = yield* this.#look(sources, markerId);
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
      if (this.#totals && !isCounted) countLine(line, this.#totals);
      mark(key.spanId === markerId ? "marker" : "line");
      if (elision && (key.spanId === markerId || !elision.keeps(line, key.spanId))) return;
      this.#put(line, source);
    };
    for (const [index, source] of sources.entries()) {
      const isWhole = this.#out.isFile && !elision && (isCounted || !this.#totals);
      const lines = isWhole ? whole[index] : undefined;
      if (lines === undefined || source.type !== "lines") {
        yield* eachLine(source, emit(index, source), () => this.#out.drain());
      } else {
        yield* this.#out.addRange(source, lines);
        this.given[index] = lines;
        this.standing[index] = lines;
      }
    }
    mark("end");
    yield* this.#out.finish();
  }

  /** Which line of each span stands. */
  *#look(sources: readonly Source[], markerId: string): Gensync<Look> {
    const markers: FoundMarker[] = [];
    const whole: (number | undefined)[] = [];
    // Counted as they are looked at, which spares parsing them twice, unless one of several lines of a span is to stand.
    let isCounted = this.#parse && this.#totals !== undefined;
    for (const [index, source] of sources.entries()) {
      const from = source.type === "lines" && source.traceId === this.#head.traceId ? source.from : undefined;
      let lines: number | undefined = from === undefined ? undefined : 0;
      const end = yield* eachLine(source, (line, offset) => {
        const key = readKey(line, offset, this.#parse);
        const known = key && this.#winners.get(key.spanId);
        const isMarker = key?.spanId === markerId;
        if (known) {
          isCounted = false;
          whole[known.source] = undefined;
        }
        if (isMarker) isCounted = false;
        const isAsItIs = key && !known && !isMarker && (line[0] === comma || offset === from);
        if (!isAsItIs || lines === undefined) lines = undefined;
        else lines++;
        if (key === undefined) {
          this.rot.push({ source: index, offset, bytes: line.length });
          return;
        }
        if (this.#running.has(key.spanId)) {
          lines = undefined;
          return;
        }
        if (isCounted && this.#totals && key.span) countSpan(key.span, this.#totals);
        const winner = { first: index, source: index, offset, interrupted: key.interrupted };
        if (isMarker) markers.push({ ...decodeMarker(line), winner });
        else this.#keepBetter(key.spanId, winner);
      });
      whole[index] = source.type === "lines" && end === source.to ? lines : undefined;
    }
    return { markers, whole, isCounted };
  }

  /** Lines that came while the merge was written. Throws when one of their spans has a line already. */
  *append(source: Source): Gensync<void> {
    yield* eachLine(
      source,
      (line, offset) => {
        const key = readKey(line, offset, false);
        if (key === undefined) return;
        if (this.#winners.has(key.spanId))
          throw new Error(`span ${key.spanId} ended while its line was merged`);
        this.#winners.set(key.spanId, { first: -1, source: -1, offset, interrupted: key.interrupted });
        if (this.#totals) countLine(line, this.#totals);
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

/** Gives each line of a source. Returns where the last one ends. */
function* eachLine(
  source: Source,
  onLine: (line: Buffer, offset: number) => void,
  afterChunk?: () => Gensync<void>,
): Gensync<number> {
  if (source.type === "lines") return yield* scanLines(source.fd, source.from, source.to, onLine, afterChunk);
  for (const [index, span] of source.spans.entries()) onLine(Buffer.from(encodeSpan(span)), index);
  if (afterChunk) yield* afterChunk();
  return source.spans.length;
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
