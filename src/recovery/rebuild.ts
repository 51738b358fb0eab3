/**
 * Building the document of a session whose owners died: what was published, what they had recorded since, and
 * what they were running, as interrupted.
 */

import { mergeHeads, mergeSessionSpans, sessionSpan } from "../format/beginnings.js";
import { keepLines } from "../format/cap.js";
import {
  type DocumentHead,
  type DocumentTail,
  encodeTail,
  inTrace,
  isoTime,
  isRoot,
} from "../format/document.js";
import { documentPath, type SessionFiles } from "../format/file-names.js";
import { interrupt, recordedEnd, statusRank, worseEnd } from "../format/session-end.js";
import { buildTail, pendingSpans } from "../format/tail.js";
import { Totals } from "../format/totals.js";
import type { SessionMetadata, SessionStatus, TraceSpan } from "../format/trace-file.js";
import type { Gensync } from "../platform/gensync.js";
import { io } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import type { LineSink } from "../storage/lines.js";
import { writeAll } from "../storage/lines.js";
import { publishedSources, withCorruptLines } from "../storage/merge.js";
import { MergedFile, type Source } from "../storage/merged-file.js";
import { type DeadFiles, deadSource, pendingSource } from "./orphans.js";
import type { RecoveredSession } from "./recovery-report.js";

/** What to build from. */
export interface RebuildRequest {
  readonly id: string;
  readonly files: SessionFiles;
  readonly published: Published | undefined;
  readonly dead: readonly DeadFiles[];
  readonly out: LineSink;
  /** Somebody else still writes to the session: it goes on. */
  readonly othersLive: boolean;
}

/** Said of a session and of spans whose process ended under them. */
const crashError = "The process ended without closing the session";
const interruptedMessage = "Interrupted: the process ended while this was running";

/** What was built. */
export interface Rebuilt {
  readonly report: RecoveredSession;
  /** Whose open document has lines that nobody can read. */
  readonly rotten: ReadonlySet<DeadFiles>;
  /** Whether the published document is none, or has such lines. */
  readonly isDamaged: boolean;
  readonly head: DocumentHead;
  readonly tail: DocumentTail;
}

/** Writes the document; `action` of the report says `swept` when what is published lacks nothing. */
export function* rebuild(given: RebuildRequest): Gensync<Rebuilt> {
  const request = { ...given, dead: [...given.dead].sort(byAge) };
  const { id, files, published, dead, out, othersLive } = request;
  const head = headOf(request);
  const fromPublished = published ? publishedSources(published) : [];
  // Beside a living writer they may be its own: it gives them their lines.
  const left = othersLive ? [] : pendingSpans(published?.tail);
  if (left.length > 0)
    fromPublished.push({ type: "spans", spans: left, traceId: published?.head?.traceId ?? "" });
  const merged = new MergedFile(out, head, { parse: true });
  const root = rootOf(request, head);
  const fromDead: Source[] = [];
  for (const one of dead)
    if (one.open) fromDead.push(yield* deadSource(one, one.open.fd, head, fromPublished[0]));
  const lines = [...fromPublished, ...fromDead];
  // Last: others may have lines of them, older ones.
  const sources = [...lines, ...dead.flatMap((one) => pendingSource(one, head))];
  yield* merged.write(sources, (count, hasMarker) => {
    const { spans, stillOpen } = closedByCrash(request, merged, head, root);
    const others = spans.length + stillOpen.length + 1;
    return keepLines({ lines: count, hasMarker, others }, { id, rootSpanId: root.spanId });
  });
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + (count ?? 0), 0);
  // An end is news, too, where the document has its span as interrupted by somebody who did not know of it.
  const corrected = sum(merged.corrected.slice(0, fromPublished.length));
  const recovered = sum(merged.firstSeen.slice(fromPublished.length)) + corrected;
  const changed = sum(merged.taken.slice(lines.length));

  const closed = closedByCrash(request, merged, head, root);
  yield* merged.append({ type: "spans", spans: closed.spans, traceId: head.traceId });
  const end = endOf(request, recovered + changed + closed.spans.length > 0);
  const tail = tailOf(request, { head, root, end, merged, open: closed.stillOpen });
  if (typeof out === "number" && end.isNews) {
    yield* writeAll(out, encodeTail(tail, merged.size, merged.lines === 0));
    yield* io.fdatasync(out);
  }

  const rotten = new Set(
    merged.corruptLines.flatMap(
      ({ source }) => dead.filter((one) => one.open)[source - fromPublished.length] ?? [],
    ),
  );
  const report: RecoveredSession = {
    id,
    path: documentPath(files),
    action: end.isNews ? "rebuilt" : "swept",
    status: end.status,
    recoveredSpans: recovered + closed.spans.length,
    interrupted: closed.spans.filter((span) => span.interrupted).map((span) => span.name),
    tornBytes: dead.reduce((sum, one) => sum + one.tornBytes + one.live.tornBytes, 0),
    corruptLines: merged.corruptLines.length + dead.reduce((sum, one) => sum + one.live.corruptLines, 0),
    keptAs: [],
  };
  const isDamaged =
    published !== undefined &&
    (published.body.type === "unreadable" || withCorruptLines([published], merged).length > 0);
  return { report, rotten, isDamaged, head, tail };
}

