/**
 * A file that takes the lines of several sources: each span once, in the order of the sources.
 *
 * Of two lines for one span, a line of an ended span replaces a line of an interrupted span; otherwise the later line
 * replaces the earlier one. Memory: one map entry per span while a merge runs. A merge runs when a session is resumed,
 * shared, recovered or compacted, never per span.
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
import { type LineSink, LineWriter, scanLines } from "./lines.js";

/** Lines to merge. Spans of a source that name no trace belong to the `traceId` of the source. */
export type Source = { readonly traceId: string } & (
  | { readonly type: "lines"; readonly fd: number; readonly from: number; readonly to: number }
  | { readonly type: "spans"; readonly spans: readonly TraceSpan[] }
);

/** A line of a source that is no span. */
export interface CorruptLine {
  /** Index of the source. */
  readonly source: number;
  readonly offset: number;
}

/** The line of a span that the merged file takes. */
interface Winner {
  /** Index of the first source that has the span. */
  first: number;
  /** Index of the source that the line is in. */
  source: number;
  offset: number;
  interrupted: boolean;
}

type FoundMarker = ElisionMarker & { readonly winner: Winner };

/** The result of the first pass over the sources. */
interface FirstPass {
  readonly markers: readonly FoundMarker[];
  /** By source: the number of its lines, if the merged file takes all of them unchanged. */
  readonly unchanged: readonly (number | undefined)[];
  /** Whether the totals include all lines. */
  readonly isCounted: boolean;
}

const comma = 0x2c;

/** Adds to the counter of a source. */
const addTo = (counts: number[], source: number, more: number): void => {
  counts[source] = (counts[source] ?? 0) + more;
};

export class MergedFile {
  readonly #corruptLines: CorruptLine[] = [];
  readonly #firstSeen: number[] = [];
  readonly #corrected: number[] = [];
  readonly #taken: number[] = [];
  readonly #head: DocumentHead;
  readonly #parse: boolean;
  readonly #running: ReadonlySet<string>;
  readonly #out: LineWriter;
  readonly #winners = new Map<string, Winner>();
  #hasMarker = false;
  #totals: Totals | undefined;

  /**
   * @param parse parses every line, since lines may be corrupt, and lists those that are no spans
   * @param count counts totals anew, which parses every line as well
   * @param running ids of spans whose lines are left out
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

  /** Totals of all lines, if they are counted; lines that a selection left out are included. */
  get totals(): Totals | undefined {
    return this.#totals;
  }

  /** Lines that are no spans. Found only when lines are parsed. */
  get corruptLines(): readonly CorruptLine[] {
    return this.#corruptLines;
  }

  /** By source: the spans that no earlier source has. */
  get firstSeen(): readonly number[] {
    return this.#firstSeen;
  }

  /** By source: those of `firstSeen` that the source has as interrupted and a later source as ended. */
  get corrected(): readonly number[] {
    return this.#corrected;
  }

  /** By source: the lines that the merged file takes. */
  get taken(): readonly number[] {
    return this.#taken;
  }

  get size(): number {
    return this.#out.size;
  }

  get lines(): number {
    return this.#out.lines;
  }

  /** Whether one of the lines is an elision marker. */
  get hasMarker(): boolean {
    return this.#hasMarker;
  }

  /** Whether the span has a line. */
  has(spanId: string): boolean {
    return this.#winners.has(spanId);
  }

