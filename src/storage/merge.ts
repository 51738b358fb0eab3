/**
 * Making the own open document hold every line of the published one: after a resume, beside a twin, after a
 * recovery that took the own file by mistake, and to write it anew when it was sealed or grew past its cap.
 */

import { mergeHeads } from "../format/beginnings.js";
import type { SelectLines } from "../format/cap.js";
import type { DocumentHead } from "../format/document.js";
import { livePath, nameCandidates, openPath } from "../format/file-names.js";
import { missingCounters } from "../format/summary.js";
import { pendingSpans } from "../format/tail.js";
import { createNow, type Descriptor } from "../platform/descriptor.js";
import { type Gensync, runSync } from "../platform/gensync.js";
import { isSwept } from "./commit.js";
import { keepDamaged, type Published, readHeadLine } from "./document-file.js";
import { MergedFile, type Source } from "./merged-file.js";
import type { SessionWriter } from "./session-writer.js";

/** Lines that were added while the merge was built: few enough to copy in one turn of the event loop. */
const catchUpBytes = 256 * 1024;

/** The spans of a published document that have lines, as a source. */
export function publishedSources({ descriptor, head, body }: Published): Source[] {
  const traceId = head?.traceId ?? "";
  if (body.type === "lines")
    return [{ type: "lines", fd: descriptor.fd, from: body.from, to: body.to, traceId }];
  return body.type === "spans" ? [{ type: "spans", spans: body.spans, traceId }] : [];
}

/** The documents with corrupt lines among these documents, which were the first sources of a merge. */
export function withCorruptLines(known: readonly Published[], { corruptLines }: MergedFile): Published[] {
  const sources = known.filter(({ body }) => body.type !== "unreadable");
  return sources.filter((_, index) => corruptLines.some(({ source }) => source === index));
}

/** Takes the lines of the document under the session's name, if there is one, into the own open document. */
export function* merge(writer: SessionWriter, current: Published | undefined): Gensync<void> {
  const { session } = writer;
  const resumed = writer.base.isMerged ? undefined : writer.base.published;
  // Resumed from this very document: its totals are known, its lines cannot be ours.
  const isResume = resumed !== undefined && isSameDocument(resumed, current);
  const known: Published[] = [];
  // The document we resumed from is gone (retention, another writer): what it held is still ours to keep.
  if (resumed && !isResume) known.push(resumed);
  if (current) known.push(current);
  for (const published of known) {
    if (published.body.type === "unreadable") yield* keepDamaged(writer.files, writer.token, published);
  }

  const head = mergedHead(writer, current);
  // Known totals count what the tail holds as ended; its owner gives that a line, and it counts then.
  const hasTotals = isResume && pendingSpans(resumed.tail).length === 0;
  const missing = hasTotals && resumed.tail ? missingCounters(resumed.tail.summary) : [];
  const isCounted = hasTotals && missing.length === 0;
  yield* rebuild(writer, { head, known, count: current !== undefined && !isCounted }, (merged) => {
    if (current && !isResume) session.adopt(current, merged.totals);
    else if (merged.totals) session.setTotals(merged.totals, hasTotals ? missing : undefined);
    session.setHead(head);
    if (resumed && !isResume) session.keepPeerSpans(pendingSpans(resumed.tail));
    session.dropPeerSpansWithLines(merged);
    writer.base.set(current, true);
  });
}

/**
 * Writes the own open document anew from itself: when it was taken or deleted under us, when it has a tail
 * already, and with `select` when it grew past its cap.
 */
export function* rewrite(writer: SessionWriter, select?: SelectLines): Gensync<void> {
  yield* rebuild(writer, { head: writer.session.head, known: [], count: false, select }, () => {});
}

/** Where a side file was taken by a recovery, or deleted, what it held goes into a new one. A fault is told. */
export function rehomeIfTaken(writer: SessionWriter): void {
  if (writer.open.isGone() || writer.live.isGoneWithNews()) rehome(writer);
}

/** The same of those that were recorded into since this was asked last: a recovery may take either alone. */
export function rehomeRecords(writer: SessionWriter): void {
  if (writer.open.isGoneWithNews() || writer.live.isGoneWithNews()) rehome(writer);
}

function rehome(writer: SessionWriter): void {
  const { fileSystem, events } = writer.ports;
  try {
    writer.open.newDirectory = fileSystem.sync.mkdirs(writer.files.dir) ?? writer.open.newDirectory;
    // In this order, and a log that is there stays: it tells of the start of a span until its line has a name.
    if (writer.open.isGone()) runSync(fileSystem, rewrite(writer));
  } catch (error) {
    events.onFault(error, writer.open.path);
  }
  writer.rewriteLiveIfGone();
  // What was recorded into the file that is gone is acknowledged only now.
  writer.syncRecords();
}

