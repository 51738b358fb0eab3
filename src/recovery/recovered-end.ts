/**
 * How a recovered session ended: as a writer recorded, or as its dead owners show.
 */

import type { DocumentTail } from "../format/document.js";
import type { JournaledSession } from "../format/journal.js";
import { jsonText } from "../format/json-value.js";
import { gone, type LostWriters, lastLost, readLost, withLost, withoutLost } from "../format/lost-writers.js";
import {
  errorLeft,
  implicitEnd,
  isOver,
  recordedEnd,
  type SessionEnd,
  statusRank,
  unclosedMessage,
  worseEnd,
} from "../format/session-end.js";
import { endMark } from "../format/tail.js";
import type { SessionMetadata, ToolCallKey, TraceSpan } from "../format/trace-file.js";
import type { Published } from "../storage/document-file.js";
import type { StatedLoops } from "../storage/merged-file.js";
import { fileTimeMillis, firstDetector, type OrphanedFiles, verdictIn } from "./orphans.js";

/** What a session was recovered from. */
interface Found {
  readonly published: Published | undefined;
  readonly orphans: readonly OrphanedFiles[];
  /** Whether another writer still writes to the session: then the session goes on. */
  readonly hasPeers: boolean;
  /** Whether the owner of a token is dead for sure. */
  readonly isDead?: (token: string) => boolean;
}

/** Spans without lines, as a recovery closes them. */
export interface ClosedSpans {
  readonly spans: readonly TraceSpan[];
  readonly stillOpen: readonly TraceSpan[];
  /** The dead owners that had a span open. */
  readonly cut: ReadonlySet<OrphanedFiles>;
  /** Open spans and waiting turns of the document that no side file has. */
  readonly ownerless: number;
}

