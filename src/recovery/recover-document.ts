/**
 * Builds the document of a session whose owners are dead: the published spans, the spans that the owners recorded since,
 * and the spans that were running, as interrupted.
 */

import { mergeHeads, mergeSessionSpans, sessionSpan } from "../format/beginnings.js";
import { keepLines } from "../format/cap.js";
import { type DocumentHead, type DocumentTail, encodeTail, isRoot } from "../format/document.js";
import { documentPath, type SessionFiles, sessionSpanId } from "../format/file-names.js";
import type { MovedSpan } from "../format/journal.js";
import { otherParentOf, ParentPlaces } from "../format/parent-places.js";
import { interrupt, interruptedMessage, rootEndOf } from "../format/session-end.js";
import { inTrace, type SpanIds, SpanMap, traceIdOf, withTrace } from "../format/span-map.js";
import { buildTail, parentsFirst, pendingSpans, readMoved } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { isoTime } from "../platform/epoch-time.js";
import { type Gensync, io } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { type LineSink, type Source, writeAll } from "../storage/lines.js";
import { publishedSources, withCorruptLines } from "../storage/merge.js";
import { type EarlierLines, MergedFile } from "../storage/merged-file.js";
import type { Placement } from "../storage/merged-line.js";
import {
  awaitsOfOthers,
  byAge,
  interruptedIn,
  logSource,
  type OrphanedFiles,
  pendingSources,
  waitingIn,
  withoutMoved,
  writtenAt,
} from "./orphans.js";
import type { RecoveredSession } from "./recover-traces.js";
import { type ClosedSpans, endOf, type RecoveredEnd, statedLoops } from "./recovered-end.js";

/** The files of a session, and where its document goes. */
export interface RecoveryInput {
  readonly id: string;
  readonly files: SessionFiles;
  readonly published: Published | undefined;
  readonly orphans: readonly OrphanedFiles[];
  readonly out: LineSink;
  /** Whether another writer still writes to the session: then the session goes on. */
  readonly hasPeers: boolean;
  /** Whether the owner of a token is dead for sure. */
  readonly isDead?: (token: string) => boolean;
  /** What an earlier reading has of the lines: then the published document and the append logs begin after them. */
  readonly earlier?: EarlierLines | undefined;
}

/** A recovered document. */
export interface RecoveredDocument {
  readonly report: RecoveredSession;
  /** Orphaned files whose append log has corrupt lines. */
  readonly corrupt: ReadonlySet<OrphanedFiles>;
  /** Whether the published file is no document, or has corrupt lines. */
  readonly isPublishedCorrupt: boolean;
  /** Whether no writer recorded anything: each died before the first span of a session that no call had opened. */
  readonly isEmpty: boolean;
  readonly head: DocumentHead;
  readonly tail: DocumentTail;
}

/** Writes the document. If the published document is complete, `action` of the report is `swept`. */
export function* recoverDocument(given: RecoveryInput): Gensync<RecoveredDocument> {
  const orphansByAge = [...given.orphans].sort(byAge);
  const input = { ...given, ...withoutMoved(orphansByAge, given.published) };
  const { id, files, published, orphans, out, hasPeers, earlier } = input;
  const head = headOf(input);
  const fromPublished = published ? publishedSources(published) : [];
  // A living peer writer may own these spans: it gives them their lines.
  const ended = pendingSpans(published?.tail);
  const [pending, unlined] = hasPeers ? [[], ended] : [ended, []];
  if (pending.length > 0)
    fromPublished.push({ type: "spans", spans: pending, traceId: published?.head?.traceId ?? "" });
  const root = rootOf(input, head);
  const moved = [
    ...readMoved(published?.tail?.layout),
    ...orphans.flatMap(({ journal }) => journal.session?.moved ?? []),
  ];
  const places = new ParentPlaces(id, moved);
  const placement = { places, rootSpanId: root.spanId };
  const running = { has: (span: SpanIds) => places.isAway(span) };
  // The earlier lines show their loops.
  const stated = earlier ? undefined : statedLoops(published?.tail, orphans, fromPublished.length, unlined);
  const merged = new MergedFile(out, head, { parse: true, placement, running, stated, earlier });
  const fromLogs: Source[] = [];
  for (const one of orphans)
    if (one.log) fromLogs.push(yield* logSource(one, one.log.fd, head, fromPublished[0]));
  const lines = [...fromPublished, ...fromLogs];
  // Pending spans come last: another writer may have older lines of them.
  const sources = [...lines, ...orphans.flatMap((one) => pendingSources(one, head))];
  yield* merged.write(sources, (count, hasMarker) => {
    const { spans, stillOpen } = closedByCrash(input, { merged, placement, head, root });
    placeParents(places, merged, { closed: spans, stillOpen, root }, head);
    const others = spans.length + stillOpen.length + 1;
    return keepLines({ lines: count, hasMarker, others }, { id, rootSpanId: root.spanId });
  });
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + (count ?? 0), 0);
  // The document lacks an end, too, if it has the span as interrupted by a process that did not know of the end.
  const corrected = sum(merged.corrected.slice(0, fromPublished.length));
  const recovered = sum(merged.firstSeen.slice(fromPublished.length)) + corrected;
  const changed = sum(merged.taken.slice(lines.length));

  const closed = closedByCrash(input, { merged, placement, head, root });
  yield* merged.append({ type: "spans", spans: closed.spans, traceId: head.traceId });
  // A writer that did not know of a move had given the span a line.
  const moves = sum(merged.leftOut.slice(0, fromPublished.length));
  const end = endOf(input, closed, { added: recovered + changed + closed.spans.length, moves });
  const tail = tailOf(input, { head, root, end, totals: merged.totals, open: closed.stillOpen, moved });
  if (typeof out === "number" && end.isNew) {
    yield* writeAll(out, encodeTail(tail, merged.size, merged.lines === 0));
    yield* io.fdatasync(out);
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
  const hasSpans = merged.lines > 0 || closed.stillOpen.length > 0;
  const isEmpty = !published && !hasSpans && corrupt.size === 0 && orphans.every(isBare);
  return { report, corrupt, isPublishedCorrupt, isEmpty, head, tail };
}

