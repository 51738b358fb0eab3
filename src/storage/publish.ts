/**
 * Publishing: a copy of the open document, with a tail, takes the session's name while the session goes on.
 */

import type { LineSelection, SelectLines } from "../format/cap.js";
import { selectLines } from "../format/cap.js";
import { type DocumentTail, encodeHead, encodeTail } from "../format/document.js";
import { createNow, type Descriptor } from "../platform/descriptor.js";
import { type Gensync, io, runSync } from "../platform/gensync.js";
import { commit, isSame } from "./commit.js";
import { isDocumentOf, openPublished } from "./document-file.js";
import { chunkBytes, writeAll } from "./lines.js";
import { merge, moveToNextName, rewrite } from "./merge.js";
import { MergedFile, type Source } from "./merged-file.js";
import type { SessionWriter } from "./session-writer.js";
import { syncAll } from "./side-file-sync.js";
import { listSideFiles } from "./side-files.js";

/** A copy is synced every so many bytes, so that the last sync, like the rename, has little left to do. */
const syncEveryBytes = 8 * chunkBytes;

/** Said of open spans of a writer that is gone. */
export const lostOwner = "Interrupted by a restart: not an agent failure";

/** Brings the document up to date with what is recorded now. `false`: the fence came first. */
export function* publish(writer: SessionWriter): Gensync<boolean> {
  const { session, ports } = writer;
  const { epoch } = writer;
  const isCurrent = () => writer.epoch === epoch;
  for (;;) {
    if (!writer.refreshOpen()) return false;
    writer.mustSettle();
    yield* catchUpWithOthers(writer);
    // A marker cannot tell whose lines it stands for: where several write, or wait for recovery, all lines stay.
    const isAlone = (exceedsCap(writer) || session.peerSpans.size > 0) && !(yield* hasSiblings(writer));
    if (isAlone) closePeerSpans(writer);

    // Reads open spans, which runs code of the host. Of one turn from here to the copy: the tail and the lines beside it.
    const tail = session.tail(ports.clock.now());
    if (!isCurrent()) return false;
    // What ended since, and the disk refused, has no line yet, and no place in the tail any more.
    writer.mustSettle();
    const version = writer.version;
    const path = writer.newTemp();
    let copy: Descriptor | undefined;
    try {
      copy = createNow(ports.fileSystem, path);
      const { size, selection } = yield* copyDocument(
        writer,
        copy.fd,
        tail,
        isAlone ? capOf(writer) : undefined,
      );
      const { files, token } = writer;
      // A recovery takes the live log for the later word: after a power cut, too, it must not be the earlier.
      if (ports.durability !== "process") yield* syncAll(writer.live);
      const base = writer.base.identity;
      const mayCommit = () => isCurrent() && (selection === undefined || isStillAlone(writer));
      const outcome = yield* commit(ports, { files, token, source: path, by: "move", base, mayCommit });
      writer.pace.spent(size, ports.clock.monotonic());
      if (outcome === "committed") {
        writer.temps.delete(path);
        const { dev, ino } = ports.fileSystem.sync.fstat(copy.fd);
        const head = session.head;
        const body = { type: "lines", from: 0, to: 0 } as const;
        writer.base.set(
          { descriptor: copy.hold(), identity: { dev, ino }, size, head, tail: undefined, body },
          true,
        );
        // Not published before it is as durable as was asked for: a flush that failed here is tried again.
        if (ports.durability !== "process") yield* io.syncDirectory(files.dir);
        writer.publishedVersion = version;
        yield* compact(writer, selection);
        return true;
      }
      if (outcome === "fenced" && !isCurrent()) return false;
    } finally {
      copy?.release();
      writer.dropTemp(path);
    }
  }
}

