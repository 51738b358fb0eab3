/**
 * The lines of a session that earlier readings have counted, and how far they go in the append logs of its writers. The next
 * reading can begin after them while the session has the same living writers, their logs have only grown, and its document
 * is unchanged or begins like a log.
 */
import { countSpan, elidedTotals } from "../format/cap.js";
import { SpanMap } from "../format/span-map.js";
import { pendingSpans, readMoved } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { TraceSpan } from "../format/trace-file.js";
import type { FileStat } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { isSameFile } from "../storage/identity.js";
import { type LineRange, readRange } from "../storage/lines.js";
import type { EarlierLines } from "../storage/merged-file.js";
import type { EarlierRange, OrphanedFiles } from "./orphans.js";
import { statedLoops } from "./recovered-end.js";

type Inode = Pick<FileStat, "dev" | "ino">;

/** An append log as a reading has it. */
interface ReadLog {
  readonly identity: Inode;
  /** Its first line of a span. */
  readonly from: number;
  readonly to: number;
}

/** Bytes before the end of a document that are compared with those of a log: most lines are shorter. */
const comparedBytes = 1 << 16;

export class KnownLines {
  #logs: ReadonlyMap<string, ReadLog> = new Map();
  #published: FileStat | undefined;
  #moved = "";
  #totals = new Totals();
  /** The file descriptor of a document whose loops its tail states. */
  #statedFd = -1;
  #byIds = new SpanMap<TraceSpan>();
  /** Parents that no line was of when spans below them were read. */
  #otherParents = new SpanMap<true>();
  #traceId: string | undefined;
  #spans: TraceSpan[] = [];

  /** In order of the lines. */
  get spans(): readonly TraceSpan[] {
    return this.#spans;
  }

  /** For a merge that begins after these lines; `undefined` where no line is known. */
  get earlier(): EarlierLines | undefined {
    return this.#logs.size > 0 ? { spans: this.#byIds, totals: this.#totals.toJson() } : undefined;
  }

