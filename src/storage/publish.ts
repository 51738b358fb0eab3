/**
 * Publishing: a copy of the append log, with a tail, takes the session's name while the session continues.
 */

import type { LineSelection, SelectLines } from "../format/cap.js";
import { selectLines } from "../format/cap.js";
import { type DocumentTail, encodeHead, encodeTail } from "../format/document.js";
import { type Gensync, io, runSync } from "../platform/gensync.js";
import { locksOpenFiles } from "../platform/ground.js";
import type { NewFile } from "./build-file.js";
import { type CommitOutcome, commit } from "./commit.js";
import { isDocumentOf, openPublished } from "./document-file.js";
import { identityOf, isVersion, mustProgress } from "./identity.js";
import { copyRange, type Source, writeAll } from "./lines.js";
import { merge, placementOf, placeSpans, rewriteLog } from "./merge.js";
import { MergedFile } from "./merged-file.js";
import type { SessionWriter } from "./session-writer.js";
import { hasPeerWriters, listSideFiles } from "./side-files.js";

/** Status message of open spans whose writer is gone. */
export const lostOwner = "Interrupted by a restart: not an agent failure";

/** `summary.detector` of a session that lost a writer. */
export const writerGone = "process gone";

/** Called with the size of each copy, and with the size of the tail in it; also where the append log was copied. */
type Charge = (copiedBytes: number, tailBytes: number) => void;

/** Brings the document up to date with what is recorded now. `false`: the crash fence came first. */
export function* publish(writer: SessionWriter, charge: Charge): Gensync<boolean> {
  const { session, epoch } = writer;
  const isCurrent = () => writer.epoch === epoch;
  for (let attempt = 1; ; attempt++) {
    mustProgress(attempt, writer.path);
    if (!writer.refreshOpen()) return false;
    writer.mustSettle();
    yield* mergePublished(writer);
    const placedBytes = yield* placeSpans(writer, false);
    if (placedBytes > 0) charge(placedBytes, 0);
    // An elision marker does not name the writers of the lines it replaces: all lines stay while the session has peers, or
    // orphaned files that recovery will merge.
    const isAlone = (exceedsCap(writer) || session.hasPeerWork) && !(yield* hasPeerFiles(writer));
    if (isAlone) closePeerSpans(writer, writerGone);
    const isFenced = session.verdict?.end !== undefined && !(yield* hasPeers(writer));
    const outcome = yield* writer.buildFile((file) =>
      publishCopy(writer, charge, { isAlone, isFenced }, isCurrent, file),
    );
    if (outcome === "committed") return true;
    if (outcome === "fenced" && !isCurrent()) return false;
  }
}

function* publishCopy(
  writer: SessionWriter,
  charge: Charge,
  { isAlone, isFenced }: { readonly isAlone: boolean; readonly isFenced: boolean },
  isCurrent: () => boolean,
  file: NewFile,
): Gensync<CommitOutcome> {
  const { session, ports, base, files, token } = writer;
  // From here to the copy is one turn: the tail, and the lines beside it. Reading open spans runs code of the host.
  // A standing verdict holds for what is added to the session, unless a peer writer continues the session.
  const tail = session.tail(writer.clock.now(), isFenced ? session.verdict?.end : undefined);
  if (!isCurrent()) return "fenced";
  // A span that ended since, and that the disk refused, has no line yet, and no place in the tail any more.
  writer.mustSettle();
  const { version } = writer;
  const { size, tailBytes, selection } = yield* copyDocument(
    writer,
    file.fd,
    tail,
    isAlone ? capOf(writer) : undefined,
  );
  // A recovery takes the journal for the later word: after a power cut, too, the journal must not be the earlier one.
  if (ports.durability !== "process") yield* writer.journal.syncAll();
  const mayCommit = () => isCurrent() && (selection === undefined || !hasPeerFilesNow(writer));
  const request = { files, token, source: file.path, by: "move", base: base.identity, mayCommit } as const;
  const outcome = yield* commit(ports, request);
  charge(size, tailBytes);
  if (outcome !== "committed") return outcome;
  file.markRenamed();
  // In the turn of the commit.
  const { fileSystem } = ports;
  const stat = fileSystem.sync.fstat(file.fd);
  const identity = runSync(fileSystem, identityOf(fileSystem, file.fd, stat));
  const body = { type: "lines", from: 0, to: 0 } as const;
  const descriptor = file.descriptor.hold();
  base.set({ descriptor, identity, size, head: session.head, tail: undefined, body }, true);
  // Not published before it is as durable as was asked for: a flush that fails here is retried.
  if (ports.durability !== "process") yield* io.syncDirectory(files.dir);
  writer.markPublished(version);
  yield* compact(writer, selection);
  return outcome;
}

