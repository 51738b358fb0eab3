/**
 * Sealing: the tail is appended to the append log, and the append log takes the session's name.
 */

import { encodeTail } from "../format/document.js";
import { encodeOwner } from "../format/journal.js";
import { endWithSession, interrupt, type SessionEnd } from "../format/session-end.js";
import { type Gensync, io, sync } from "../platform/gensync.js";
import { type CommitOutcome, type CommitRequest, commit, commitFirst } from "./commit.js";
import { mustProgress } from "./identity.js";
import { copyRange } from "./lines.js";
import { placeSpans, rewriteLog } from "./merge.js";
import {
  capOf,
  closePeerSpans,
  copyDocument,
  exceedsCap,
  hasPeerFiles,
  hasPeerFilesNow,
  hasPeers,
  isMergedWithPublished,
  lostOwner,
  mergePublished,
  writerGone,
} from "./publish.js";
import type { SessionWriter } from "./session-writer.js";
import type { OwnersListing } from "./side-files.js";

/** Background syncs keep less than this unsynced, so that a crash fence has no more to wait for. */
export const backgroundSyncBytes = 1024 * 1024;

/** A fence places the spans of a session below parents that never came only up to this size: it has to copy the session. */
const placedInFenceBytes = 1024 * 1024;

/**
 * Writes the final document. The same operation ends a session in the background and in the crash fence: there, without
 * an event loop, the sync costs what the background sync has left over. Throws when the file system refuses: then the
 * side files stay, and a retry or recovery finishes the work. `false`: a crash fence came first.
 *
 * @param isAlone the directory was listed in this turn, and no other writer has files of the session; or a listing that
 * sessions share which end together, after the event at which the end began
 */
export function* seal(
  writer: SessionWriter,
  end: SessionEnd,
  isAlone: boolean | EndingTogether = false,
): Gensync<boolean> {
  const { ports, epoch } = writer;
  const isCurrent = () => writer.epoch === epoch;
  for (let attempt = 1; ; attempt++) {
    mustProgress(attempt, writer.path);
    const outcome = yield* sealOnce(writer, end, attempt === 1 && isAlone, isCurrent);
    if (outcome === "fenced" && !isCurrent()) return false;
    if (outcome === "committed") {
      // Before the side files go: if this fails, or a fence comes meanwhile, the session can be sealed again.
      if (ports.durability !== "process") yield* io.syncDirectory(writer.files.dir);
      writer.markPublished(writer.version);
      writer.life.confirmEnd();
      writer.removeSideFiles();
      return true;
    }
    // Another writer was faster, or came: merge with what it publishes.
  }
}

/** A listing that sessions share which end together, and the event at which this end began. */
export interface EndingTogether {
  readonly listing: OwnersListing;
  readonly begunAt: number;
}

function* sealOnce(
  writer: SessionWriter,
  end: SessionEnd,
  isAlone: boolean | EndingTogether,
  isCurrent: () => boolean,
): Gensync<CommitOutcome> {
  if (!(yield* isSealedAs(writer, end))) {
    const isFence = end.status === "crashed" || end.provisional !== undefined;
    if (writer.log.tail !== "none") yield* rewriteLog(writer);
    if (!writer.refreshOpen()) return "fenced";
    writer.mustSettle();
    if (writer.log.isDoubtful) yield* rewriteLog(writer);
    yield* mergePublished(writer);
    yield* placeSpans(writer, !isFence || writer.log.size <= placedInFenceBytes);
    const effective = yield* endBesidePeers(writer, end, isAlone);
    // A fence has no time to leave lines out: its document may have twice the cap.
    const isCapped = effective !== undefined && !isFence && exceedsCap(writer);
    if (isCapped && !(yield* hasPeerFiles(writer))) return yield* commitCapped(writer, effective, isCurrent);
    if (!(yield* appendTail(writer, end, effective, isCurrent))) return "fenced";
    yield* syncTail(writer);
  }
  return yield* commitSealed(writer, isCurrent);
}

/** Whether the tail is written and only the commit has failed: a retry need not build the document again. */
function* isSealedAs(writer: SessionWriter, end: SessionEnd): Gensync<boolean> {
  const { log, sealedAs } = writer;
  if (log.tail !== "whole" || sealedAs !== end) return false;
  // Taken by a recovery that took this owner for dead: to be rewritten, and merged with what that recovery publishes.
  if (!(yield* io.exists(log.path))) return false;
  return yield* isMergedWithPublished(writer);
}

/** Makes the append log a whole document. `false`: a crash fence came before, or while open spans were read. */
function* appendTail(
  writer: SessionWriter,
  end: SessionEnd,
  effective: SessionEnd | undefined,
  isCurrent: () => boolean,
): Gensync<boolean> {
  const { session, log } = writer;
  if (log.unsynced > backgroundSyncBytes) yield* log.syncNew();
  // One turn: nothing comes between the last line and the tail.
  return sync(() => {
    if (!closeOpenSpans(writer, end, isCurrent)) return false;
    writer.mustSettle();
    const tail = session.tail(writer.clock.now(), effective, effective ? undefined : end);
    writer.finalizeLog(encodeTail(tail, log.size, log.lines === 0), end);
    return true;
  });
}

