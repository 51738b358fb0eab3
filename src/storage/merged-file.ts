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
  type LineSelection,
  markerSpanId,
  type SelectLines,
} from "../format/cap.js";
import { type DocumentHead, encodeHead, encodeSpan, withoutComma } from "../format/document.js";
import { otherParentOf } from "../format/parent-places.js";
import { type SpanIds, SpanMap, traceIdOf } from "../format/span-map.js";
import type { ToolLoopsJson } from "../format/tool-loops.js";
import { type ReadTotals, Totals } from "../format/totals.js";
import type { TraceSpan } from "../format/trace-file.js";
import type { Gensync } from "../platform/gensync.js";
import { eachLine, type LineOrigin, type LineSink, LineWriter, type Source } from "./lines.js";
import { type FoundLine, type Placement, readLine, spanIn, underKept, withTraceId } from "./merged-line.js";

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
  /** The elision marker stands for the line. */
  isElided?: boolean;
}

type FoundMarker = ElisionMarker & { readonly winner: Winner };

/** The result of the first pass over the sources. */
interface FirstPass {
  readonly markers: readonly FoundMarker[];
  /** By source: the number of its lines, if the merged file takes all of them unchanged. */
  readonly unchanged: readonly (number | undefined)[];
  /** Sources that another program wrote or edited: the second pass parses their lines, too. */
  readonly unordered: ReadonlySet<number>;
  /** Whether the totals include all lines. */
  readonly isCounted: boolean;
}

/** The loops of a document, with its last calls, and the number of its sources, which are the first ones. */
export interface StatedLoops extends Pick<ToolLoopsJson, "loops" | "calls"> {
  readonly sources: number;
}

/** Lines before those of the sources: an earlier reading has them. */
export interface EarlierLines {
  readonly spans: Pick<SpanMap<TraceSpan>, "has" | "get">;
  readonly totals: ReadTotals;
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
  readonly #leftOut: number[] = [];
  readonly #head: DocumentHead;
  readonly #parse: boolean;
  readonly #running: Pick<SpanMap<unknown>, "has">;
  readonly #placement: Placement | undefined;
  readonly #stated: StatedLoops;
  readonly #earlier: EarlierLines | undefined;
  readonly #out: LineWriter;
  /** Without the line of the elision marker, which belongs to no trace. */
  readonly #winners: SpanMap<Winner>;
  readonly #markerId: string;
  /** Parents that lines name. Found only when lines are parsed. */
  readonly #parents: SpanMap<SpanIds>;
  /** Parents that lines of spans under the session span name. Found only when lines are parsed. */
  readonly #otherParents: SpanMap<SpanIds>;
  #hasMarker = false;
  #totals: Totals | undefined;

  /**
   * @param parse parses every line, since lines may be corrupt, and lists those that are no spans
   * @param count counts totals anew, which parses every line as well
   * @param running spans whose lines are left out; with their trace ids
   * @param placement may get more parents until the second pass begins
   * @param stated the loops in the first sources, which their lines do not show: a loop is within one run
   * @param earlier lines that the sources do not have; none of their spans may be in a source
   */
  constructor(
    out: LineSink,
    head: DocumentHead,
    {
      parse,
      count = parse,
      running = new SpanMap(),
      placement,
      stated = { sources: 0, loops: [], calls: [] },
      earlier,
    }: {
      readonly parse: boolean;
      readonly count?: boolean;
      readonly running?: Pick<SpanMap<unknown>, "has">;
      readonly placement?: Placement | undefined;
      readonly stated?: StatedLoops | undefined;
      readonly earlier?: EarlierLines | undefined;
    },
  ) {
    this.#head = head;
    this.#parse = parse;
    this.#running = running;
    this.#placement = placement;
    this.#stated = stated;
    this.#markerId = markerSpanId(head.id ?? "");
    this.#winners = new SpanMap(head.traceId);
    this.#parents = new SpanMap(head.traceId);
    this.#otherParents = new SpanMap(head.traceId);
    this.#out = new LineWriter(out, encodeHead(head));
    this.#earlier = earlier;
    this.#totals = count ? this.#newTotals() : undefined;
  }