/** Whether a dead owner recorded nothing of its session but that it opened it for a span. Torn bytes may be of a span. */
const isBare = ({ isAlive, tail, tornBytes, journal }: OrphanedFiles): boolean => {
  const { session, corruptLines } = journal;
  if (isAlive || tail || tornBytes + journal.tornBytes + corruptLines > 0) return false;
  return session === undefined || session.bySpan === true;
};

function headOf({ id, files, published, orphans }: RecoveryInput): DocumentHead {
  const heads = [published?.head, ...orphans.map((one) => one.head ?? one.journal.session)].filter(
    (head) => head !== undefined,
  );
  const unknown = { traceId: "", startedAt: isoTime(lastWrite(orphans)) };
  return mergeHeads({ id, sessionId: files.name }, heads.length > 0 ? heads : [unknown]);
}

const lastWrite = (orphans: readonly OrphanedFiles[]): number =>
  Math.max(0, ...orphans.map((one) => one.lastWrite));

/**
 * Spans below parents that the document lacks are to stand under the session span, and spans under the session span below
 * parents that it has by now. Another recovery, or a living peer writer, may add a parent later.
 */
function placeParents(
  places: ParentPlaces,
  merged: MergedFile,
  {
    closed,
    stillOpen,
    root,
  }: Pick<ClosedSpans, "stillOpen"> & { closed: readonly TraceSpan[]; root: TraceSpan },
  { traceId }: DocumentHead,
): void {
  const own = new SpanMap<true>(traceId);
  for (const span of [...closed, ...stillOpen]) own.set(span, true);
  const has = (span: SpanIds) => own.has(span) || merged.has(span);
  const named: SpanIds[] = [...merged.parentsWithoutLines];
  const others: SpanIds[] = [...merged.otherParents];
  for (const span of closed) {
    const of = traceIdOf(span, traceId);
    const other = otherParentOf(span, root.spanId);
    if (other) others.push({ spanId: other.spanId, traceId: of });
    else if (typeof span.parentSpanId === "string" && span.parentSpanId !== root.spanId)
      named.push({ spanId: span.parentSpanId, traceId: of });
  }
  for (const parent of named)
    if (!has(parent)) places.add({ spanId: parent.spanId, traceId: traceIdOf(parent, traceId), to: "" });
  for (const parent of others)
    if (has(parent)) places.addHere({ spanId: parent.spanId, traceId: traceIdOf(parent, traceId) });
}

/** What a document is built of, besides its input. */
interface Built {
  readonly merged: MergedFile;
  readonly placement: Placement;
  readonly head: DocumentHead;
  readonly root: TraceSpan;
}

/**
 * Spans without lines. `spans`: those of dead owners, and those of the published tail that no living writer owns; they
 * get their lines now, and open ones are interrupted. `stillOpen`: those of living writers.
 */
function closedByCrash(
  { published, orphans, hasPeers }: RecoveryInput,
  { merged, placement, head, root }: Built,
): ClosedSpans {
  const spans = new SpanMap<TraceSpan>(head.traceId);
  const stillOpen = new SpanMap<TraceSpan>(head.traceId);
  const cut = new Set<OrphanedFiles>();
  const close = (span: TraceSpan, at: number) => {
    if (merged.has(span) || isRoot(span) || isDamagedRoot(span, root)) return;
    const placed = placement.places.place(span, root.spanId, head.traceId);
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

/** The session span, as one of the writers had it. */
function rootOf({ id, published, orphans }: RecoveryInput, head: DocumentHead): TraceSpan {
  const known = [
    ...orphans.map((one) => one.journal.session?.root),
    ...[published?.tail, ...orphans.map((one) => one.tail)].flatMap((tail) => tail?.spans),
  ].filter((span) => span !== undefined && isRoot(span)) as TraceSpan[];
  const root = mergeSessionSpans(
    known[0] ?? sessionSpan({ id, startTime: Date.parse(head.startedAt) }),
    known,
  );
  const own = sessionSpanId(id);
  if (root.spanId === own) return root;
  // The id of another tracer, or one in which a byte has flipped: then spans name the own id as their parent.
  const parents = new Set(
    orphans.flatMap(({ journal }) => [...journal.spans.values()].map(({ parentSpanId }) => parentSpanId)),
  );
  const isOwn = known.some(({ spanId }) => spanId === own) || parents.has(own);
  return isOwn && !parents.has(root.spanId) ? { ...root, spanId: own } : root;
}

interface Contents {
  readonly head: DocumentHead;
  readonly root: TraceSpan;
  readonly end: RecoveredEnd;
  readonly totals: Totals | undefined;
  readonly open: readonly TraceSpan[];
  readonly moved: readonly MovedSpan[];
}

function tailOf(
  { published, orphans }: RecoveryInput,
  { head, root, end, totals = new Totals(), open, moved }: Contents,
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
      : writtenAt(totals.lastEnd, Math.max(lastWrite(orphans), recordedMillis));
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
    lost: end.lost,
    lostWriter: end.lostWriter,
    moved,
    nowMillis: endedMillis,
    isRecovered: end.isRecovered,
  });
}
