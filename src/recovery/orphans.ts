/**
 * The side files that dead owners left: found by name, taken by a rename, read as they are.
 */

import {
  type DocumentHead,
  type DocumentTail,
  decodeHead,
  decodeLine,
  encodeTail,
  isRoot,
  lineKey,
} from "../format/document.js";
import { livePath, openPath } from "../format/file-names.js";
import { type JournalState, replayJournal } from "../format/journal.js";
import type { TraceSpan } from "../format/trace-file.js";
import { isWholeSummary } from "../format/validate.js";
import type { Descriptor } from "../platform/descriptor.js";
import { errorCode, type FileCalls, type FileSystem } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { readHeadLine } from "../storage/document-file.js";
import { lastLine, readRange, scanLines } from "../storage/lines.js";
import type { Source } from "../storage/merged-file.js";
import { type SideFiles, tryOpen } from "../storage/side-files.js";
import { commonLines } from "./common-lines.js";

/** What the open document and live log of a dead owner say. */
export interface DeadFiles extends SideFiles {
  /** The open document, if there is one; released by whoever reads it. */
  readonly open: Descriptor | undefined;
  readonly head: DocumentHead | undefined;
  /** Where its span lines are. */
  readonly from: number;
  readonly to: number;
  /** Its tail, if it was sealed and only the commit is missing. */
  readonly tail: DocumentTail | undefined;
  /** Bytes after the last whole line. */
  readonly tornBytes: number;
  readonly live: JournalState;
  /** What the live log tells as ended, and no line does yet. */
  readonly pending: readonly TraceSpan[];
  /** Read beside its living owner, by a reader; recovery reads only what the dead left. */
  readonly isAlive: boolean;
  /** When it was last written to, in epoch milliseconds. */
  readonly lastWrite: number;
}

/**
 * Takes a dead owner's files by renaming them to a fresh token of ours. If the owner lives after all, it finds
 * its file gone at its next record; whatever it wrote before that is read here, since reading follows the rename.
 * `undefined`: another recovery was faster.
 */
export function takeOver(
  calls: FileCalls,
  { files, token }: SideFiles,
  ownToken: string,
): SideFiles | undefined {
  let taken = 0;
  for (const path of [openPath, livePath]) {
    try {
      calls.rename(path(files, token), path(files, ownToken));
      taken++;
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }
  return taken > 0 ? { files, token: ownToken } : undefined;
}

/** Reads side files without changing them. */
export function* readSideFiles(
  fileSystem: FileSystem,
  { files, token }: SideFiles,
  isAlive: boolean,
): Gensync<DeadFiles> {
  const open = yield* tryOpen(fileSystem, openPath(files, token));
  const log = yield* tryOpen(fileSystem, livePath(files, token));
  try {
    let lastWrite = 0;
    let live = replayJournal(Buffer.alloc(0));
    if (log) {
      const stat = yield* io.fstat(log.fd);
      live = replayJournal(yield* readRange(log.fd, 0, stat.size));
      lastWrite = stat.mtimeMs;
    }
    const pending = new Map([...live.spans].filter(([, span]) => span.endTime !== undefined));
    if (!open) {
      const nothing = { open, head: undefined, from: 0, to: 0, tail: undefined, tornBytes: 0 };
      return { files, token, isAlive, ...nothing, live, pending: [...pending.values()], lastWrite };
    }
    const stat = yield* io.fstat(open.fd);
    const outline = yield* outlineOpenDocument(open.fd, stat.size, pending);
    lastWrite = Math.max(lastWrite, stat.mtimeMs);
    return { files, token, isAlive, open, ...outline, live, pending: [...pending.values()], lastWrite };
  } catch (error) {
    open?.release();
    throw error;
  } finally {
    log?.release();
  }
}

/** Finds head, lines, tail and torn end of an open document. Of `pending` those go that have lines. */
function* outlineOpenDocument(
  fd: number,
  size: number,
  pending: Map<string, TraceSpan>,
): Gensync<Pick<DeadFiles, "head" | "from" | "to" | "tail" | "tornBytes">> {
  const first = yield* readHeadLine(fd, size);
  const head = decodeHead(first);
  const from = head ? first.length : 0;
  const last = yield* lastLine(fd, size);
  const decoded = decodeLine(last.line, last.from);
  const to = Math.max(from, decoded.type === "tail" ? last.from : last.to);
  if (pending.size > 0) {
    yield* scanLines(fd, from, to, (line) => {
      const key = lineKey(line);
      if (key) pending.delete(key.spanId);
    });
  }
  // What follows a tail is no part of it, and makes it none.
  const tail = decoded.type === "tail" && last.to === size ? decoded.tail : undefined;
  return { head, from, to, tail, tornBytes: size - last.to };
}

/** The lines that a dead owner left, without those that its document has from it. */
export function* deadSource(
  { from, to, head, live }: DeadFiles,
  fd: number,
  into: DocumentHead,
  published: Source | undefined,
): Gensync<Source> {
  const own = {
    type: "lines" as const,
    fd,
    from,
    to,
    traceId: head?.traceId ?? live.session?.traceId ?? into.traceId,
  };
  if (published?.type !== "lines" || published.traceId !== own.traceId) return own;
  return { ...own, from: from + (yield* commonLines(published, own)) };
}

export function pendingSource({ head, live, pending }: DeadFiles, into: DocumentHead): Source[] {
  const traceId = live.session?.traceId ?? head?.traceId ?? into.traceId;
  return pending.length > 0 ? [{ type: "spans", spans: pending, traceId }] : [];
}

/** Whether a sealed open document can take its name as it is: rot may have met any of its lines. */
export function* isSound({ open, head, from, to, tail, live }: DeadFiles): Gensync<boolean> {
  const root = tail?.spans.find(isRoot);
  if (!open || !head || !tail || !root || !isWholeSummary(tail.summary)) return false;
  // All spans hang under it: one changed digit would part them from it, and still parse.
  if (live.session && live.session.root.spanId !== root.spanId) return false;
  let isSound = true;
  const missing = new Set(live.spans.keys());
  const there = new Set(tail.spans.map(({ spanId }) => spanId));
  for (const spanId of there) missing.delete(spanId);
  yield* scanLines(open.fd, from, to, (line, offset) => {
    const hasComma = line[0] === 0x2c;
    const decoded = decodeLine(line, offset);
    if (decoded.type !== "span" || hasComma !== offset > from || there.has(decoded.span.spanId)) {
      isSound = false;
      return;
    }
    there.add(decoded.span.spanId);
    missing.delete(decoded.span.spanId);
  });
  // What a tail lacks, or has besides, is not seen in what it was read as.
  const written = encodeTail(tail, to, to === from);
  const bytes = yield* readRange(open.fd, to, to + written.length + 1);
  return isSound && missing.size === 0 && bytes.equals(written);
}
