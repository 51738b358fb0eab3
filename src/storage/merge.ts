/**
 * Making the own append log hold every line of the published document: after a resume, beside a peer writer, and after a
 * recovery that took the own file by mistake. Also replaces the append log when it has a tail or has grown past its cap.
 */

import { mergeHeads } from "../format/beginnings.js";
import type { SelectLines } from "../format/cap.js";
import { type DocumentHead, decodeLine, lineKey, lineParent } from "../format/document.js";
import type { MovedSpan } from "../format/journal.js";
import { isBelowSession, otherParentOf, ParentPlaces } from "../format/parent-places.js";
import { type SpanIds, SpanMap } from "../format/span-map.js";
import { missingCounters } from "../format/summary.js";
import { pendingSpans } from "../format/tail.js";
import type { Descriptor } from "../platform/descriptor.js";
import { type Gensync, pause, runSync, sync } from "../platform/gensync.js";
import { isHeld, locksOpenFiles } from "../platform/ground.js";
import type { NewFile } from "./build-file.js";
import { isSwept } from "./commit.js";
import { keepDamaged, openPublished, type Published, readHeadLine } from "./document-file.js";
import { isSameVersion } from "./identity.js";
import { type Source, scanLines } from "./lines.js";
import { MergedFile } from "./merged-file.js";
import type { Placement } from "./merged-line.js";
import type { SessionWriter } from "./session-writer.js";

/** Copies of an append log at most that another program keeps from taking their name. */
const heldCopies = 5;

/** Lines that were added while the merge was built, and are copied in one turn of the event loop: at most so many bytes. */
const catchUpBytes = 256 * 1024;

/** Where spans stand in a file of the session, as far as its lines and the spans without lines decide it. */
export const placementOf = ({ session }: SessionWriter): Placement => ({
  places: new ParentPlaces(session.head.id),
  rootSpanId: session.rootSpanId,
  open: { has: (span) => session.openSpans.has(span) || session.peerSpans.has(span) },
});

/** The spans of a published document that have lines, as a source. */
export function publishedSources({ descriptor, head, body }: Published): Source[] {
  const traceId = head?.traceId ?? "";
  if (body.type === "lines")
    return [{ type: "lines", fd: descriptor.fd, from: body.from, to: body.to, traceId }];
  return body.type === "spans" ? [{ type: "spans", spans: body.spans, traceId }] : [];
}

/** Of these documents, which were the first sources of a merge, those with corrupt lines. */
export function withCorruptLines(known: readonly Published[], { corruptLines }: MergedFile): Published[] {
  const sources = known.filter(({ body }) => body.type !== "unreadable");
  return sources.filter((_, index) => corruptLines.some(({ source }) => source === index));
}

/** Merges the lines of the document under the session's name, if there is one, into the own append log. */
export function* merge(writer: SessionWriter, current: Published | undefined): Gensync<void> {
  const { session } = writer;
  const resumed = writer.base.isMerged ? undefined : writer.base.published;
  // Resumed from this very document: its totals are known, its lines cannot be ours.
  const isResume = resumed !== undefined && isSameDocument(resumed, current);
  const known: Published[] = [];
  // The document that the session was resumed from is gone (retention, another writer): its lines are still to be kept.
  if (resumed && !isResume) known.push(resumed);
  if (current) known.push(current);
  if (current) session.moved.learn(current, session.openSpans);
  for (const published of known) {
    if (published.body.type === "unreadable")
      yield* keepDamaged(writer.ports.fileSystem, writer.files, writer.token, published);
  }

  const head = mergedHead(writer, current);
  // Known totals count ended spans of the tail; their owner gives those a line, and they are counted then.
  const hasTotals = isResume && !session.countsOpenSpans && pendingSpans(resumed.tail).length === 0;
  const missing = hasTotals && resumed.tail ? missingCounters(resumed.tail.summary) : [];
  const isCounted = hasTotals && missing.length === 0;
  const placement = placementOf(writer);
  const isCountedAnew = current !== undefined && !isCounted;
  yield* replaceLog(writer, { head, known, count: isCountedAnew, placement }, (merged) => {
    if (current && !isResume) session.adopt(current, merged.totals);
    else if (merged.totals) session.setTotals(merged.totals, hasTotals ? missing : undefined);
    session.setHead(head);
    if (resumed && !isResume) session.keepPeerSpans(pendingSpans(resumed.tail), resumed.head?.traceId ?? "");
    session.dropPeerSpansWithLines(merged);
    writer.base.set(current, true);
  });
}