function headOf({ id, files, published, dead }: RebuildRequest): DocumentHead {
  const heads = [published?.head, ...dead.map((one) => one.head ?? one.live.session)].filter(
    (head) => head !== undefined,
  );
  const unknown = { traceId: "", startedAt: isoTime(lastWrite(dead)) };
  return mergeHeads({ id, sessionId: files.name }, heads.length > 0 ? heads : [unknown]);
}

/** Their names tell nothing: what the first one began is the session's beginning, what the last one said holds. */
const byAge = (a: DeadFiles, b: DeadFiles): number =>
  compare(startOf(a), startOf(b)) || a.lastWrite - b.lastWrite;

const startOf = ({ head, live }: DeadFiles): string => (head ?? live.session)?.startedAt ?? "";

const compare = (a: string, b: string): number => Number(a > b) - Number(a < b);

const lastWrite = (dead: readonly DeadFiles[]): number => Math.max(0, ...dead.map((one) => one.lastWrite));

/** Spans that were open when their owner died, and those of the published tail that nobody runs any more. */
function closedByCrash(
  { published, dead, othersLive }: RebuildRequest,
  merged: MergedFile,
  head: DocumentHead,
  root: TraceSpan,
) {
  const spans = new Map<string, TraceSpan>();
  const stillOpen = new Map<string, TraceSpan>();
  const close = (span: TraceSpan, at: number) => {
    if (merged.has(span.spanId) || isRoot(span) || span.spanId === root.spanId) return;
    spans.set(span.spanId, span.endTime === undefined ? interrupt(span, at, interruptedMessage) : span);
  };
  for (const one of dead) {
    for (const span of one.live.spans.values()) {
      if (!one.isAlive || span.endTime !== undefined) close(span, one.lastWrite);
      else if (!merged.has(span.spanId)) stillOpen.set(span.spanId, span);
    }
    for (const span of one.tail?.spans ?? []) if (!othersLive) close(span, one.lastWrite);
  }
  for (const span of published?.tail?.spans ?? []) {
    if (isRoot(span) || spans.has(span.spanId) || merged.has(span.spanId)) continue;
    if (othersLive) stillOpen.set(span.spanId, stillOpen.get(span.spanId) ?? span);
    else
      close(
        { traceId: published?.head?.traceId ?? "", ...span },
        Date.parse(published?.tail?.endedAt ?? "") || span.startTime,
      );
  }
  return {
    spans: [...spans.values()].map((span) => inTrace(span, head.traceId)),
    stillOpen: [...stillOpen.values()],
  };
}

/** File times lag behind the clock by a kernel tick. */
const fileTimeMillis = 10;