/** Merges until the own open document holds every line of the document under the session's name. */
export function* catchUpWithOthers(writer: SessionWriter): Gensync<void> {
  const { ports } = writer;
  for (;;) {
    const current = yield* io.lstat(writer.path);
    if (writer.base.isMerged && isSame(current, writer.base.identity)) return;
    const published = yield* openPublished(ports.fileSystem, writer.files);
    if (published && !isDocumentOf(writer.session.head.id, published.head)) {
      published.descriptor.release();
      moveToNextName(writer);
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

interface Copied {
  readonly size: number;
  /** Which lines it has, if not all. */
  readonly selection: LineSelection | undefined;
}

/** Copies what is recorded at this moment, with a tail that was made in this turn: then they are one state. */
export function* copyDocument(
  writer: SessionWriter,
  out: number,
  tail: DocumentTail,
  select: SelectLines | undefined,
): Gensync<Copied> {
  const { session, open } = writer;
  const end = open.good;
  const isEmpty = open.lines === 0;
  const source = open.ensureOpen().hold();
  try {
    if (select && exceedsCap(writer)) {
      let selection: LineSelection | undefined;
      const merged = new MergedFile(out, session.head, { parse: false });
      const from = encodeHead(session.head).length;
      const lines: Source = { type: "lines", fd: source.fd, from, to: end, traceId: session.head.traceId };
      yield* merged.write([lines], (...counted) => {
        selection = select(...counted);
        return selection;
      });
      const bytes = encodeTail(tail, merged.size, merged.lines === 0);
      yield* writeAll(out, bytes);
      yield* io.fdatasync(out);
      return { size: merged.size + bytes.length, selection };
    }
    yield* copyRange(source.fd, out, end);
    const bytes = encodeTail(tail, end, isEmpty);
    yield* writeAll(out, bytes);
    yield* io.fdatasync(out);
    return { size: end + bytes.length, selection: undefined };
  } finally {
    source.release();
  }
}

/** Copies `[0, end)`, in pieces, syncing as it grows. */
export function* copyRange(from: number, to: number, end: number): Gensync<void> {
  const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end));
  let unsynced = 0;
  for (let position = 0; position < end; ) {
    const got = yield* io.read(from, chunk, 0, Math.min(chunk.length, end - position), position);
    if (got === 0) throw new Error("the open document is shorter than what was written to it");
    yield* writeAll(to, got === chunk.length ? chunk : chunk.subarray(0, got));
    position += got;
    unsynced += got;
    if (unsynced >= syncEveryBytes) {
      yield* io.fdatasync(to);
      unsynced = 0;
    }
  }
}

/** How a session's cap chooses lines. */
export function capOf({ session, ports: { maxSpans } }: SessionWriter): SelectLines | undefined {
  if (maxSpans <= 0) return undefined;
  const others = session.openSpans.size + session.peerSpans.size + 1;
  const ids = { id: session.head.id, rootSpanId: session.root.spanId };
  return (lines, hasMarker) => selectLines({ lines, hasMarker, others }, maxSpans, ids);
}

/** Whether a document of this moment would not be the open one as it is. */
export function exceedsCap(writer: SessionWriter): boolean {
  const { hasMarker, lines } = writer.open;
  return capOf(writer)?.(lines - (hasMarker ? 1 : 0), hasMarker) !== undefined;
}

/**
 * Keeps the open document of a capped session at about twice its cap. Only what the published document left out
 * goes, so that the open one always has every line of it, and a union of the two counts each span once.
 */
function* compact(writer: SessionWriter, published: LineSelection | undefined): Gensync<void> {
  if (published && writer.open.lines > 2 * writer.ports.maxSpans) yield* rewrite(writer, () => published);
}

/** Whether the session has side files of others: of writers, or of the dead whose spans recovery will bring. */
export function* hasSiblings({ files, token }: SessionWriter): Gensync<boolean> {
  const owners = (yield* listSideFiles(files.dir)).get(files.name) ?? [];
  return owners.some((owner) => owner.token !== token);
}

/** The same in the turn of a commit: who came while a document without all lines was built needs them all. */
export const isStillAlone = (writer: SessionWriter): boolean =>
  !runSync(writer.ports.fileSystem, hasSiblings(writer));

/**
 * Open spans that nobody runs any more get lines, as interrupted. Those that have ended stay in the tail: a line of
 * ours would stand against the one that their owner may have published meanwhile.
 */
export function closePeerSpans(writer: SessionWriter): void {
  for (const span of writer.session.interruptPeerSpans(lostOwner)) writer.appendSpan(span);
}