/**
 * Replaces the own append log by a file with the same lines: when another process renamed or deleted the log, when the
 * log has a tail, and with `select` when the log grew past its cap.
 */
export function* rewriteLog(writer: SessionWriter, select?: SelectLines): Gensync<void> {
  const request = {
    head: writer.session.head,
    known: [],
    count: false,
    select,
    placement: placementOf(writer),
  };
  yield* replaceLog(writer, request, () => {});
}

/**
 * Spans stand under their parents, or under the session span, as far as that has changed. `isEnd`: also those that nothing
 * has noted. Returns the bytes that were written. Throws; then nothing has changed.
 */
export function* placeSpans(writer: SessionWriter, isEnd: boolean): Gensync<number> {
  const { session, log } = writer;
  const { head, moved, rootSpanId } = session;
  const { displaced } = moved;
  const isElided = isEnd && log.hasElisionMarker;
  const isLate = isEnd && (moved.hasWaiting || isElided);
  if (displaced.length === 0 && !isLate) return 0;
  const { open, ...placement } = { ...placementOf(writer), places: new ParentPlaces(head.id, displaced) };
  const { places } = placement;
  const own = log.ensureOpen().hold();
  let isNamed = false;
  try {
    const from = (yield* readHeadLine(own.fd, log.size)).length;
    const waiting = new SpanMap<MovedSpan>(head.traceId);
    const parents = new SpanMap<MovedSpan>(head.traceId);
    yield* scanLines(own.fd, from, log.size, (line) => {
      isNamed ||= places.mayConcern(line);
      const other = isLate && isBelowSession(line) ? otherParentIn(line, rootSpanId) : undefined;
      const spanId = other ?? (isElided ? lineParent(line) : undefined);
      if (spanId === undefined || spanId === rootSpanId) return;
      const parent = { spanId, traceId: lineKey(line)?.traceId ?? head.traceId, to: "" };
      (other === undefined ? parents : waiting).set(parent, parent);
    });
    const findParent = (line: Buffer) => {
      const key = lineKey(line);
      if (key) parents.delete(key);
      const parent = key && waiting.delete(key);
      if (parent) places.addHere(parent);
      isNamed ||= parent !== undefined;
    };
    if (waiting.size + parents.size > 0) yield* scanLines(own.fd, from, log.size, findParent);
    // Parents that are not open and have no line: an elision marker stands for them.
    for (const parent of parents.values()) {
      if (open?.has(parent)) continue;
      places.add(parent);
      isNamed = true;
    }
  } finally {
    own.release();
  }
  if (isNamed) yield* replaceLog(writer, { head, known: [], count: false, placement }, () => {});
  moved.forgetDisplaced(displaced);
  return isNamed ? log.size : 0;
}

function otherParentIn(line: Buffer, rootSpanId: string): string | undefined {
  const decoded = decodeLine(line, -1);
  return decoded.type === "span" ? otherParentOf(decoded.span, rootSpanId)?.spanId : undefined;
}

/** Replaces the head of the own append log, which has no lines yet. Throws; then nothing has changed. */
export function* rewriteHead(writer: SessionWriter, head: DocumentHead): Gensync<void> {
  yield* replaceLog(writer, { head, known: [], count: false }, () => writer.session.setHead(head));
}

/** Recreates side files that a recovery took, that were deleted, or whose sync failed. A fault is reported. */
export function recreateIfRemoved(writer: SessionWriter): void {
  const isDoubtful = writer.log.isDoubtful || writer.journal.isDoubtful;
  if (isDoubtful || writer.log.isRemoved() || writer.journal.checkRemoved()) recreateFiles(writer);
}

/** Builds the side files again. A fault is reported. */
export function recreateFiles(writer: SessionWriter): void {
  const { fileSystem, events } = writer.ports;
  let failure: { readonly error: unknown } | undefined;
  try {
    writer.log.ensureDirectory();
    // The append log first; a journal that exists stays: it has the start of a span until the span's line has a name.
    const isDoubtful = writer.log.isDoubtful && writer.log.isSettled;
    if (isDoubtful || writer.log.isRemoved()) runSync(fileSystem, rewriteLog(writer));
    const found = runSync(fileSystem, openPublished(fileSystem, writer.files));
    if (found) writer.session.outlive(found);
    found?.descriptor.release();
  } catch (error) {
    failure = { error };
  }
  writer.journal.recreateIfRemoved();
  // Records in the removed file are acknowledged only now.
  writer.syncRecords();
  if (failure) events.onFault(failure.error, writer.log.path);
}