/** The session's own span, as one of its writers had it. */
function rootOf({ id, published, dead }: RebuildRequest, head: DocumentHead): TraceSpan {
  const known = [
    ...dead.map((one) => one.live.session?.root),
    ...[published?.tail, ...dead.map((one) => one.tail)].flatMap((tail) => tail?.spans),
  ].filter((span) => span !== undefined && isRoot(span)) as TraceSpan[];
  return mergeSessionSpans(known[0] ?? sessionSpan({ id, startTime: Date.parse(head.startedAt) }), known);
}

interface End {
  readonly status: SessionStatus;
  readonly error: string | undefined;
  readonly isRecovered: boolean;
  readonly isNews: boolean;
}

/** A fence or an end that was written stands; an owner that wrote none has crashed. */
function endOf({ published, dead, othersLive }: RebuildRequest, hasNews: boolean): End {
  const before = published?.tail;
  const isOver = before !== undefined && before.summary.status !== "running";
  const left = dead.map((one) => one.tail).filter((tail) => tail !== undefined);
  // A tail that the document has already, or that it outranks: only the side files outlived their commit.
  const isKnown = ({ endedAt, summary }: DocumentTail) =>
    isOver &&
    endedAt <= before.endedAt &&
    statusRank[recordedEnd(summary)?.status ?? "running"] <= statusRank[before.summary.status];
  if (!hasNews && isOver && left.every(isKnown)) {
    const { status, error } = before.summary;
    return { status, error, isRecovered: false, isNews: false };
  }
  const ends = [...(before ? [before] : []), ...left];
  const fenced = ends.some(({ summary, layout }) => summary.status === "crashed" && !layout.recovered);
  if (othersLive && !fenced) {
    // An error that one of several left waits for the last; what was over before these began does not count.
    const error = [...(isOver ? [] : ends), ...left].find(({ summary }) => summary.error)?.summary.error;
    return { status: "running", error, isRecovered: false, isNews: true };
  }
  const written = ends.map(({ summary }) => recordedEnd(summary)).reduce(worseEnd, undefined);
  // Who ended the session after an owner had died knew that it goes on without it. Not so where the owner went on from
  // that very end: times do not tell, since the clock may have been set back.
  const endedMillis = isOver ? Date.parse(before.endedAt) || 0 : 0;
  const outlived = ({ live, lastWrite }: DeadFiles) =>
    lastWrite + fileTimeMillis > endedMillis || (isOver && live.session?.resumed === before.endedAt);
  const crashed = dead.some((one) => one.tail === undefined && !one.isAlive && outlived(one));
  if (crashed && written?.status !== "crashed")
    return { status: "crashed", error: crashError, isRecovered: true, isNews: true };
  const status = written?.status ?? "crashed";
  return {
    status,
    error: written?.error ?? (status === "crashed" ? crashError : undefined),
    isRecovered: status === "crashed" && !fenced,
    isNews: true,
  };
}

function tailOf(
  { published, dead }: RebuildRequest,
  {
    head,
    root,
    end,
    merged,
    open,
  }: { head: DocumentHead; root: TraceSpan; end: End; merged: MergedFile; open: readonly TraceSpan[] },
): DocumentTail {
  const tails = [published?.tail, ...dead.map((one) => one.tail)].filter((one) => one !== undefined);
  // Not by assignment, which would take a member `__proto__` of a file for the prototype.
  const metadata: SessionMetadata = Object.fromEntries(
    [published?.tail, ...dead.flatMap((one) => [one.live.session, one.tail])].flatMap((one) =>
      Object.entries(one?.metadata ?? {}),
    ),
  );
  const endedMillis = Math.max(lastWrite(dead), ...tails.map((tail) => Date.parse(tail.endedAt) || 0));
  // An output that the session span may have is that of an end which no longer counts.
  const { output: _output, ...bare } = root;
  return buildTail({
    head,
    root: bare,
    rootEnd: end.status === "running" ? undefined : { status: end.status },
    spans: open.map((span) => inTrace(span, head.traceId)),
    totals: merged.totals ?? new Totals(),
    metadata,
    status: end.status,
    error: end.error,
    nowMillis: endedMillis,
    isRecovered: end.isRecovered,
  });
}