/** The end of a recovered session. */
export interface RecoveredEnd {
  /** Absent while a writer has the session. */
  readonly end: SessionEnd | undefined;
  /** The error of the end, or of a writer that has ended before the session. */
  readonly error: string | undefined;
  readonly isRecovered: boolean;
  /** Of the error of a writer that ended before the session, see `errorLeft`. */
  readonly pendingError?: string | undefined;
  /** What ended a writer that was under way, while the session went on. */
  readonly lostWriter?: string | undefined;
  /** As for the tail of a document. */
  readonly lost: LostWriters;
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

/**
 * The loops that a document of ours states. A writer that began a new run has none of its last calls in a loop.
 * `unlined`: spans of the document that the first sources lack. Their calls are the last ones, and come from another source.
 */
export function statedLoops(
  tail: DocumentTail | undefined,
  orphans: readonly OrphanedFiles[],
  sources: number,
  unlined: readonly TraceSpan[],
): StatedLoops | undefined {
  if (!tail?.layout.tools) return undefined;
  const isNewRun = orphans.some(({ journal: { session } }) => session?.newRun && isResumedBy(session, tail));
  const { calls: listed }: { readonly calls?: unknown } = tail.layout;
  const calls: readonly ToolCallKey[] = !isNewRun && Array.isArray(listed) ? listed : [];
  const counted = calls.length - unlined.filter(({ kind }) => kind === "tool").length;
  return { sources, loops: tail.summary.loops ?? [], calls: calls.slice(0, Math.max(0, counted)) };
}

/** Whether a writer resumed the session from this very end. Times do not show it: the clock may have been set back. */
const isResumedBy = ({ resumed }: JournaledSession, tail: DocumentTail): boolean =>
  resumed !== undefined && (resumed === endMark(tail) || resumed === tail.endedAt);

/** Whether this end is the verdict of a hook on this writer, or on the one that it continues, and no longer holds. */
const hasTakenBack = (
  { fenced, earlier }: JournaledSession,
  { layout: { provisional } }: DocumentTail,
): boolean =>
  provisional !== undefined && fenced?.end === undefined && earlier?.includes(provisional) === true;

/**
 * Whether the document has the verdict of a hook on this owner, which stands: the session ended so, or another process went on
 * after it. What the owner recorded since are ends of its spans, and no end of the session.
 */
function isStated(one: OrphanedFiles, before: DocumentTail | undefined): boolean {
  const { earlier } = one.journal.session ?? {};
  if (!before || !earlier || !verdictIn(one)) return false;
  const lost = readLost(before);
  return earlier.some((token) => token === before.layout.provisional || lost.has(token));
}

/**
 * How the session ended. A crash or an end that a writer recorded holds. An owner that recorded no end crashed if work
 * of it was under way; without any, the session is complete.
 * `news`: spans that the published document lacks, and spans that are to leave the document.
 */
export function endOf(
  { published, orphans: all, hasPeers, isDead = () => true }: Found,
  closed: ClosedSpans,
  news: { readonly added: number; readonly moves: number },
): RecoveredEnd {
  const before = published?.tail;
  const wasOver = before !== undefined && isOver(before.summary);
  const orphans = all.filter((one) => !isStated(one, before));
  const tails = orphans.map((one) => one.tail).filter((tail) => tail !== undefined);
  // Dead owners whose work was under way: a span was open, or the turn waited.
  const endless = orphans.filter((one) => one.tail === undefined && !one.isAlive && !verdictIn(one));
  const cut = orphans.filter(
    (one) =>
      verdictIn(one)?.status === "crashed" ||
      (endless.includes(one) && (one.awaited !== "user" || closed.cut.has(one))),
  );
  // The document has this end already, or a worse one: only the side files have outlived their commit.
  const isKnown = (tail: DocumentTail) =>
    wasOver &&
    endMark(tail) <= endMark(before) &&
    rankOf(recordedEnd(tail.summary)) <= statusRank[before.summary.status];
  const lacksDetector =
    before?.summary.detector === undefined && cut.some((one) => one.awaited !== "user" || verdictIn(one));
  // A process that went on after its hook has taken the verdict back.
  const known = withoutLost(
    before ? readLost(before) : new Map(),
    orphans.flatMap(({ journal }) => journal.session?.earlier ?? []),
  );
  const lost = withLost(
    known,
    gone,
    cut
      .map(firstDetector)
      .filter((one) => one !== undefined)
      .at(-1),
  );
  const lostWriter = lastLost(lost, hasPeers ? isDead : undefined);
  const errors = [...(before ? [errorLeft(before)] : []), ...tails.map(errorLeft)];
  const pendingError = errors.find((error) => error !== undefined);
  if (news.added === 0 && wasOver && tails.every(isKnown) && !lacksDetector) {
    const { error, detector } = before.summary;
    return {
      end: recordedEnd(before.summary),
      error,
      pendingError,
      lostWriter: detector,
      lost: known,
      isRecovered: before.layout.recovered === true,
      isNew: news.moves > 0 || all.some((one) => bringsMetadata(one, before)),
    };
  }
  // The end that an owner resumed from no longer counts.
  const hasResumed = ({ journal: { session } }: OrphanedFiles) =>
    wasOver && session !== undefined && (isResumedBy(session, before) || hasTakenBack(session, before));
  const isResumed = orphans.some(hasResumed);
  const ends = [...(before && !isResumed ? [before] : []), ...tails];
  const isCrashRecorded = ends.some(
    ({ summary, layout }) =>
      summary.status === "crashed" && !layout.recovered && layout.provisional === undefined,
  );
  if (hasPeers && !isCrashRecorded) {
    // The error of one of several writers waits for the end of the last one. An end before these writers does not count.
    const error = pendingError ?? tails.find(({ summary }) => summary.error)?.summary.error;
    return { end: undefined, error, lostWriter, lost, isRecovered: false, isNew: true };
  }
  // A writer that ended the session after an owner had died ended it for both.
  const endedMillis = wasOver ? Date.parse(endMark(before)) || 0 : 0;
  // An end beside an owner whose lease had not expired yet, and that had died: the last container, for example.
  const leftMillis = Math.max(...[before, ...tails].map((tail) => Date.parse(tail?.layout.left ?? "") || 0));
  const isOutlived = (one: OrphanedFiles) =>
    Math.max(endedMillis, one.detector === "lease expired" ? leftMillis : 0) >=
    one.lastWrite + fileTimeMillis;
  // Another process took the owner for dead and ended the session, and the owner went on.
  const wentOn = ({ journal: { session } }: OrphanedFiles) =>
    wasOver && session?.outlived !== undefined && session.outlived === endMark(before);
  // A writer with nothing under way that gave signs of life after the owner's last one: the session went on there. A log
  // without its journal shows nothing: a recovery that failed has taken one of the owner's two files.
  const idle = endless.filter((one) => !cut.includes(one) && one.journal.session !== undefined);
  const idleMillis = Math.max(0, ...idle.map(lastWriteOf));
  const crashed = cut.filter(
    (one) =>
      idleMillis < one.lastWrite + fileTimeMillis && (!isOutlived(one) || hasResumed(one) || wentOn(one)),
  );
  const pending: SessionEnd | undefined =
    pendingError === undefined ? undefined : { status: "error", error: pendingError };
  const verdicts = orphans.filter((one) => verdictIn(one)?.status !== "crashed" || crashed.includes(one));
  const recorded = [
    ...ends.map(({ summary }) => recordedEnd(summary)),
    pending,
    ...verdicts.map(verdictIn),
  ].reduce(worseEnd, undefined);
  // Nothing says which writer left these: a document without side files was under way.
  const hasCrashed = crashed.length > 0 || (!wasOver && closed.ownerless > 0);
  // A process that had survived its hook, and that died after the crash which the document states.
  const isLater =
    !isCrashRecorded && wasOver && crashed.some((one) => one.lastWrite > endedMillis + fileTimeMillis);
  if (hasCrashed && (isLater || recorded?.status !== "crashed")) {
    const detector = crashed
      .map(firstDetector)
      .filter((one) => one !== undefined)
      .at(-1);
    const end: SessionEnd = { status: "crashed", error: unclosedMessage, detector, isImplicit: true };
    return { end, error: unclosedMessage, pendingError, lost, isRecovered: true, isNew: true };
  }
  const end = recorded ?? implicitEnd;
  return {
    end,
    error: end.error,
    pendingError,
    lost,
    lostWriter: end.status === "crashed" ? undefined : lostWriter,
    isRecovered: end.status === "crashed" && !isCrashRecorded,
    isNew: true,
  };
}

const lastWriteOf = ({ lastWrite }: OrphanedFiles): number => lastWrite;

const rankOf = (end: SessionEnd | undefined): number => statusRank[end?.status ?? "running"];
