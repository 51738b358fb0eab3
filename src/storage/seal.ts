/**
 * Sealing: the open document gets its tail where it stands, and takes the session's name.
 */

import { encodeTail } from "../format/document.js";
import { interrupt, type SessionEnd } from "../format/session-end.js";
import { createNow, type Descriptor } from "../platform/descriptor.js";
import { type Gensync, io } from "../platform/gensync.js";
import { type CommitOutcome, commit, isSame } from "./commit.js";
import { rewrite } from "./merge.js";
import {
  capOf,
  catchUpWithOthers,
  closePeerSpans,
  copyDocument,
  copyRange,
  exceedsCap,
  hasSiblings,
  isStillAlone,
} from "./publish.js";
import type { SessionWriter } from "./session-writer.js";
import { syncAll, syncFile } from "./side-file-sync.js";
import { othersWrite } from "./side-files.js";

/**
 * Ends the session's document. The same operation ends a session in the background and fences it: there, without an
 * event loop, the sync costs what the background sync has left over. Throws when the file system refuses: then
 * the side files stay, and a retry or recovery finishes the work. `false`: a fence came first.
 */
export function* seal(writer: SessionWriter, end: SessionEnd): Gensync<boolean> {
  const { ports } = writer;
  const { epoch } = writer;
  const isCurrent = () => writer.epoch === epoch;
  for (;;) {
    const outcome = yield* sealOnce(writer, end, isCurrent);
    if (outcome === "fenced" && !isCurrent()) return false;
    if (outcome === "committed") {
      // Before anything is let go of: if it fails, or the fence comes meanwhile, there is still all to seal again.
      if (ports.durability !== "process") yield* io.syncDirectory(writer.files.dir);
      writer.publishedVersion = writer.version;
      if (writer.state === "sealing") writer.state = "sealed";
      writer.close();
      return true;
    }
    // Another writer was faster, or came: merge with what it publishes.
  }
}

function* sealOnce(writer: SessionWriter, end: SessionEnd, isCurrent: () => boolean): Gensync<CommitOutcome> {
  if (!(yield* isSealedAs(writer, end))) {
    if (writer.open.tail !== "none") yield* rewrite(writer);
    if (!writer.refreshOpen()) return "fenced";
    const effective = yield* prepare(writer, end);
    // A fence has no time to leave lines out: its document may have twice the cap.
    const isCapped = effective !== undefined && end.status !== "crashed" && exceedsCap(writer);
    if (isCapped && !(yield* hasSiblings(writer))) return yield* commitCapped(writer, effective, isCurrent);
    if (!(yield* appendTail(writer, end, effective))) return "fenced";
  }
  return yield* commitSealed(writer, isCurrent);
}

/** Whether the tail is there and only the commit has failed: a retry need not build it again. */
function* isSealedAs({ open, path, base, sealedAs }: SessionWriter, end: SessionEnd): Gensync<boolean> {
  if (open.tail !== "whole" || sealedAs !== end || !base.isMerged) return false;
  // Taken by a recovery that held us for dead: written anew, and merged with what that publishes.
  if (!(yield* io.exists(open.path))) return false;
  return isSame(yield* io.lstat(path), base.identity);
}

/** Takes in what others did. Returns how the document is to end. */
function* prepare(writer: SessionWriter, end: SessionEnd): Gensync<SessionEnd | undefined> {
  writer.mustSettle();
  yield* catchUpWithOthers(writer);
  return yield* endBeside(writer, end);
}

/** Makes the open document a whole one. `false`: the fence came while open spans were read. */
function* appendTail(
  writer: SessionWriter,
  end: SessionEnd,
  effective: SessionEnd | undefined,
): Gensync<boolean> {
  const { session, open, ports } = writer;
  if (open.unsynced > backgroundSyncBytes) yield* syncFile(open);
  // One turn from here to the first attempt at the commit: nothing comes between the last line and the tail.
  if (!closeOpenSpans(writer, end)) return false;
  writer.mustSettle();
  open.end(encodeTail(session.tail(ports.clock.now(), effective), open.good, open.lines === 0));
  writer.sealedAs = end;
  return true;
}

/**
 * How the document is to end. Beside living writers the session goes on: a normal end leaves it running, and an
 * error waits for the last of them; only a crash is final at once.
 */
function* endBeside(writer: SessionWriter, end: SessionEnd): Gensync<SessionEnd | undefined> {
  const { session } = writer;
  if (end.status === "crashed" && session.peerSpans.size === 0) return end;
  const { id } = session.head;
  if (!(yield* othersWrite(writer.ports, writer.files, id, new Set([writer.token])))) {
    closePeerSpans(writer);
    return end;
  }
  if (end.status === "crashed") return end;
  if (end.status === "error") session.inheritEnd(end);
  return undefined;
}

/**
 * Spans that are still open end with their session: interrupted by a crash, in good order otherwise. `false`: the fence
 * came while they were read.
 */
function closeOpenSpans(writer: SessionWriter, end: SessionEnd): boolean {
  const now = writer.ports.clock.now();
  const closed = writer.closeOpen((span) =>
    end.status === "crashed" ? interrupt(span, now, end.error ?? "") : { ...span, endTime: now },
  );
  return closed !== undefined;
}

/**
 * Commits a copy without the lines that are too many. The open document keeps them until then: if it dropped them
 * first, and this process died in between, nobody could tell whether its marker stands for published lines too.
 */
function* commitCapped(
  writer: SessionWriter,
  end: SessionEnd,
  isCurrent: () => boolean,
): Gensync<CommitOutcome> {
  const { files, ports, token } = writer;
  const path = writer.newTemp();
  let copy: Descriptor | undefined;
  try {
    copy = createNow(ports.fileSystem, path);
    if (!closeOpenSpans(writer, end)) return "fenced";
    writer.mustSettle();
    const tail = writer.session.tail(ports.clock.now(), end);
    yield* copyDocument(writer, copy.fd, tail, capOf(writer));
    // As in a publish: the open document has no tail that could tell what is later.
    if (ports.durability !== "process") yield* syncAll(writer.live);
    const base = writer.base.identity;
    const mayCommit = () => isCurrent() && isStillAlone(writer);
    return yield* commit(ports, { files, token, source: path, by: "move", base, mayCommit });
  } finally {
    copy?.release();
    writer.dropTemp(path);
  }
}

/** Links the sealed document to its name; copies it where there are no links. */
function* commitSealed(writer: SessionWriter, mayCommit: () => boolean): Gensync<CommitOutcome> {
  const { open, ports } = writer;
  const { files, token } = writer;
  const base = writer.base.identity;
  const outcome = yield* commit(ports, { files, token, source: open.path, by: "link", base, mayCommit });
  if (outcome !== "unlinkable") return outcome;
  const path = writer.newTemp();
  let copy: Descriptor | undefined;
  try {
    copy = createNow(ports.fileSystem, path);
    const { fd } = open.ensureOpen();
    yield* copyRange(fd, copy.fd, (yield* io.fstat(fd)).size);
    yield* io.fdatasync(copy.fd);
    return yield* commit(ports, { files, token, source: path, by: "move", base, mayCommit });
  } finally {
    copy?.release();
    writer.dropTemp(path);
  }
}

/** Background syncs keep less than this unsynced, so that a fence has no more to wait for. */
export const backgroundSyncBytes = 1024 * 1024;
