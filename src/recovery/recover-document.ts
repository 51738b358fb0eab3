/**
 * Builds the document of a session whose owners are dead: the published spans, the spans that the owners recorded since,
 * and the spans that were running, as interrupted.
 */

import { mergeHeads, mergeSessionSpans, sessionSpan } from "../format/beginnings.js";
import { keepLines } from "../format/cap.js";
import { type DocumentHead, type DocumentTail, encodeTail, isoTime, isRoot } from "../format/document.js";
import { documentPath, type SessionFiles } from "../format/file-names.js";
import { type JournaledSession, placedBeside } from "../format/journal.js";
import { jsonText } from "../format/json-value.js";
import {
  implicitEnd,
  interrupt,
  interruptedMessage,
  isOver,
  recordedEnd,
  rootEndOf,
  type SessionEnd,
  statusRank,
  worseEnd,
} from "../format/session-end.js";
import { inTrace, SpanMap, withTrace } from "../format/span-map.js";
import { buildTail, endMark, parentsFirst, pendingSpans } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import type { FileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { type LineSink, writeAll } from "../storage/lines.js";
import { publishedSources, withCorruptLines } from "../storage/merge.js";
import { Beside, MergedFile, type Source } from "../storage/merged-file.js";
import {
  awaitsOfOthers,
  byAge,
  firstDetector,
  interruptedIn,
  logSource,
  type OrphanedFiles,
  pendingSources,
  verdictIn,
  waitingIn,
  withoutMoved,
} from "./orphans.js";
import type { RecoveredSession } from "./recover-traces.js";

/** The files of a session, and where its document goes. */
export interface RecoveryInput {
  readonly id: string;
  readonly files: SessionFiles;
  readonly published: Published | undefined;
  readonly orphans: readonly OrphanedFiles[];
  readonly out: LineSink;
  /** Whether another writer still writes to the session: then the session goes on. */
  readonly hasPeers: boolean;
}

/** `summary.error` of a session whose process ended without an end of the session. */
const crashError = "The process ended without closing the session";

/** A recovered document. */
export interface RecoveredDocument {
  readonly report: RecoveredSession;
  /** Orphaned files whose append log has corrupt lines. */
  readonly corrupt: ReadonlySet<OrphanedFiles>;
  /** Whether the published file is no document, or has corrupt lines. */
  readonly isPublishedCorrupt: boolean;
  readonly head: DocumentHead;
  readonly tail: DocumentTail;
}

/** Writes the document. If the published document is complete, `action` of the report is `swept`. */
export async function recoverDocument(
  fileSystem: FileSystem,
  given: RecoveryInput,
): Promise<RecoveredDocument> {
  const orphansByAge = [...given.orphans].sort(byAge);
  const input = { ...given, ...withoutMoved(orphansByAge, given.published) };
  const { id, files, published, orphans, out, hasPeers } = input;
  const head = headOf(input);
  const fromPublished = published ? publishedSources(published) : [];
  // A living peer writer may own these spans: it gives them their lines.
  const pending = hasPeers ? [] : pendingSpans(published?.tail);
  if (pending.length > 0)
    fromPublished.push({ type: "spans", spans: pending, traceId: published?.head?.traceId ?? "" });
  const root = rootOf(input, head);
  const beside = new Beside(
    orphans.flatMap(({ journal }) => journal.session?.moved ?? []),
    root.spanId,
  );
  const merged = new MergedFile(out, head, { parse: true, beside, running: beside.spans });
  const fromLogs: Source[] = [];
  for (const one of orphans)
    if (one.log) fromLogs.push(await logSource(fileSystem, one, one.log.fd, head, fromPublished[0]));
  const lines = [...fromPublished, ...fromLogs];
  // Pending spans come last: another writer may have older lines of them.
  const sources = [...lines, ...orphans.flatMap((one) => pendingSources(one, head))];
  await runAsync(
    fileSystem,
    merged.write(sources, (count, hasMarker) => {
      const { spans, stillOpen } = closedByCrash(input, { merged, beside, head, root });
      const others = spans.length + stillOpen.length + 1;
      return keepLines({ lines: count, hasMarker, others }, { id, rootSpanId: root.spanId });
    }),
  );
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + (count ?? 0), 0);
  // The document lacks an end, too, if it has the span as interrupted by a process that did not know of the end.
  const corrected = sum(merged.corrected.slice(0, fromPublished.length));
  const recovered = sum(merged.firstSeen.slice(fromPublished.length)) + corrected;
  const changed = sum(merged.taken.slice(lines.length));

  const closed = closedByCrash(input, { merged, beside, head, root });
  await runAsync(fileSystem, merged.append({ type: "spans", spans: closed.spans, traceId: head.traceId }));
  const end = endOf(input, closed, recovered + changed + closed.spans.length > 0);
  const tail = tailOf(input, { head, root, end, totals: merged.totals, open: closed.stillOpen });
  if (typeof out === "number" && end.isNew) {
    await runAsync(fileSystem, writeAll(out, encodeTail(tail, merged.size, merged.lines === 0)));
    await fileSystem.async.fdatasync(out);
  }

  const withLog = orphans.filter((one) => one.log);
  const corrupt = new Set(
    merged.corruptLines.flatMap(({ source }) => withLog[source - fromPublished.length] ?? []),
  );
  const report: RecoveredSession = {
    id,
    path: documentPath(files),
    action: end.isNew ? "rebuilt" : "swept",
    status: tail.summary.status,
    recoveredSpans: recovered + closed.spans.length,
    interrupted: [
      ...orphans.flatMap(interruptedIn).filter((span) => merged.hasInterrupted(span)),
      ...closed.spans,
    ]
      .filter((span) => span.interrupted)
      .map((span) => span.name),
    tornBytes: orphans.reduce((bytes, one) => bytes + one.tornBytes + one.journal.tornBytes, 0),
    corruptLines:
      merged.corruptLines.length + orphans.reduce((count, one) => count + one.journal.corruptLines, 0),
    keptAs: [],
  };
  const isPublishedCorrupt =
    published !== undefined &&
    (published.body.type === "unreadable" || withCorruptLines([published], merged).length > 0);
  return { report, corrupt, isPublishedCorrupt, head, tail };
}