  #newTotals(): Totals {
    const totals = new Totals(this.#stated);
    if (this.#earlier) totals.merge(this.#earlier.totals);
    return totals;
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

  /** By source: the lines of spans that run. */
  get leftOut(): readonly number[] {
    return this.#leftOut;
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

  /** Whether the span has a line. A span that names no trace belongs to that of the merged file. */
  has(ids: SpanIds): boolean {
    return this.#winners.has(ids) || this.#earlier?.spans.has(ids) === true;
  }

  /** Parents that lines name and that have no line, without the session span. Found only when lines are parsed. */
  get parentsWithoutLines(): readonly SpanIds[] {
    return [...this.#parents.values()].filter((parent) => !this.#winners.has(parent));
  }

  /** Parents that lines of spans under the session span name. Found only when lines are parsed. */
  get otherParents(): Iterable<SpanIds> {
    return this.#otherParents.values();
  }

  /** Whether the span has a line, as interrupted. */
  hasInterrupted(ids: SpanIds): boolean {
    return (this.#winners.get(ids) ?? this.#earlier?.spans.get(ids))?.interrupted === true;
  }

  /** Merges the sources in two passes: the first finds the line of each span, the second writes. The caller syncs the end. */
  *write(sources: readonly Source[], select?: SelectLines): Gensync<void> {
    const { markers, unchanged, unordered, isCounted } = yield* this.#findWinners(sources);
    if (this.#totals && !isCounted) this.#totals = this.#newTotals();
    // A writer that did not have the parent had put the span under the session span.
    for (const parent of this.#otherParents.values())
      if (this.has(parent) || this.#placement?.open?.has(parent)) this.#placement?.places.addHere(parent);
    // If several markers stand for spans without lines, the marker of the highest count covers the other markers.
    const marker = markers.filter(({ last }) => !this.#hasLast(last)).sort((a, b) => b.elided - a.elided)[0];
    const selection = select?.(this.#winners.size, marker !== undefined);
    const elision = selection && new Elision(selection, marker);
    const elides = selection !== undefined && this.#markElided(selection);
    this.#hasMarker = marker !== undefined || elision !== undefined;
    const mark = (next: "line" | "marker" | "end") => {
      const span = elision?.marker(next);
      if (span) this.#out.add(Buffer.from(encodeSpan(span)));
    };
    const emit = (index: number, source: Source) => (line: Buffer, offset: number) => {
      const found = readLine(line, offset, unordered.has(index));
      if (found === undefined) return;
      const ids = this.#idsOf(found, source);
      const isMarker = this.#markerIn(line, ids) !== undefined;
      const winner = isMarker ? marker?.winner : this.#winners.get(ids);
      if (winner?.source !== index || winner.offset !== offset) return;
      addTo(this.#firstSeen, winner.first, 1);
      addTo(this.#taken, index, 1);
      if (this.#totals && !isCounted) countLine(line, this.#totals, winner.first >= this.#stated.sources);
      mark(isMarker ? "marker" : "line");
      if (elision && (isMarker || !elision.keeps(line, ids))) return;
      const from = source.type === "lines" ? { fd: source.fd, offset, bytes: line.length } : undefined;
      const placed = this.#placed(found, line, source);
      this.#put(elides && !isMarker ? this.#underKept(placed, ids) : placed, source, from);
    };
    for (const [index, source] of sources.entries()) {
      const isPlaced = !this.#placement || this.#placement.places.size === 0;
      const canCopy = !this.#out.takesLines && !elision && isPlaced && (isCounted || !this.#totals);
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
    yield* this.#out.drain();
  }

  /** Syncs what was written since the last sync. */
  sync(): Gensync<void> {
    return this.#out.sync();
  }

  /** The first pass: finds the line that wins for each span. */
  *#findWinners(sources: readonly Source[]): Gensync<FirstPass> {
    const markers: FoundMarker[] = [];
    const unordered = new Set<number>();
    const unchanged: (number | undefined)[] = [];
    // Counting in this pass saves a second parse, but it is wrong as soon as two lines exist for one span.
    let isCounted = this.#parse && this.#totals !== undefined;
    for (const [index, source] of sources.entries()) {
      const from = source.type === "lines" && source.traceId === this.#head.traceId ? source.from : undefined;
      let lines: number | undefined = from === undefined ? undefined : 0;
      const end = yield* eachLine(source, (line, offset) => {
        const found = readLine(line, offset, this.#parse);
        const ids = found && this.#idsOf(found, source);
        const marker = ids && this.#markerIn(line, ids);
        const isMarker = marker !== undefined;
        const known = ids && !isMarker ? this.#winners.get(ids) : undefined;
        if (known) {
          isCounted = false;
          unchanged[known.source] = undefined;
        }
        if (isMarker) isCounted = false;
        if (found?.isOrdered === false) unordered.add(index);
        const isUnchanged = found?.isOrdered && !known && !isMarker && (line[0] === comma || offset === from);
        if (!isUnchanged || lines === undefined) lines = undefined;
        else lines++;
        if (found === undefined || ids === undefined) {
          this.#corruptLines.push({ source: index, offset });
          return;
        }
        if (this.#running.has(ids)) {
          addTo(this.#leftOut, index, 1);
          lines = undefined;
          return;
        }
        if (isCounted && this.#totals && found.span)
          countSpan(found.span, this.#totals, index >= this.#stated.sources);
        if (found.span) this.#findParents(found.span, ids);
        const winner = { first: index, source: index, offset, interrupted: found.interrupted };
        if (isMarker) markers.push({ ...marker, winner });
        else this.#keepBetter(ids, known, winner);
      });
      unchanged[index] = source.type === "lines" && end === source.to ? lines : undefined;
    }
    return { markers, unchanged, unordered, isCounted };
  }

  #findParents(span: TraceSpan, { traceId }: SpanIds): void {
    const { rootSpanId = "" } = this.#placement ?? {};
    const other = otherParentOf(span, rootSpanId);
    const named: unknown = other?.spanId ?? span.parentSpanId;
    // Each trace of a session has roots below the session span: 40,000 traces took 20 s.
    if (typeof named !== "string" || named === "" || named === rootSpanId) return;
    const parent = { spanId: named, traceId };
    (other ? this.#otherParents : this.#parents).set(parent, parent);
  }

  /** Appends lines that were recorded while the merge ran. Throws when one of their spans has a line already. */
  *append(source: Source): Gensync<void> {
    yield* eachLine(
      source,
      (line, offset) => {
        const found = readLine(line, offset, false);
        if (found === undefined) return;
        const ids = this.#idsOf(found, source);
        if (this.#winners.has(ids)) throw new Error(`span ${found.spanId} ended while its line was merged`);
        this.#winners.set(ids, { first: -1, source: -1, offset, interrupted: found.interrupted });
        if (this.#totals) countLine(line, this.#totals);
        this.#put(line, source);
      },
      () => this.#out.drain(),
    );
    yield* this.#out.drain();
  }

  /** A span that names no trace belongs to that of its source, or to that of the merged file where the source has none. */
  #idsOf(found: SpanIds, source: Source): SpanIds {
    return { spanId: found.spanId, traceId: traceIdOf(found, source.traceId || this.#head.traceId) };
  }

  #markerIn(line: Buffer, { spanId }: SpanIds): ElisionMarker | undefined {
    return spanId === this.#markerId ? decodeMarker(line) : undefined;
  }

  /** Whether the last span that a marker replaced has a line. */
  #hasLast(last: SpanIds): boolean {
    const { spanId, traceId } = last;
    return traceId === undefined ? this.#winners.ofSpanId(spanId).length > 0 : this.#winners.has(last);
  }

  #keepBetter(ids: SpanIds, known: Winner | undefined, candidate: Winner): void {
    if (known && candidate.interrupted && !known.interrupted) return;
    if (known?.interrupted && !candidate.interrupted) addTo(this.#corrected, known.first, 1);
    if (known) Object.assign(known, candidate, { first: known.first });
    else this.#winners.set(ids, candidate);
  }

  /** The line as this file takes it. */
  #placed(found: FoundLine, line: Buffer, source: Source): Buffer {
    const { places, rootSpanId } = this.#placement ?? {};
    const span = found.span ?? (places?.mayConcern(line) ? spanIn(line) : undefined);
    if (places && rootSpanId !== undefined && span) {
      const placed = places.place(span, rootSpanId, source.traceId || this.#head.traceId);
      if (placed !== span) return Buffer.from(encodeSpan(placed));
    }
    return found.isOrdered ? line : Buffer.from(encodeSpan(found.span));
  }

  /** Whether the marker stands for lines. */
  #markElided({ head, tail }: LineSelection): boolean {
    const inOrder = [...this.#winners.values()].sort((a, b) => a.source - b.source || a.offset - b.offset);
    for (const winner of inOrder.slice(head, tail)) winner.isElided = true;
    return tail > head;
  }

  /** The line of a span under the session span, where the elision marker stands for its parent. */
  #underKept(line: Buffer, { traceId }: SpanIds): Buffer {
    const isKept = (spanId: string): boolean => {
      const parent = this.#winners.get({ spanId, traceId });
      return parent ? !parent.isElided : this.#placement?.open?.has({ spanId, traceId }) !== false;
    };
    return this.#placement ? underKept(line, this.#placement.rootSpanId, isKept) : line;
  }

  #put(line: Buffer, source: Source, from?: LineOrigin): void {
    this.#out.add(withTraceId(withoutComma(line), source.traceId, this.#head.traceId), from);
  }
}