  /** Merges the sources in two passes: the first finds the line of each span, the second writes. Syncs as it goes. */
  *write(sources: readonly Source[], select?: SelectLines): Gensync<void> {
    const markerId = markerSpanId(this.#head.id ?? "");
    const { markers, unchanged, isCounted } = yield* this.#findWinners(sources, markerId);
    if (this.#totals && !isCounted) this.#totals = new Totals();
    // If several markers stand for spans without lines, the marker of the highest count covers the other markers.
    const marker = markers
      .filter(({ last }) => !this.#winners.has(last))
      .sort((a, b) => b.elided - a.elided)[0];
    const selection = select?.(this.#winners.size, marker !== undefined);
    const elision = selection && new Elision(selection, marker);
    if (marker) this.#winners.set(markerId, marker.winner);
    this.#hasMarker = marker !== undefined || elision !== undefined;
    const mark = (next: "line" | "marker" | "end") => {
      const span = elision?.marker(next);
      if (span) this.#out.add(Buffer.from(encodeSpan(span)));
    };
    const emit = (index: number, source: Source) => (line: Buffer, offset: number) => {
      const key = readKey(line, offset, false);
      if (key === undefined) return;
      const winner = this.#winners.get(key.spanId);
      if (winner?.source !== index || winner.offset !== offset) return;
      addTo(this.#firstSeen, winner.first, 1);
      addTo(this.#taken, index, 1);
      if (this.#totals && !isCounted) countLine(line, this.#totals);
      mark(key.spanId === markerId ? "marker" : "line");
      if (elision && (key.spanId === markerId || !elision.keeps(line, key.spanId))) return;
      this.#put(line, source);
    };
    for (const [index, source] of sources.entries()) {
      const canCopy = this.#out.isFile && !elision && (isCounted || !this.#totals);
      const lines = canCopy ? unchanged[index] : undefined;
      if (lines === undefined || source.type !== "lines") {
        yield* eachLine(source, emit(index, source), () => this.#out.drain());
      } else {
        yield* this.#out.addRange(source, lines);
        this.#firstSeen[index] = lines;
        this.#taken[index] = lines;
      }
    }
    mark("end");
    yield* this.#out.finish();
  }

  /** The first pass: finds the line that wins for each span. */
  *#findWinners(sources: readonly Source[], markerId: string): Gensync<FirstPass> {
    const markers: FoundMarker[] = [];
    const unchanged: (number | undefined)[] = [];
    // Counting in this pass saves a second parse, but it is wrong as soon as two lines exist for one span.
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
          unchanged[known.source] = undefined;
        }
        if (isMarker) isCounted = false;
        const isUnchanged = key && !known && !isMarker && (line[0] === comma || offset === from);
        if (!isUnchanged || lines === undefined) lines = undefined;
        else lines++;
        if (key === undefined) {
          this.#corruptLines.push({ source: index, offset });
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
      unchanged[index] = source.type === "lines" && end === source.to ? lines : undefined;
    }
    return { markers, unchanged, isCounted };
  }

  /** Appends lines that were recorded while the merge ran. Throws when one of their spans has a line already. */
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
    if (known?.interrupted && !candidate.interrupted) addTo(this.#corrected, known.first, 1);
    this.#winners.set(spanId, known ? { ...candidate, first: known.first } : candidate);
  }

  #put(line: Buffer, source: Source): void {
    this.#out.add(withTraceId(withoutComma(line), source.traceId, this.#head.traceId));
  }
}

/** Calls `onLine` for each line of a source. Returns the offset after the last line. */
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

/** The key of a span's line; `undefined` for a line that is no span. */
function readKey(
  line: Buffer,
  offset: number,
  parse: boolean,
): { spanId: string; interrupted: boolean; span?: TraceSpan } | undefined {
  const key = parse ? undefined : lineKey(line);
  if (key) return key;
  const decoded = decodeLine(line, offset);
  // A tail is the last line of a file and no line of a span. A tail among the lines was put there.
  if (decoded.type !== "span") return undefined;
  const { spanId, interrupted } = decoded.span;
  // If a line has the member `spanId` twice, its first bytes name another span than its JSON.
  if (parse && (lineKey(line)?.spanId ?? spanId) !== spanId) return undefined;
  return { spanId, interrupted: interrupted === true, span: decoded.span };
}

/** A line without a trace id belongs to the trace of its own document: in another document the line names the trace. */
function withTraceId(text: Buffer, from: string, to: string): Buffer {
  if (from === to) return text;
  const decoded = decodeLine(text, -1);
  if (decoded.type !== "span") return text;
  return Buffer.from(encodeSpan(inTrace({ traceId: from, ...decoded.span }, to)));
}