  /** What is known of the log of one owner. */
  rangeOf(token: string): EarlierRange | undefined {
    const log = this.#logs.get(token);
    return log && { to: log.to, spans: this.#byIds };
  }

  forget(): void {
    this.#logs = new Map();
    this.#published = undefined;
    this.#totals = new Totals();
    this.#byIds = new SpanMap();
    this.#otherParents = new SpanMap();
    this.#traceId = undefined;
    this.#spans = [];
  }

  /** Whether the session still begins with the known lines. */
  *fit(owners: readonly OrphanedFiles[], published: Published | undefined): Gensync<boolean> {
    if (this.#logs.size === 0) return true;
    if (owners.length !== this.#logs.size || this.#moved !== movedIn(owners, published)) return false;
    for (const { token, log, to } of owners) {
      const known = this.#logs.get(token);
      if (!known || !log || to < known.to || !isOneFile(yield* io.fstat(log.fd), known.identity))
        return false;
    }
    if (!areReadable(owners, published)) return false;
    if (!published) return this.#published === undefined;
    if (this.#published && isOneFile(yield* io.fstat(published.descriptor.fd), this.#published)) return true;
    for (const owner of owners) if ((yield* this.#endIn(owner, published)) !== undefined) return true;
    return false;
  }

  /**
   * Learns until where a reading goes. Returns a function that counts each of its new lines before its span is changed;
   * `undefined` where the lines of this reading cannot be known: all were forgotten.
   */
  *learn(
    owners: readonly OrphanedFiles[],
    published: Published | undefined,
  ): Gensync<((span: TraceSpan, fd: number) => void) | undefined> {
    const isFirst = this.#logs.size === 0;
    if (!areReadable(owners, published)) {
      this.forget();
      return undefined;
    }
    const logs = new Map<string, ReadLog>();
    for (const owner of owners) {
      const { log, token, from, to } = owner;
      if (!log) continue;
      const { dev, ino } = yield* io.fstat(log.fd);
      const before = this.#logs.get(token);
      logs.set(token, { identity: { dev, ino }, from: before?.from ?? from, to });
      // The document may be newer than what was read of the log.
      this.#logs = logs;
      const end = isFirst && published ? yield* this.#endIn(owner, published) : undefined;
      if (end !== undefined && end > to) logs.set(token, { identity: { dev, ino }, from, to: end });
    }
    this.#published = published && (yield* io.fstat(published.descriptor.fd));
    this.#moved = movedIn(owners, published);
    if (isFirst) {
      this.#totals = new Totals(statedLoops(published?.tail, owners, 1, pendingSpans(published?.tail)));
      this.#statedFd = published?.descriptor.fd ?? -1;
    } else this.#statedFd = -1;
    return (span, fd) => {
      countSpan(span, this.#totals, fd !== this.#statedFd);
      const { remoteParentSpanId: spanId, traceId } = span;
      if (typeof spanId === "string") this.#otherParents.set({ spanId, traceId }, true);
    };
  }

  /**
   * Adds the spans of new lines. Throws where a line before has one of them or is of a span below one of them, or another
   * document began.
   */
  add(spans: readonly TraceSpan[], traceId: string): void {
    if (this.#traceId === undefined) this.#byIds = new SpanMap(traceId);
    else if (this.#traceId !== traceId) throw new Error("the session has another first trace by now");
    this.#traceId = traceId;
    for (const span of spans) {
      if (this.#byIds.has(span)) throw new Error(`span ${span.spanId} has another line by now`);
      if (this.#otherParents.has({ spanId: span.spanId, traceId: span.traceId }))
        throw new Error(`spans stand below ${span.spanId} by now`);
      this.#byIds.set(span, span);
      this.#spans.push(span);
    }
    // The marker counts for spans that no line has, and another one takes its place.
    if (spans.some((span) => elidedTotals(span))) this.forget();
  }

  /** The offset in a log after the lines of a document that begins like the log; `undefined` where it does not. */
  *#endIn(
    { token, log, head }: OrphanedFiles,
    { descriptor, head: own, body }: Published,
  ): Gensync<number | undefined> {
    const known = this.#logs.get(token);
    if (!known || !log || body.type !== "lines" || head?.traceId !== own?.traceId) return undefined;
    const end = known.from + body.to - body.from;
    const compared = Math.min(comparedBytes, body.to - body.from);
    const bytesOf = ({ fd, to }: Pick<LineRange, "fd" | "to">) => readRange(fd, to - compared, to);
    const ofLog = yield* bytesOf({ fd: log.fd, to: end });
    return ofLog.equals(yield* bytesOf({ fd: descriptor.fd, to: body.to })) ? end : undefined;
  }
}

/** Some file systems have no inode numbers: then nothing shows that a file is the one of the reading before. */
const isOneFile = (current: FileStat, before: Inode & Partial<FileStat>): boolean =>
  current.ino !== 0n && isSameFile(current, before);

/** Whether all writers live and go on, and the document, if there is one, has lines. Writers of 0.1.0 journal less. */
const areReadable = (owners: readonly OrphanedFiles[], published: Published | undefined): boolean =>
  owners.every(
    ({ isAlive, log, tail, journal }) => isAlive && log && !tail && journal.awaited !== undefined,
  ) &&
  (published === undefined || (published.body.type === "lines" && published.head !== undefined));

/** The spans that have left the session: their lines are left out. */
const movedIn = (owners: readonly OrphanedFiles[], published: Published | undefined): string =>
  JSON.stringify([
    readMoved(published?.tail?.layout),
    owners.map(({ journal }) => journal.session?.moved ?? []),
  ]);

/** The document without the lines that are known. */
export function withoutLines(published: Published): Published {
  const { body } = published;
  return body.type === "lines" ? { ...published, body: { ...body, from: body.to } } : published;
}