/** Merges until the own append log holds every line of the document under the session's name. */
export function* mergePublished(writer: SessionWriter): Gensync<void> {
  const { ports } = writer;
  for (let attempt = 1; ; attempt++) {
    mustProgress(attempt, writer.path);
    if (yield* isMergedWithPublished(writer)) return;
    const published = yield* openPublished(ports.fileSystem, writer.files);
    if (published && !isDocumentOf(writer.session.head.id, published.head)) {
      published.descriptor.release();
      writer.moveToNextName();
      continue;
    }
    try {
      yield* merge(writer, published);
    } catch (error) {
      published?.descriptor.release();
      throw error;
    }
  }
}

/** Whether the own append log holds every line of the document, and the document can be replaced. */
export function* isMergedWithPublished({
  ports: { fileSystem },
  path,
  base,
}: SessionWriter): Gensync<boolean> {
  const { identity, isMerged } = base;
  // Held open since before it was known that no open file can be replaced here.
  if (!isMerged || (identity && !("content" in identity) && locksOpenFiles(fileSystem))) return false;
  return yield* isVersion(fileSystem, path, identity);
}

interface Copied {
  readonly size: number;
  readonly tailBytes: number;
  /** Which lines the copy has, if not all. */
  readonly selection: LineSelection | undefined;
}

/** Copies what is recorded at this moment. The tail is of this turn: lines and tail are one state. */
export function* copyDocument(
  writer: SessionWriter,
  out: number,
  tail: DocumentTail,
  select: SelectLines | undefined,
): Gensync<Copied> {
  const { session, log } = writer;
  const { size: end, lines } = log;
  const source = log.ensureOpen().hold();
  try {
    let selection: LineSelection | undefined;
    let size = end;
    let isEmpty = lines === 0;
    if (select && exceedsCap(writer)) {
      const { traceId } = session.head;
      const merged = new MergedFile(out, session.head, { parse: false, placement: placementOf(writer) });
      const from = encodeHead(session.head).length;
      const own: Source = { type: "lines", fd: source.fd, from, to: end, traceId };
      yield* merged.write([own], (...counted) => {
        selection = select(...counted);
        return selection;
      });
      size = merged.size;
      isEmpty = merged.lines === 0;
    } else {
      yield* copyRange(source.fd, out, end);
    }
    const bytes = encodeTail(tail, size, isEmpty);
    yield* writeAll(out, bytes);
    yield* io.fdatasync(out);
    return { size: size + bytes.length, tailBytes: bytes.length, selection };
  } finally {
    source.release();
  }
}

/** The lines that the cap of the session selects; `undefined` without a cap. */
export function capOf({ session, ports: { maxSpans } }: SessionWriter): SelectLines | undefined {
  if (maxSpans <= 0) return undefined;
  const others = session.openSpans.size + session.peerSpans.size + 1;
  const ids = { id: session.head.id, rootSpanId: session.root.spanId };
  return (lines, hasMarker) => selectLines({ lines, hasMarker, others }, maxSpans, ids);
}

/** Whether a document of this moment would leave lines of the append log out. */
export function exceedsCap(writer: SessionWriter): boolean {
  const { hasElisionMarker, lines } = writer.log;
  return capOf(writer)?.(lines - (hasElisionMarker ? 1 : 0), hasElisionMarker) !== undefined;
}

/**
 * Keeps the append log of a capped session at about twice its cap. Only lines that the published document left out are
 * dropped, so that the append log always has every line of that document, and a merge of both counts each span once.
 */
function* compact(writer: SessionWriter, published: LineSelection | undefined): Gensync<void> {
  if (published && writer.log.lines > 2 * writer.ports.maxSpans) yield* rewriteLog(writer, () => published);
}

/** Whether another writer writes to the session. */
export const hasPeers = ({ ports, files, session, token }: SessionWriter): Gensync<boolean> =>
  hasPeerWriters(ports, files, session.head.id, new Set([token]));

/** Whether the session has side files of peer writers, or orphaned ones that recovery will merge. */
export function* hasPeerFiles({ files, token }: SessionWriter): Gensync<boolean> {
  const owners = (yield* listSideFiles(files.dir)).get(files.name) ?? [];
  return owners.some((owner) => owner.token !== token);
}

/** Like {@link hasPeerFiles}, in the turn of a commit: a peer that came meanwhile needs every line. */
export const hasPeerFilesNow = (writer: SessionWriter): boolean =>
  runSync(writer.ports.fileSystem, hasPeerFiles(writer));

/**
 * Open spans of peer writers that are gone get lines, as interrupted. Ended spans stay in the tail: a line of this
 * writer would compete with the line that their owner may have published meanwhile. `detector`: what ended the peer
 * writers; absent where this writer resumes a session that they have left.
 */
export function closePeerSpans(writer: SessionWriter, detector?: string): void {
  for (const span of writer.session.interruptPeerSpans(lostOwner, detector)) writer.appendSpan(span);
}
