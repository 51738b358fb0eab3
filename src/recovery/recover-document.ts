/**
 * Builds the document of a session whose owners are dead: the published spans, the spans that the owners recorded since,
 * and the spans that were running, as interrupted.
 */

import { mergeHeads, mergeSessionSpans, sessionSpan } from "../format/beginnings.js";
import { keepLines } from "../format/cap.js";
import { type DocumentHead, type DocumentTail, encodeTail, isoTime, isRoot } from "../format/document.js";
import { documentPath, type SessionFiles } from "../format/file-names.js";
import { jsonText } from "../format/json-value.js";
import { interrupt, recordedEnd, statusRank, worseEnd } from "../format/session-end.js";
import { inTrace, SpanMap, withTrace } from "../format/span-map.js";
import { buildTail, pendingSpans } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, SessionStatus, TraceSpan } from "../format/trace-file.js";
import type { FileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { type LineSink, writeAll } from "../storage/lines.js";
import { publishedSources, withCorruptLines } from "../storage/merge.js";
import { MergedFile, type Source } from "../storage/merged-file.js";
import { logSource, type OrphanedFiles, pendingSources } from "./orphans.js";
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
/** `statusMessage` of the spans that were running. */
const interruptedMessage = "Interrupted: the process ended while this was running";

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
  const input = { ...given, orphans: [...given.orphans].sort(byAge) };
  const { id, files, published, orphans, out, hasPeers } = input;
  const head = headOf(input);
  const fromPublished = published ? publishedSources(published) : [];
  // A living peer writer may own these spans: it gives them their lines.
  const pending = hasPeers ? [] : pendingSpans(published?.tail);
  if (pending.length > 0)
    fromPublished.push({ type: "spans", spans: pending, traceId: published?.head?.traceId ?? "" });
  const merged = new MergedFile(out, head, { parse: true });
  const root = rootOf(input, head);
  const fromLogs: Source[] = [];
  for (const one of orphans)
    if (one.log) fromLogs.push(await logSource(fileSystem, one, one.log.fd, head, fromPublished[0]));
  const lines = [...fromPublished, ...fromLogs];
  // Pending spans come last: another writer may have older lines of them.
  const sources = [...lines, ...orphans.flatMap((one) => pendingSources(one, head))];
  await runAsync(
    fileSystem,
    merged.write(sources, (count, hasMarker) => {
      const { spans, stillOpen } = closedByCrash(input, merged, head, root);
      const others = spans.length + stillOpen.length + 1;
      return keepLines({ lines: count, hasMarker, others }, { id, rootSpanId: root.spanId });
    }),
  );
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + (count ?? 0), 0);
  // The document lacks an end, too, if it has the span as interrupted by a process that did not know of the end.
  const corrected = sum(merged.corrected.slice(0, fromPublished.length));
  const recovered = sum(merged.firstSeen.slice(fromPublished.length)) + corrected;
  const changed = sum(merged.taken.slice(lines.length));

  const closed = closedByCrash(input, merged, head, root);
  await runAsync(fileSystem, merged.append({ type: "spans", spans: closed.spans, traceId: head.traceId }));
  const end = endOf(input, recovered + changed + closed.spans.length > 0);
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
    status: end.status,
    recoveredSpans: recovered + closed.spans.length,
    interrupted: closed.spans.filter((span) => span.interrupted).map((span) => span.name),
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

/** Oldest writer first: its start is the start of the session, and later writers override its metadata. */
const byAge = (a: OrphanedFiles, b: OrphanedFiles): number =>
  compare(startOf(a), startOf(b)) || a.lastWrite - b.lastWrite;

const startOf = ({ head, journal }: OrphanedFiles): string => (head ?? journal.session)?.startedAt ?? "";

const compare = (a: string, b: string): number => Number(a > b) - Number(a < b);

const lastWrite = (orphans: readonly OrphanedFiles[]): number =>
  Math.max(0, ...orphans.map((one) => one.lastWrite));

/**
 * Spans without lines. `spans`: those of dead owners, and those of the published tail that no living writer owns; they
 * get their lines now, and open ones are interrupted. `stillOpen`: those of living writers.
 */
function closedByCrash(
  { published, orphans, hasPeers }: RecoveryInput,
  merged: MergedFile,
  head: DocumentHead,
  root: TraceSpan,
): { spans: TraceSpan[]; stillOpen: TraceSpan[] } {
  const spans = new SpanMap<TraceSpan>(head.traceId);
  const stillOpen = new SpanMap<TraceSpan>(head.traceId);
  const close = (span: TraceSpan, at: number) => {
    if (merged.has(span) || isRoot(span) || isDamagedRoot(span, root)) return;
    spans.set(span, span.endTime === undefined ? interrupt(span, at, interruptedMessage) : span);
  };
  for (const one of orphans) {
    const traceId = one.journal.session?.traceId || one.head?.traceId || "";
    for (const journaled of one.journal.spans.values()) {
      const span = withTrace(journaled, traceId);
      if (!one.isAlive || span.endTime !== undefined) close(span, one.lastWrite);
      else if (!merged.has(span)) stillOpen.set(span, span);
    }
    if (hasPeers) continue;
    for (const span of one.tail?.spans ?? []) close(withTrace(span, one.head?.traceId ?? ""), one.lastWrite);
  }
  for (const listed of published?.tail?.spans ?? []) {
    const span = withTrace(listed, published?.head?.traceId ?? "");
    if (isRoot(span) || spans.has(span) || merged.has(span)) continue;
    if (!hasPeers) close(span, Date.parse(published?.tail?.endedAt ?? "") || span.startTime);
    else if (!stillOpen.has(span)) stillOpen.set(span, span);
  }
  return {
    spans: [...spans.values()].map((span) => inTrace(span, head.traceId)),
    stillOpen: [...stillOpen.values()],
  };
}