function headOf({ id, files, published, orphans }: RecoveryInput): DocumentHead {
  const heads = [published?.head, ...orphans.map((one) => one.head ?? one.journal.session)].filter(
    (head) => head !== undefined,
  );
  const unknown = { traceId: "", startedAt: isoTime(lastWrite(orphans)) };
  return mergeHeads({ id, sessionId: files.name }, heads.length > 0 ? heads : [unknown]);
}

const lastWrite = (orphans: readonly OrphanedFiles[]): number =>
  Math.max(0, ...orphans.map((one) => one.lastWrite));

/** What a document is built of, besides its input. */
interface Built {
  readonly merged: MergedFile;
  readonly beside: Beside;
  readonly head: DocumentHead;
  readonly root: TraceSpan;
}

interface ClosedSpans {
  readonly spans: readonly TraceSpan[];
  readonly stillOpen: readonly TraceSpan[];
  /** The dead owners that had a span open. */
  readonly cut: ReadonlySet<OrphanedFiles>;
  /** Open spans and waiting turns of the document that no side file has. */
  readonly ownerless: number;
}

/**
 * Spans without lines. `spans`: those of dead owners, and those of the published tail that no living writer owns; they
 * get their lines now, and open ones are interrupted. `stillOpen`: those of living writers.
 */
function closedByCrash(
  { published, orphans, hasPeers }: RecoveryInput,
  { merged, beside, head, root }: Built,
): ClosedSpans {
  const spans = new SpanMap<TraceSpan>(head.traceId);
  const stillOpen = new SpanMap<TraceSpan>(head.traceId);
  const cut = new Set<OrphanedFiles>();
  const close = (span: TraceSpan, at: number) => {
    if (merged.has(span) || isRoot(span) || isDamagedRoot(span, root)) return;
    const placed = placedBeside(beside.spans, span, root.spanId, head.traceId);
    spans.set(span, span.endTime === undefined ? interrupt(placed, at, interruptedMessage) : placed);
  };
  for (const one of orphans) {
    const traceId = one.journal.session?.traceId || one.head?.traceId || "";
    const waiting = waitingIn(one);
    for (const journaled of one.journal.spans.values()) {
      const span = withTrace(journaled, traceId);
      // An interrupted line of a span that was started here: the owner died while it wrote the end of the session.
      if (span.endTime === undefined && !one.isAlive && (!merged.has(span) || merged.hasInterrupted(span)))
        cut.add(one);
      if (!one.isAlive || (span.endTime !== undefined && !waiting.has(span))) close(span, one.lastWrite);
      else if (!merged.has(span)) stillOpen.set(span, span);
    }
    if (hasPeers) continue;
    for (const span of one.tail?.spans ?? []) close(withTrace(span, one.head?.traceId ?? ""), one.lastWrite);
  }
  let ownerless = 0;
  for (const listed of published?.tail?.spans ?? []) {
    const span = withTrace(listed, published?.head?.traceId ?? "");
    if (isRoot(span) || spans.has(span) || merged.has(span)) continue;
    if (!hasPeers) {
      if (span.endTime === undefined) ownerless++;
      close(span, Date.parse(published?.tail?.endedAt ?? "") || span.startTime);
    } else if (!stillOpen.has(span)) stillOpen.set(span, span);
  }
  if (!hasPeers) ownerless += awaitsOfOthers(published?.tail, orphans).size;
  return {
    spans: parentsFirst([...spans.values()].map((span) => inTrace(span, head.traceId))),
    stillOpen: [...stillOpen.values()],
    cut,
    ownerless,
  };
}

