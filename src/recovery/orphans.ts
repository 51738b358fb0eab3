/**
 * Orphaned side files: taken over by a rename, and read without changes.
 */

import {
  type DocumentHead,
  type DocumentTail,
  decodeHead,
  decodeLine,
  encodeTail,
  isRoot,
  lineKey,
} from "../format/document.js";
import { appendLogPath, journalPath, type SessionFiles } from "../format/file-names.js";
import { emptyJournal, type JournalState, replayTorn, replayWhole } from "../format/journal.js";
import { finite } from "../format/json-value.js";
import { firstEvent, interrupt, interruptedMessage, isOver, type SessionEnd } from "../format/session-end.js";
import { SpanMap, withTrace } from "../format/span-map.js";
import type { TraceSpan } from "../format/trace-file.js";
import { type Awaited, awaitedAfter, awaitedAfterAll, readAwaits } from "../format/under-way.js";
import { isWholeSummary } from "../format/validate.js";
import type { Descriptor } from "../platform/descriptor.js";
import { errorCode, type FileCalls } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { detectorOf } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { type Published, readHeadLine } from "../storage/document-file.js";
import { chunkBytes, type LineRange, lastLine, readRange, type Source, scanLines } from "../storage/lines.js";
import { type SideFiles, tryOpen } from "../storage/side-files.js";

/** A longer rest of a journal is no record that lacks its newline. */
const maxTornBytes = 64_000_000;

const newline = 0x0a;
const comma = 0x2c;

/** The content of the side files of one owner. */
export interface OrphanedFiles extends SideFiles {
  /** The append log, if it exists. The caller that had it read releases it. */
  readonly log: Descriptor | undefined;
  readonly head: DocumentHead | undefined;
  /** The range of the span lines in the append log. */
  readonly from: number;
  readonly to: number;
  /** The tail of a finalized append log, which only lacks its commit. */
  readonly tail: DocumentTail | undefined;
  /** Bytes of the append log after its last whole line. */
  readonly tornBytes: number;
  readonly journal: JournalState;
  /** Spans that have ended in the journal and have no line yet. */
  readonly pending: readonly TraceSpan[];
  /** What the owner's turn waits for: with its open spans, this is what was under way. */
  readonly awaited: Awaited;
  /** The owner is alive: `readTrace` reads its files as well. Recovery reads orphaned files only. */
  readonly isAlive: boolean;
  /** Why the owner is taken for dead, for `summary.detector`. */
  readonly detector: string | undefined;
  /** Time of the last write, in epoch milliseconds. */
  readonly lastWrite: number;
}

/**
 * Takes over the side files of an owner by renaming them to the token `ownToken`. If the owner is alive after all, it
 * misses its file at its next record; the records before that are read here, since reading follows the rename.
 * `undefined`: another recovery was faster.
 */