interface ReplaceRequest {
  readonly head: DocumentHead;
  /** Documents whose lines come first. */
  readonly known: readonly Published[];
  /** Whether totals are counted anew. */
  readonly count: boolean;
  readonly select?: SelectLines | undefined;
  readonly placement?: Placement;
}

/**
 * Builds a file, gives it the name of the append log, and calls `onReplaced` in the same turn. Throws when the file
 * system refuses; then nothing has changed.
 */
function* replaceLog(
  writer: SessionWriter,
  request: ReplaceRequest,
  onReplaced: (merged: MergedFile) => void,
): Gensync<void> {
  for (let copies = 1; ; copies++) {
    if (yield* writer.buildFile((file) => buildReplacement(writer, request, onReplaced, { file, copies })))
      return;
    // Another program may hold the append log for a moment (Windows: virus scanners, indexers).
    if (copies > 1) yield* pause(2 ** copies);
  }
}

/** `false`: the append log was replaced meanwhile, or another process removed the new file; to be built again. */
function* buildReplacement(
  writer: SessionWriter,
  { head, known, count, select, placement }: ReplaceRequest,
  onReplaced: (merged: MergedFile) => void,
  { file, copies }: { readonly file: NewFile; readonly copies: number },
): Gensync<boolean> {
  const { session, log, ports } = writer;
  const ownTraceId = session.head.traceId;
  const held = log.ensureOpen();
  let own: Descriptor | undefined = held.hold();
  try {
    const ownLines = (from: number, to: number): Source => ({
      type: "lines",
      fd: held.fd,
      from,
      to,
      traceId: ownTraceId,
    });
    const headEnd = (yield* readHeadLine(held.fd, log.size)).length;
    let to = log.size;
    // A recovery that took this owner for dead gave these spans lines; they run on, and end in lines of their own.
    const open = session.openSpans.inDocument(head.traceId);
    // The document of a process hook has lines of spans that have moved since then.
    const running = { has: (span: SpanIds) => open.has(span) || session.moved.has(span) };
    // Published lines may be corrupt by now, and a corrupt line that is copied as it is would make ours no document, too.
    const merged = new MergedFile(file.fd, head, { parse: known.length > 0, count, running, placement });
    yield* merged.write([...known.flatMap(publishedSources), ownLines(headEnd, to)], select);
    yield* merged.sync();
    for (const published of withCorruptLines(known, merged))
      yield* keepDamaged(ports.fileSystem, writer.files, writer.token, published);
    while (log.descriptor === held && log.size - to > catchUpBytes) {
      const until = log.size;
      yield* merged.append(ownLines(to, until));
      yield* merged.sync();
      to = until;
    }
    return sync(() => {
      if (log.descriptor !== held) return false;
      if (log.size > to) {
        runSync(ports.fileSystem, merged.append(ownLines(to, log.size)));
        runSync(ports.fileSystem, merged.sync());
      }
      if (!log.isSettled && log.tail === "none") throw log.fault;
      // The journal must not have starts whose ends are about to leave the document: they would look interrupted.
      if (select && !writer.journal.rewrite()) return true;
      if (locksOpenFiles(ports.fileSystem)) {
        own?.releaseNow();
        own = undefined;
        log.closeToReplace();
      }
      try {
        ports.fileSystem.sync.rename(file.path, log.path);
      } catch (error) {
        if (isSwept(error, copies) || (isHeld(error) && copies < heldCopies)) return false;
        throw error;
      }
      file.markRenamed();
      const { size, lines, hasMarker: hasElisionMarker } = merged;
      log.replace({ descriptor: file.descriptor.hold(), size, lines, hasElisionMarker });
      onReplaced(merged);
      return true;
    });
  } finally {
    own?.release();
  }
}

const isSameDocument = (a: Published, b: Published | undefined): boolean =>
  b !== undefined && isSameVersion(a.identity, b.identity);

/** The published head wins, so that all writers of a session agree; the session began at the earliest start. */
function mergedHead({ session, files }: SessionWriter, current: Published | undefined): DocumentHead {
  const own = session.head;
  return mergeHeads({ id: own.id, sessionId: files.name }, current?.head ? [current.head, own] : [own]);
}
