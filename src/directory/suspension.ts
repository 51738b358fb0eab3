/**
 * Sessions that a process hook has fenced: their documents are final if the process ends now, and they go on if it lives.
 *
 * The hook ends the writer of a session for good. Whatever comes later, a span or a call, continues the document with a
 * new writer, as a resume does: nothing that the first writer had begun can change the document any more.
 */
import { type EndMarks, endMarksIn } from "../format/document.js";
import {
  crashEnd,
  firstEvent,
  type HookEvent,
  type HookVerdict,
  implicitEnd,
  type SessionEnd,
} from "../format/session-end.js";
import { Descriptor } from "../platform/descriptor.js";
import type { FileSystem } from "../platform/file-system.js";
import { type Gensync, io, runSync } from "../platform/gensync.js";
import { readRange } from "../storage/lines.js";
import type { SessionState } from "../storage/session-state.js";
import type { SessionWriter } from "../storage/session-writer.js";
import { listSideFiles } from "../storage/side-files.js";
import type { SuspendedSession } from "../storage/suspended-session.js";
import { SessionEntry } from "./sessions.js";

/**
 * Suspends an open session. Returns an entry for the end of its writer: that end is retried if the file system refuses
 * the final document, also while the session goes on.
 */
export function suspend(entry: SessionEntry, event: HookEvent, nowMillis: number): SessionEntry {
  const { id, writer, publisher } = entry;
  const { session, token, life } = writer;
  const standing = session.verdict;
  const { end: found, ...verdict } = standing?.end ? standing : verdictOn(session, event, nowMillis);
  const end: SessionEnd = { ...(found ?? implicitEnd), provisional: found?.provisional ?? token };
  session.fence({ ...verdict, end });
  entry.suspend({ session, openSpans: session.openSpans.suspend(), verdict: { ...verdict, end } });
  const ending = new SessionEntry(id, writer, publisher);
  ending.adoptUsers(entry);
  ending.endAs(end);
  if (end.status === "crashed") life.crash();
  else life.end();
  return ending;
}

/** A session with nothing under way has ended in good order, whatever ends the process. */
function verdictOn(session: SessionState, event: HookEvent, nowMillis: number): HookVerdict {
  const { reason, detector } = firstEvent(session.verdict, event, nowMillis);
  const end = session.isUnderWay ? crashEnd(reason, detector) : implicitEnd;
  return { reason, detector, at: nowMillis, end };
}

/** The suspended session once its verdict is taken back. */
export function takenBack({ verdict, ...suspended }: SuspendedSession): SuspendedSession {
  const { end: _end, ...event } = verdict;
  return { ...suspended, verdict: event };
}

/** Bytes at the end of a document that have its marks. */
const markBytes = 256;

/**
 * Whether the document of a suspended session says already how a good end ends it: the session had nothing under way at the
 * hook, and no other writer has been there, before or since.
 */
export function hasGoodEnd({ suspended, verdict, writer }: SessionEntry): boolean {
  if (!suspended || verdict?.end?.status !== "completed" || writer.session.inheritsEnd) return false;
  const { fileSystem } = writer.ports;
  try {
    const { provisional, isLeft } = runSync(fileSystem, readEndMarks(fileSystem, writer.path));
    return provisional === writer.token && !isLeft;
  } catch {
    // The end opens the document again, and reports the fault.
    return false;
  }
}

function* readEndMarks(fileSystem: FileSystem, path: string): Gensync<EndMarks> {
  const file = new Descriptor(fileSystem, yield* io.open(path, "read"));
  try {
    const { size } = yield* io.fstat(file.fd);
    return endMarksIn(yield* readRange(file.fd, Math.max(0, size - markBytes), size));
  } finally {
    file.releaseNow();
  }
}

/** Those of the writers whose session no other writer has files of: one listing of the directory for all of them. */
export function writersWithoutPeers(
  fileSystem: FileSystem,
  dir: string,
  writers: readonly SessionWriter[],
): ReadonlySet<SessionWriter> {
  if (writers.length === 0) return new Set();
  try {
    const owners = runSync(fileSystem, listSideFiles(dir));
    const isAlone = ({ files, token }: SessionWriter) =>
      (owners.get(files.name) ?? []).every((owner) => owner.token === token);
    return new Set(writers.filter(isAlone));
  } catch {
    // Each final document lists the directory itself, and reports the fault.
    return new Set();
  }
}
