/**
 * Moves of spans from one session to another: of one open span, and of everything that a writer has recorded.
 *
 * A move is written to the journal of the session that is left, then the spans go into the files of the other session,
 * then the first session forgets them. Recovery finishes a move that was cut short, by union.
 */

import { decodeLine } from "../format/document.js";
import type { MovedSpan } from "../format/journal.js";
import type { TraceSpan } from "../format/trace-file.js";
import { tryUnlink } from "../platform/file-system.js";
import { runSync } from "../platform/gensync.js";
import { removeDocument } from "../recovery/retention.js";
import { readHeadLine } from "../storage/document-file.js";
import { isVersion } from "../storage/identity.js";
import { scanLines } from "../storage/lines.js";
import { placeSpans } from "../storage/merge.js";
import { hasPeerFilesNow, mergePublished } from "../storage/publish.js";
import type { SessionEntry } from "./sessions.js";
import type { TraceDirectory } from "./trace-directory.js";
import { decideMillis, type UnnamedTrace } from "./unnamed-trace.js";

/** An open span of `entry` belongs to another session, where `record` records it. */
export function moveSpan<T>(
  directory: TraceDirectory,
  entry: SessionEntry,
  moved: MovedSpan,
  record: () => T,
): T {
  if (!entry.runs(moved)) return record();
  const writer = directory.writerOf(entry);
  const to = directory.openEntry(moved.to);
  // A session that only this span has opened goes with the span: its document would have no spans.
  if (to && isAllOf(directory, entry) && moveWhole(directory, entry, to)) return record();
  writer.session.addMoved(moved);
  writer.recordSession();
  const outcome = record();
  writer.session.openSpans.leave(moved);
  writer.recordSession();
  writer.journal.rewrite();
  directory.changed(entry);
  directory.endIfQuiet(entry);
  return outcome;
}

/** A span of the session has this parent; `elsewhere`: the parent is not in the session, and may come there later. */
export function placeBelow(
  directory: TraceDirectory,
  trace: UnnamedTrace,
  parentSpanId: string,
  session: string,
): "below" | "elsewhere" {
  const home = trace.homeOf(parentSpanId);
  if (home === session) return "below";
  const entry = directory.openEntry(session);
  // More spans came between than a trace remembers.
  if (home === undefined && entry?.runs({ traceId: trace.id, spanId: parentSpanId })) return "below";
  trace.noteBelow(parentSpanId, session);
  if (home === undefined) entry?.writer.session.moved.wait();
  return "elsewhere";
}

/**
 * A span of a trace belongs to a session now: spans of other sessions that are below it stand under their session spans, and
 * those of its own session below it. `user` opens the session for that, if it has ended.
 */
export function settleAt(
  directory: TraceDirectory,
  trace: UnnamedTrace,
  spanId: string,
  to: string,
  user?: number,
): void {
  const span = { traceId: trace.id, spanId };
  for (const session of trace.settleAt(spanId, to)) {
    let entry = directory.openEntry(session);
    if (!entry && session === to && user !== undefined) {
      const admitted = directory.admit(user, { ...span, id: to, startTime: directory.ports.clock.now() });
      if (typeof admitted !== "string") entry = admitted;
    }
    if (!entry) continue;
    const writer = directory.writerOf(entry);
    const changed = writer.session.addMoved({ ...span, to });
    if (changed.session) writer.recordSession();
    if (changed.openSpans) writer.journal.rewrite();
    directory.changed(entry);
  }
}