/** The session span of a tail in which a byte has flipped. A span of the program with this id has a parent, and another kind. */
const isDamagedRoot = ({ spanId, parentSpanId, kind }: TraceSpan, root: TraceSpan): boolean =>
  spanId === root.spanId && (parentSpanId === null || kind === "session");

/** File times lag behind the clock by a kernel tick. */
const fileTimeMillis = 10;

/** The session span, as one of the writers had it. */
function rootOf({ id, published, orphans }: RecoveryInput, head: DocumentHead): TraceSpan {
  const known = [
    ...orphans.map((one) => one.journal.session?.root),
    ...[published?.tail, ...orphans.map((one) => one.tail)].flatMap((tail) => tail?.spans),
  ].filter((span) => span !== undefined && isRoot(span)) as TraceSpan[];
  return mergeSessionSpans(known[0] ?? sessionSpan({ id, startTime: Date.parse(head.startedAt) }), known);
}

interface End {
  readonly status: SessionStatus;
  readonly error: string | undefined;
  readonly isRecovered: boolean;
  /** Whether the published document lacks this end or any span. */
  readonly isNew: boolean;
}

/** Whether a writer resumed the session from this very end, with other metadata, and died before its first span. */
function bringsMetadata({ journal, isAlive }: OrphanedFiles, { endedAt, metadata }: DocumentTail): boolean {
  if (isAlive || journal.session?.resumed !== endedAt) return false;
  return Object.entries(journal.session.metadata).some(
    ([key, value]) => jsonText(value) !== jsonText(metadata[key as keyof SessionMetadata]),
  );
}

/** A crash or an end that a writer recorded holds; an owner that recorded no end has crashed. */
function endOf({ published, orphans, hasPeers }: RecoveryInput, hasNewSpans: boolean): End {
  const before = published?.tail;
  const isOver = before !== undefined && before.summary.status !== "running";
  const tails = orphans.map((one) => one.tail).filter((tail) => tail !== undefined);
  // The document has this end already, or a worse one: only the side files have outlived their commit.
  const isKnown = ({ endedAt, summary }: DocumentTail) =>
    isOver &&
    endedAt <= before.endedAt &&
    statusRank[recordedEnd(summary)?.status ?? "running"] <= statusRank[before.summary.status];
  if (!hasNewSpans && isOver && tails.every(isKnown)) {
    const { status, error } = before.summary;
    const isNew = orphans.some((one) => bringsMetadata(one, before));
    return { status, error, isRecovered: before.layout.recovered === true, isNew };
  }
  const ends = [...(before ? [before] : []), ...tails];
  const isCrashRecorded = ends.some(
    ({ summary, layout }) => summary.status === "crashed" && !layout.recovered,
  );
  if (hasPeers && !isCrashRecorded) {
    // The error of one of several writers waits for the end of the last one. An end before these writers does not count.
    const error = [...(isOver ? [] : ends), ...tails].find(({ summary }) => summary.error)?.summary.error;
    return { status: "running", error, isRecovered: false, isNew: true };
  }
  const recorded = ends.map(({ summary }) => recordedEnd(summary)).reduce(worseEnd, undefined);
  // A writer that ended the session after an owner had died ended it for both. That is not so if the owner resumed from
  // this very end. Times do not show a resume, since the clock may have been set back.
  const endedMillis = isOver ? Date.parse(before.endedAt) || 0 : 0;
  const outlivedEnd = ({ journal, lastWrite }: OrphanedFiles) =>
    lastWrite + fileTimeMillis > endedMillis || (isOver && journal.session?.resumed === before.endedAt);
  const isCrash = orphans.some((one) => one.tail === undefined && !one.isAlive && outlivedEnd(one));
  if (isCrash && recorded?.status !== "crashed")
    return { status: "crashed", error: crashError, isRecovered: true, isNew: true };
  const status = recorded?.status ?? "crashed";
  return {
    status,
    error: recorded?.error ?? (status === "crashed" ? crashError : undefined),
    isRecovered: status === "crashed" && !isCrashRecorded,
    isNew: true,
  };
}

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
  const endedMillis = Math.max(lastWrite(orphans), ...tails.map((tail) => Date.parse(tail.endedAt) || 0));
  // An output of the session span belongs to an end that no longer counts.
  const { output: _output, ...bare } = root;
  return buildTail({
    head,
    root: bare,
    rootEnd: end.status === "running" ? undefined : { status: end.status },
    spans: open.map((span) => inTrace(span, head.traceId)),
    totals,
    metadata,
    status: end.status,
    error: end.error,
    nowMillis: endedMillis,
    isRecovered: end.isRecovered,
  });
}