/**
 * Syncs the append log with its tail: off-thread, for as little as a crash fence copies in a millisecond, since a fence that
 * states another end replaces a file whose tail is not confirmed. A larger file is synced in this turn, as is the commit.
 */
function* syncTail({ log }: SessionWriter): Gensync<void> {
  if (log.size > backgroundSyncBytes) log.syncNow();
  else yield* log.syncAll();
  log.confirmTail();
}

/**
 * The end that the document states. While peer writers live the session continues: an orderly end leaves it running, and
 * an error waits for the last writer; only a crash is final at once, unless a process hook found it.
 */
function* endBesidePeers(
  writer: SessionWriter,
  end: SessionEnd,
  isAlone: boolean | EndingTogether,
): Gensync<SessionEnd | undefined> {
  const { session } = writer;
  const isFinal = end.status === "crashed" && end.provisional === undefined;
  if (isFinal && !session.hasPeerWork) return end;
  if ((yield* isListedAlone(writer, isAlone)) || !(yield* hasPeers(writer))) {
    closePeerSpans(writer, writerGone);
    return end;
  }
  if (isFinal) return end;
  if (end.status === "error") session.inheritEnd(end);
  return undefined;
}

/** A peer writer that has published since the end began came before a listing after that publish, too. */
function* isListedAlone(writer: SessionWriter, isAlone: boolean | EndingTogether): Gensync<boolean> {
  if (typeof isAlone === "boolean") return isAlone;
  const { listing, begunAt } = isAlone;
  const after = Math.max(begunAt, writer.base.changedAt);
  return yield* listing.hasOnly(writer.files.name, writer.token, after);
}

/** Ends the open spans with their session. `false`: the crash fence came before, or while the spans were read. */
function closeOpenSpans(writer: SessionWriter, end: SessionEnd, isCurrent: () => boolean): boolean {
  // The fence has removed the side files: appending would create them again.
  if (!isCurrent()) return false;
  const now = writer.clock.now();
  if (writer.closeOpen((span) => endWithSession(span, end, now)) === undefined) return false;
  if (end.status !== "crashed") cutTurn(writer);
  return true;
}

/** Interrupts the open spans of a tracer that is gone. Returns as `closeOpen` of the writer does. */
export function interruptOpen(writer: SessionWriter): readonly object[] | undefined {
  const now = writer.clock.now();
  const closed = writer.closeOpen((span) => interrupt(span, now, lostOwner));
  if (!closed) return undefined;
  cutTurn(writer);
  // A recovery takes a start whose line is interrupted for work that its owner left.
  writer.journal.rewrite();
  return closed;
}

/** The turn of this writer waits for nothing any more. A recovery takes a waiting turn for work that its owner left. */
function cutTurn(writer: SessionWriter): void {
  if (writer.session.cutTurn()) writer.journal.append(encodeOwner(writer.token, "user"));
}

/**
 * Commits a copy without the lines beyond the cap. The append log keeps those lines until then: if it dropped them
 * first, and this process died in between, the elision marker could represent published lines, too.
 */
function* commitCapped(
  writer: SessionWriter,
  end: SessionEnd,
  isCurrent: () => boolean,
): Gensync<CommitOutcome> {
  const { ports, session } = writer;
  return yield* writer.buildFile(function* (file) {
    if (!closeOpenSpans(writer, end, isCurrent)) return "fenced";
    writer.mustSettle();
    const tail = session.tail(writer.clock.now(), end);
    yield* copyDocument(writer, file.fd, tail, capOf(writer));
    // As in a publish: the append log has no tail that shows which file is later.
    if (ports.durability !== "process") yield* writer.journal.syncAll();
    const mayCommit = () => isCurrent() && !hasPeerFilesNow(writer);
    return yield* commit(ports, requestOf(writer, { source: file.path, by: "move", mayCommit }));
  });
}

/**
 * Links the sealed log to the document's name; commits a copy where there are no hard links, or where only a new file can
 * be synced.
 */
function* commitSealed(writer: SessionWriter, mayCommit: () => boolean): Gensync<CommitOutcome> {
  const { log, ports } = writer;
  const { ground } = ports.fileSystem;
  if (!ground?.refuses("hardLinks") && ground?.copyMode !== "createSynced") {
    // The claim is a link to the append log. On Windows, a claim that is withdrawn keeps its name while the log is open.
    log.closeToReplace();
    const request = requestOf(writer, { source: log.path, by: "link", mayCommit });
    const linked = yield* request.base ? commit(ports, request) : commitFirst(ports, request);
    if (linked !== "unlinkable") return linked;
  }
  return yield* writer.buildFile(function* (file) {
    const { fd } = log.ensureOpen();
    yield* copyRange(fd, file.fd, (yield* io.fstat(fd)).size);
    yield* io.fdatasync(file.fd);
    return yield* commit(ports, requestOf(writer, { source: file.path, by: "move", mayCommit }));
  });
}

const requestOf = (
  { files, token, base }: SessionWriter,
  how: Pick<CommitRequest, "source" | "by" | "mayCommit">,
): CommitRequest => ({ files, token, base: base.identity, ...how });