/** A trace that has a document of its own names a session: all spans of the document move to that session. */
export function moveDocument(
  directory: TraceDirectory,
  trace: UnnamedTrace,
  user: number,
  session: string,
): void {
  const { fileSystem, clock } = directory.ports;
  // An end of the document that is under way would give the document its name again after the move.
  directory.finishEndsNow(trace.id);
  const isThere =
    directory.openEntry(trace.id) !== undefined || fileSystem.sync.exists(directory.path(trace.id));
  if (!isThere || session === trace.id) return;
  const start = { traceId: trace.id, startTime: clock.now() };
  const to = directory.admit(user, { id: session, ...start });
  const from = directory.admit(user, { id: trace.id, ...start });
  if (typeof to === "string" || typeof from === "string") return;
  if (moveWhole(directory, from, to)) {
    trace.moveTo(session);
    const { title } = trace.metadata;
    if (title !== undefined) directory.learn(to, { title });
  } else from.endAfterQuiet(decideMillis);
}

/** Whether a session has one span only, which is open. */
function isAllOf({ ports }: TraceDirectory, { isExplicit, openSpans, writer }: SessionEntry): boolean {
  if (isExplicit || openSpans !== 1 || writer.log.lines > 0) return false;
  try {
    runSync(ports.fileSystem, mergePublished(writer));
    return writer.log.lines === 0 && !writer.session.hasPeerWork && !hasPeerFilesNow(writer);
  } catch {
    // The next publish meets the fault, and reports the fault.
    return false;
  }
}

/**
 * Moves everything that this process has recorded in `from` to `to`, and removes the files of `from`. Returns whether it
 * has: not while a peer writer writes to `from`, and not when the file system refuses.
 */
function moveWhole(directory: TraceDirectory, from: SessionEntry, to: SessionEntry): boolean {
  const writer = directory.writerOf(from);
  const { fileSystem, events } = directory.ports;
  try {
    // The append log has every line of the document after this.
    writer.mustSettle();
    runSync(fileSystem, mergePublished(writer));
    if (hasPeerFilesNow(writer)) return false;
    runSync(fileSystem, placeSpans(writer, false));
    const lines = readLines(directory, from);
    writer.session.moveTo(to.id);
    writer.recordSession();
    copySpans(directory, from, to, lines);
  } catch (error) {
    events.onFault(error, writer.path);
    return false;
  }
  const stat = fileSystem.sync.lstat(writer.path);
  const isOwn = runSync(fileSystem, isVersion(fileSystem, writer.path, writer.base.identity));
  if (stat && isOwn) removeDocument(directory.ports, writer.files, stat);
  directory.discard(from);
  // The journal last: it says that the spans have moved.
  tryUnlink(fileSystem.sync, writer.log.path);
  writer.removeSideFiles();
  return true;
}

function readLines({ ports }: TraceDirectory, { writer }: SessionEntry): TraceSpan[] {
  const spans: TraceSpan[] = [];
  const { fd } = writer.log.ensureOpen();
  const from = runSync(ports.fileSystem, readHeadLine(fd, writer.log.size)).length;
  const take = (line: Buffer, offset: number) => {
    const decoded = decodeLine(line, offset);
    if (decoded.type === "span") spans.push(decoded.span);
  };
  runSync(ports.fileSystem, scanLines(fd, from, writer.log.size, take));
  return spans;
}

function copySpans(
  directory: TraceDirectory,
  from: SessionEntry,
  to: SessionEntry,
  lines: readonly TraceSpan[],
): void {
  const { head, metadata, openSpans, rootSpanId } = from.writer.session;
  const root = to.writer.session.rootSpanId;
  const at = (given: TraceSpan): TraceSpan => {
    const span = { ...given, traceId: given.traceId ?? head.traceId };
    return span.parentSpanId === rootSpanId ? { ...span, parentSpanId: root } : span;
  };
  // A title of a session is none of another one, least of all that of a trace without a session.
  const { title: _title, ...first } = metadata;
  const { prompt: _later, ...added } = first;
  directory.learn(to, to.writer.session.metadata.prompt === undefined ? first : added);
  for (const span of lines) directory.recordEnd(to, span, at(span), {});
  for (const { span, read, source } of openSpans.all()) {
    if (span.endTime === undefined) directory.recordStart(to, source, at(span), () => at(read()), {});
    else directory.recordEnd(to, source, at(span), {});
  }
}