/** The session span of a tail in which a byte has flipped. A span of the program with this id has a parent, and another kind. */
const isDamagedRoot = ({ spanId, parentSpanId, kind }: TraceSpan, root: TraceSpan): boolean =>
  spanId === root.spanId && (parentSpanId === null || kind === "session");

/** File times lag behind the clock by a kernel tick. */
const fileTimeMillis = 10;

/** The time of the last write, in epoch milliseconds: a span of the last tick is later than the time of its file. */
const atLeast = (lastEnd: number, writtenMillis: number): number =>
  lastEnd <= writtenMillis + fileTimeMillis ? Math.max(lastEnd, writtenMillis) : writtenMillis;

/** The session span, as one of the writers had it. */
function rootOf({ id, published, orphans }: RecoveryInput, head: DocumentHead): TraceSpan {
  const known = [
    ...orphans.map((one) => one.journal.session?.root),
    ...[published?.tail, ...orphans.map((one) => one.tail)].flatMap((tail) => tail?.spans),
  ].filter((span) => span !== undefined && isRoot(span)) as TraceSpan[];
  return mergeSessionSpans(known[0] ?? sessionSpan({ id, startTime: Date.parse(head.startedAt) }), known);
}

interface End {
  /** Absent while a writer has the session. */
  readonly end: SessionEnd | undefined;
  /** The error of the end, or of a writer that has ended before the session. */
  readonly error: string | undefined;
  readonly isRecovered: boolean;
  /** What ended a writer that was under way, while the session went on. */
  readonly lostWriter?: string | undefined;
  /** Whether the published document lacks this end or any span. */
  readonly isNew: boolean;
}

/** Whether a writer that resumed the session from this very end has other metadata, and died before its first span. */
function bringsMetadata({ journal, isAlive }: OrphanedFiles, tail: DocumentTail): boolean {
  if (isAlive || !journal.session || !isResumedBy(journal.session, tail)) return false;
  return Object.entries(journal.session.metadata).some(
    ([key, value]) => jsonText(value) !== jsonText(tail.metadata[key as keyof SessionMetadata]),
  );
}

/** Whether a writer resumed the session from this very end. Times do not show it: the clock may have been set back. */
const isResumedBy = ({ resumed }: JournaledSession, tail: DocumentTail): boolean =>
  resumed !== undefined && (resumed === endMark(tail) || resumed === tail.endedAt);

/**
 * How the session ended. A crash or an end that a writer recorded holds. An owner that recorded no end crashed if work
 * of it was under way; without any, the session is complete.
 */