export function takeOver(
  calls: FileCalls,
  { files, token }: SideFiles,
  ownToken: string,
): SideFiles | undefined {
  let taken = 0;
  for (const path of [appendLogPath, journalPath]) {
    try {
      calls.rename(path(files, token), path(files, ownToken));
      taken++;
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }
  return taken > 0 ? { files, token: ownToken } : undefined;
}

/** The lines of an append log that an earlier reading has. */
export interface EarlierRange {
  readonly to: number;
  readonly spans: Pick<SpanMap<TraceSpan>, "has">;
}

/** File times lag behind the clock by a kernel tick. */
export const fileTimeMillis = 10;

/** The time of a last write, in epoch milliseconds: a span of the last tick is later than the time of its file. */
export const writtenAt = (recordedMillis: number, fileMillis: number): number =>
  recordedMillis <= fileMillis + fileTimeMillis ? Math.max(recordedMillis, fileMillis) : fileMillis;

/** Reads side files without changing them. `earlier`: the range of the lines begins after these. */
export function* readSideFiles(
  { fileSystem, liveness }: Pick<CommitPorts, "fileSystem" | "liveness">,
  { files, token }: SideFiles,
  isAlive: boolean,
  earlier?: EarlierRange,
): Gensync<OrphanedFiles> {
  const log = yield* tryOpen(fileSystem, appendLogPath(files, token));
  let journalFile: Descriptor | undefined;
  try {
    journalFile = yield* tryOpen(fileSystem, journalPath(files, token));
    let lastWrite = 0;
    let journal = emptyJournal();
    if (journalFile) {
      const { fd } = journalFile;
      const { size, mtimeMs } = yield* io.fstat(fd);
      journal = yield* readJournal(fd, size);
      lastWrite = journal.lastWrite ?? mtimeMs;
    }
    const pending = new SpanMap<TraceSpan>(journal.session?.traceId);
    for (const span of journal.spans.values())
      if (span.endTime !== undefined && !earlier?.spans.has(span)) pending.set(span, span);
    let outline: Outline = { head: undefined, from: 0, to: 0, tail: undefined, tornBytes: 0 };
    if (log) {
      const { size, mtimeMs } = yield* io.fstat(log.fd);
      outline = yield* readOutline(log.fd, size, pending, earlier?.to);
      lastWrite = Math.max(lastWrite, mtimeMs);
    }
    // A version without this record wrote the journal, or there is none: the lines, in order, say it as well.
    const before = journal.awaited ?? (log ? yield* awaitedInLines(log.fd, outline) : "user");
    // A span that starts in the tick of the last write is not later than that write.
    const fileMillis = lastWrite;
    for (const { startTime, endTime } of journal.spans.values())
      lastWrite = Math.max(lastWrite, writtenAt(finite(endTime ?? startTime), fileMillis));
    return {
      files,
      token,
      isAlive,
      detector: isAlive ? undefined : detectorOf(liveness, journal.owner ?? token),
      log,
      ...outline,
      journal,
      pending: [...pending.values()],
      awaited: awaitedAfterAll(before, pending.values()),
      lastWrite,
    };
  } catch (error) {
    log?.release();
    throw error;
  } finally {
    // Short, and mostly still there: closing it frees few blocks, if any.
    journalFile?.releaseNow();
  }
}

/** Replays a journal line by line: a file of any size and content is read in bounded memory. */
function* readJournal(fd: number, size: number): Gensync<JournalState> {
  const journal = emptyJournal();
  const from = yield* scanLines(fd, 0, size, (line) => replayWhole(journal, line));
  if (size - from <= maxTornBytes) replayTorn(journal, yield* readRange(fd, from, size));
  else journal.tornBytes = size - from;
  return journal;
}

/** A document that is cut, as the log of a writer that is gone: of such a one the whole lines count. */
export function* cutDocument(
  files: SessionFiles,
  { descriptor, size }: Pick<Published, "descriptor" | "size">,
): Gensync<OrphanedFiles | undefined> {
  const outline = yield* readOutline(descriptor.fd, size, new SpanMap<TraceSpan>(undefined));
  if (!outline.head || outline.tail) return undefined;
  const { mtimeMs: lastWrite } = yield* io.fstat(descriptor.fd);
  return {
    files,
    token: "",
    isAlive: false,
    detector: undefined,
    log: descriptor,
    ...outline,
    journal: emptyJournal(),
    pending: [],
    awaited: yield* awaitedInLines(descriptor.fd, outline),
    lastWrite,
  };
}

type Outline = Pick<OrphanedFiles, "head" | "from" | "to" | "tail" | "tornBytes">;

/** Finds head, lines, tail and torn end of an append log. Removes the spans that have lines from `pending`. */
function* readOutline(fd: number, size: number, pending: SpanMap<TraceSpan>, earlier = 0): Gensync<Outline> {
  const first = yield* readHeadLine(fd, size);
  const head = decodeHead(first);
  const from = Math.max(earlier, head ? first.length : 0);
  const last = yield* lastLine(fd, size);
  const decoded = decodeLine(last.line, last.from);
  const to = Math.max(from, decoded.type === "tail" ? last.from : last.to);
  if (pending.size > 0) {
    const dropPending = (line: Buffer) => {
      const key = lineKey(line);
      if (key) pending.delete({ ...key, traceId: key.traceId ?? head?.traceId });
    };
    yield* scanLines(fd, from, to, dropPending);
  }
  // A tail is the end of its file: with bytes after it, it is none.
  const tail = decoded.type === "tail" && last.to === size ? decoded.tail : undefined;
  return { head, from, to, tail, tornBytes: size - last.to };
}

function* awaitedInLines(fd: number, { from, to }: Outline): Gensync<Awaited> {
  let awaited: Awaited = "user";
  const follow = (line: Buffer, offset: number) => {
    const decoded = decodeLine(line, offset);
    if (decoded.type === "span") awaited = awaitedAfter(awaited, decoded.span);
  };
  yield* scanLines(fd, from, to, follow);
  return awaited;
}

/** The lines of an append log, as a source of a merge, without the lines that the published document begins with. */
export function* logSource(
  { from, to, head, journal }: OrphanedFiles,
  fd: number,
  into: DocumentHead,
  published: Source | undefined,
): Gensync<Source> {
  const traceId = head?.traceId ?? journal.session?.traceId ?? into.traceId;
  const own = { type: "lines" as const, fd, from, to, traceId };
  if (published?.type !== "lines" || published.traceId !== traceId) return own;
  return { ...own, from: from + (yield* commonLines(published, own)) };
}

/** Oldest writer first: its start is the start of the session, and later writers override its metadata. */
export const byAge = (a: OrphanedFiles, b: OrphanedFiles): number =>
  compare(startOf(a), startOf(b)) || a.lastWrite - b.lastWrite;

const startOf = ({ head, journal }: OrphanedFiles): string => (head ?? journal.session)?.startedAt ?? "";

const compare = (a: string, b: string): number => Number(a > b) - Number(a < b);

/** What the writers without orphaned files wait for, as the document has it. */
export function awaitsOfOthers(
  published: DocumentTail | undefined,
  orphans: readonly OrphanedFiles[],
): Map<string, Awaited> {
  const awaits = published && !isOver(published.summary) ? readAwaits(published.layout.awaits) : new Map();
  for (const { journal, token } of orphans) awaits.delete(journal.owner ?? token);
  return awaits;
}

/** The pending spans, as sources of a merge: those of a dead owner behind the generations for which they wait. */
export function pendingSources(one: OrphanedFiles, into: DocumentHead): Source[] {
  const waiting = waitingIn(one);
  const spans = one.isAlive
    ? one.pending.filter((span) => !waiting.has(span))
    : [...interruptedIn(one), ...one.pending];
  const traceId = one.journal.session?.traceId ?? one.head?.traceId ?? into.traceId;
  return spans.length > 0 ? [{ type: "spans", spans, traceId }] : [];
}

/** The open generations of a dead owner for which pending spans wait, as interrupted by the death. */
export function interruptedIn(one: OrphanedFiles): TraceSpan[] {
  if (one.isAlive) return [];
  const parents = new Set([...waitingIn(one).values()].map(({ parentSpanId }) => parentSpanId));
  return [...one.journal.spans.values()]
    .filter(({ spanId }) => parents.has(spanId))
    .map((span) => interrupt(span, one.lastWrite, interruptedMessage));
}

/** The pending spans whose parents are open. */
export function waitingIn({ journal, pending }: OrphanedFiles): SpanMap<TraceSpan> {
  const waiting = new SpanMap<TraceSpan>(journal.session?.traceId);
  if (pending.length === 0) return waiting;
  const open = new Set<string>();
  for (const { spanId, endTime } of journal.spans.values()) if (endTime === undefined) open.add(spanId);
  for (const span of pending)
    if (span.parentSpanId !== null && open.has(span.parentSpanId)) waiting.set(span, span);
  return waiting;
}

/** Whether a finalized append log can take the name of its session unchanged: any of its lines may be corrupt. */
export function* isIntact({ log, head, from, to, tail, journal }: OrphanedFiles): Gensync<boolean> {
  const root = tail?.spans.find(isRoot);
  if (!log || !head || !tail || !root || !isWholeSummary(tail.summary)) return false;
  // All spans are children of the session span: one changed digit of its id would detach them, and still decode.
  if (journal.session && journal.session.root.spanId !== root.spanId) return false;
  let isIntact = true;
  const found = new SpanMap<true>(head.traceId);
  for (const span of tail.spans) if (span !== root) found.set(span, true);
  const check = (line: Buffer, offset: number) => {
    const hasComma = line[0] === comma;
    const decoded = decodeLine(line, offset);
    if (decoded.type !== "span" || hasComma !== offset > from || found.has(decoded.span)) isIntact = false;
    else found.set(decoded.span, true);
  };
  yield* scanLines(log.fd, from, to, check);
  // Decoding a tail drops unknown and invalid members, so the encoded bytes are compared as well.
  const encoded = encodeTail(tail, to, to === from);
  const bytes = yield* readRange(log.fd, to, to + encoded.length + 1);
  const isWhole = [...journal.spans.values()].every((span) => found.has(span));
  return isIntact && isWhole && bytes.equals(encoded);
}

/**
 * The number of bytes, in whole lines, that two files begin with alike. A published document is a copy of the append log
 * at that time, and comparing lines costs about a tenth of parsing them.
 */
export function* commonLines(a: LineRange, b: LineRange): Gensync<number> {
  const most = Math.min(a.to - a.from, b.to - b.from);
  let whole = 0;
  for (let done = 0; done < most; ) {
    const wanted = Math.min(chunkBytes, most - done);
    const ours = yield* readRange(a.fd, a.from + done, a.from + done + wanted);
    const theirs = yield* readRange(b.fd, b.from + done, b.from + done + wanted);
    const alike = commonBytes(ours, theirs);
    const end = alike === 0 ? -1 : ours.lastIndexOf(newline, alike - 1);
    if (end >= 0) whole = done + end + 1;
    done += alike;
    if (alike < wanted) break;
  }
  return whole;
}

/** The number of bytes that both begin with. */
function commonBytes(a: Buffer, b: Buffer): number {
  const most = Math.min(a.length, b.length);
  if (a.subarray(0, most).equals(b.subarray(0, most))) return most;
  // Bisection: each comparison is one comparison of memory.
  let [same, different] = [0, most];
  while (different - same > 1) {
    const middle = (same + different) >> 1;
    if (a.subarray(same, middle).equals(b.subarray(same, middle))) same = middle;
    else different = middle;
  }
  return same;
}

/** The verdict of a process hook that no later span or call of the process has taken back. */
export function verdictIn({ journal, isAlive }: OrphanedFiles): SessionEnd | undefined {
  const end = isAlive ? undefined : journal.session?.fenced?.end;
  return end && { ...end, provisional: undefined };
}

/** What made an owner end: the first that a process hook found in its last grace period. */
export function firstDetector({ journal, lastWrite, detector }: OrphanedFiles): string | undefined {
  return firstEvent(journal.session?.fenced, { reason: "", detector }, lastWrite).detector ?? detector;
}

/** Orphaned files and a document without open spans that have moved to another session. */
export function withoutMoved(
  orphans: readonly OrphanedFiles[],
  published: Published | undefined,
): { readonly orphans: readonly OrphanedFiles[]; readonly published: Published | undefined } {
  const moved = new SpanMap<true>();
  for (const { journal } of orphans)
    for (const span of journal.session?.moved ?? [])
      if (span.to !== journal.session?.id) moved.set(span, true);
  if (moved.size === 0) return { orphans, published };
  const tail = published?.tail;
  const traceId = published?.head?.traceId ?? "";
  const spans = tail?.spans.filter((span) => !moved.has(withTrace(span, traceId))) ?? [];
  return {
    published: published && { ...published, tail: tail && { ...tail, spans } },
    orphans: orphans.map((one) => {
      const left = new SpanMap<TraceSpan>();
      for (const span of one.journal.spans.values()) if (!moved.has(span)) left.set(span, span);
      const pending = one.pending.filter((span) => !moved.has(span));
      return { ...one, pending, journal: { ...one.journal, spans: left } };
    }),
  };
}