/** Another head for the own open document, which must have no lines yet. Throws; then nothing has changed. */
export function* rewriteHead(writer: SessionWriter, head: DocumentHead): Gensync<void> {
  yield* rebuild(writer, { head, known: [], count: false }, () => {
    writer.session.setHead(head);
  });
}

interface Rebuild {
  readonly head: DocumentHead;
  /** Documents whose lines come first. */
  readonly known: readonly Published[];
  /** Whether totals are counted anew. */
  readonly count: boolean;
  readonly select?: SelectLines | undefined;
}

/** Builds, swaps, and calls `settle` in the turn of the swap. Throws when the file system refuses; then nothing has changed. */
function* rebuild(
  writer: SessionWriter,
  request: Rebuild,
  settle: (merged: MergedFile) => void,
): Gensync<void> {
  for (let copies = 1; !(yield* buildAndSwap(writer, request, settle, copies)); copies++);
}

/** `false`: the own open document was taken and written anew meanwhile, or the copy was swept; to be built again. */
function* buildAndSwap(
  writer: SessionWriter,
  { head, known, count, select }: Rebuild,
  settle: (merged: MergedFile) => void,
  copies: number,
): Gensync<boolean> {
  const { session, open, ports } = writer;
  const ownTraceId = session.head.traceId;
  const own = open.ensureOpen().hold();
  const path = writer.newTemp();
  let out: Descriptor | undefined;
  try {
    const ownLines = (from: number, to: number): Source => ({
      type: "lines",
      fd: own.fd,
      from,
      to,
      traceId: ownTraceId,
    });
    const headEnd = (yield* readHeadLine(own.fd, open.good)).length;
    let to = open.good;
    // A recovery that held us for dead gave these lines; they go on, and end in lines of their own.
    const running = new Set(session.openSpans.ids());
    out = createNow(ports.fileSystem, path);
    // What others have published may have rotted since, and a line taken as it is would make ours no document, too.
    const merged = new MergedFile(out.fd, head, { parse: known.length > 0, count, running });
    yield* merged.write([...known.flatMap(publishedSources), ownLines(headEnd, to)], select);
    for (const published of withCorruptLines(known, merged))
      yield* keepDamaged(writer.files, writer.token, published);
    while (open.descriptor === own && open.good - to > catchUpBytes) {
      const until = open.good;
      yield* merged.append(ownLines(to, until));
      to = until;
    }
    if (open.descriptor !== own) return false;
    // From here to the swap there is no step that waits: nothing can be recorded in between.
    if (open.good > to) runSync(ports.fileSystem, merged.append(ownLines(to, open.good)));
    if (!open.isSettled) throw open.fault;
    // The log must not tell of starts whose ends are about to leave the document: they would look interrupted.
    if (select && !writer.rewriteLive()) return true;
    try {
      ports.fileSystem.sync.rename(path, open.path);
    } catch (error) {
      if (isSwept(error, copies)) return false;
      throw error;
    }
    writer.temps.delete(path);
    open.swap(out.hold(), merged.size, merged.lines, 0);
    open.hasMarker = merged.hasMarker;
    settle(merged);
    return true;
  } finally {
    own.release();
    out?.release();
    writer.dropTemp(path);
  }
}

const isSameDocument = (a: Published, b: Published | undefined): boolean =>
  b !== undefined && a.identity.dev === b.identity.dev && a.identity.ino === b.identity.ino;

/** The published head stands, so that all writers of a session agree; the earliest start is the session's. */
function mergedHead({ session, files }: SessionWriter, current: Published | undefined): DocumentHead {
  const own = session.head;
  return mergeHeads({ id: own.id, sessionId: files.name }, current?.head ? [current.head, own] : [own]);
}

/** The document under our name turned out to be another session's: goes on under the next name. */
export function moveToNextName(writer: SessionWriter): void {
  const { files, session, live, open, ports, token } = writer;
  const names = nameCandidates(session.head.id);
  const name = names[names.indexOf(files.name) + 1];
  if (name === undefined)
    throw new Error(`no file name is left for session ${JSON.stringify(session.head.id)}`);
  writer.files = { ...files, name };
  session.setHead({ ...session.head, sessionId: name });
  for (const [file, path] of [
    [open, openPath(writer.files, token)],
    [live, livePath(writer.files, token)],
  ] as const) {
    ports.fileSystem.sync.rename(file.path, path);
    file.path = path;
    file.hasNewName = true;
  }
  // The head in the open document has the old name: a merge writes it anew.
  writer.base.isMerged = false;
}