function endOf(
  { published, orphans, hasPeers }: RecoveryInput,
  closed: ClosedSpans,
  hasNewSpans: boolean,
): End {
  const before = published?.tail;
  const wasOver = before !== undefined && isOver(before.summary);
  const tails = orphans.map((one) => one.tail).filter((tail) => tail !== undefined);
  // Dead owners whose work was under way: a span was open, or the turn waited.
  const endless = orphans.filter((one) => one.tail === undefined && !one.isAlive && !verdictIn(one));
  const cut = endless.filter((one) => one.awaited !== "user" || closed.cut.has(one));
  // The document has this end already, or a worse one: only the side files have outlived their commit.
  const isKnown = (tail: DocumentTail) =>
    wasOver &&
    endMark(tail) <= endMark(before) &&
    rankOf(recordedEnd(tail.summary)) <= statusRank[before.summary.status];
  const lacksDetector =
    before?.summary.detector === undefined && cut.some(({ awaited }) => awaited !== "user");
  if (!hasNewSpans && wasOver && tails.every(isKnown) && !lacksDetector) {
    const { error, detector } = before.summary;
    return {
      end: recordedEnd(before.summary),
      error,
      lostWriter: detector,
      isRecovered: before.layout.recovered === true,
      isNew: orphans.some((one) => bringsMetadata(one, before)),
    };
  }
  // The end that an owner resumed from no longer counts.
  const hasResumed = ({ journal: { session } }: OrphanedFiles) =>
    wasOver && session !== undefined && isResumedBy(session, before);
  const isResumed = orphans.some(hasResumed);
  const ends = [...(before && !isResumed ? [before] : []), ...tails];
  const isCrashRecorded = ends.some(
    ({ summary, layout }) =>
      summary.status === "crashed" && !layout.recovered && layout.provisional === undefined,
  );
  const lostWriter =
    cut.map(firstDetector).find((one) => one !== undefined) ??
    (isResumed || (wasOver && hasPeers) ? undefined : before?.summary.detector);
  if (hasPeers && !isCrashRecorded) {
    // The error of one of several writers waits for the end of the last one. An end before these writers does not count.
    const error = [...(wasOver ? [] : ends), ...tails].find(({ summary }) => summary.error)?.summary.error;
    return { end: undefined, error, lostWriter, isRecovered: false, isNew: true };
  }
  const recordedEnds = [...ends.map(({ summary }) => recordedEnd(summary)), ...orphans.map(verdictIn)];
  const recorded = recordedEnds.reduce(worseEnd, undefined);
  // A writer that ended the session after an owner had died ended it for both.
  const endedMillis = wasOver ? Date.parse(endMark(before)) || 0 : 0;
  // An end beside an owner whose lease had not expired yet, and that had died: the last container, for example.
  const leftMillis = Math.max(...[before, ...tails].map((tail) => Date.parse(tail?.layout.left ?? "") || 0));
  const outlived = (one: OrphanedFiles) =>
    Math.max(endedMillis, one.detector === "lease expired" ? leftMillis : 0) >=
    one.lastWrite + fileTimeMillis;
  // Another process took the owner for dead and ended the session, and the owner went on.
  const wentOn = ({ journal: { session } }: OrphanedFiles) =>
    wasOver && session?.outlived !== undefined && session.outlived === endMark(before);
  const crashed = cut.filter((one) => !outlived(one) || hasResumed(one) || wentOn(one));
  // Nothing says which writer left these: a document without side files was under way.
  const hasCrashed = crashed.length > 0 || (!wasOver && closed.ownerless > 0);
  if (hasCrashed && recorded?.status !== "crashed") {
    const detector = crashed.map(firstDetector).find((one) => one !== undefined);
    const end: SessionEnd = { status: "crashed", error: crashError, detector, isImplicit: true };
    return { end, error: crashError, isRecovered: true, isNew: true };
  }
  const end = recorded ?? implicitEnd;
  return {
    end,
    error: end.error,
    lostWriter: end.status === "crashed" ? undefined : lostWriter,
    isRecovered: end.status === "crashed" && !isCrashRecorded,
    isNew: true,
  };
}

const rankOf = (end: SessionEnd | undefined): number => statusRank[end?.status ?? "running"];

interface Contents {
  readonly head: DocumentHead;
  readonly root: TraceSpan;
  readonly end: End;
  readonly totals: Totals | undefined;
  readonly open: readonly TraceSpan[];
}

function tailOf(
  { published, orphans }: RecoveryInput,
  { head, root, end, totals = new Totals(), open }: Contents,
): DocumentTail {
  const tails = [published?.tail, ...orphans.map((one) => one.tail)].filter((one) => one !== undefined);
  // Not by assignment: it would set the prototype for a member `__proto__` of a file.
  const metadata: SessionMetadata = Object.fromEntries(
    [published?.tail, ...orphans.flatMap((one) => [one.journal.session, one.tail])].flatMap((one) =>
      Object.entries(one?.metadata ?? {}),
    ),
  );
  const isOfRecord = end.end !== undefined && !end.end.isImplicit;
  const recordedMillis = Math.max(0, ...tails.map((tail) => Date.parse(tail.endedAt) || 0));
  const endedMillis =
    isOfRecord && recordedMillis > 0
      ? recordedMillis
      : atLeast(totals.lastEnd, Math.max(lastWrite(orphans), recordedMillis));
  const living = orphans.filter(({ isAlive }) => isAlive);
  const awaits = new Map([
    ...awaitsOfOthers(published?.tail, orphans),
    ...living.map(({ journal, token, awaited }) => [journal.owner ?? token, awaited] as const),
  ]);
  // An output of the session span belongs to an end that no longer counts.
  const { output: _output, ...bare } = root;
  return buildTail({
    head,
    root: bare,
    rootEnd: end.end && rootEndOf(end.end),
    spans: open.map((span) => inTrace(span, head.traceId)),
    totals,
    metadata,
    verdict: end,
    awaits,
    lostWriter: end.lostWriter,
    nowMillis: endedMillis,
    isRecovered: end.isRecovered,
  });
}
