/**
 * The document under a session's name, as a writer finds it, and the version of it that a writer builds on.
 */

import { adoptMarker } from "../format/cap.js";
import {
  type DocumentHead,
  type DocumentTail,
  decodeDocument,
  decodeHead,
  decodeTail,
  isRoot,
  tailStartIn,
} from "../format/document.js";
import {
  documentPath,
  hasRefusedCharacters,
  longestPath,
  nameCandidates,
  type SessionFiles,
  safeId,
  tempPath,
} from "../format/file-names.js";
import { withOrigins } from "../format/origins.js";
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { validMetadata, validSummary } from "../format/validate.js";
import { type Clock, nextEvent } from "../platform/clock.js";
import { createNow, Descriptor } from "../platform/descriptor.js";
import {
  errorCode,
  type FileCalls,
  type FileSystem,
  isNoFile,
  isStale,
  tryUnlink,
} from "../platform/file-system.js";
import { type Gensync, io, runSync } from "../platform/gensync.js";
import { isUnlinkable } from "../platform/ground.js";
import { type Identity, identityOf, isSameFile, isVersion, mustProgress } from "./identity.js";
import { afterNewline, copyRange, maxLineBytes, readRange } from "./lines.js";

/** Where the span lines of a document are. */
type Body =
  | { readonly type: "lines"; readonly from: number; readonly to: number }
  /** Laid out by another program: read whole. */
  | { readonly type: "spans"; readonly spans: readonly TraceSpan[] }
  /** No document: kept under another name before a document takes this one. */
  | { readonly type: "unreadable" };

/** An open document file. The descriptor keeps the inode from being reused; the caller releases the descriptor. */
export interface Published {
  readonly descriptor: Descriptor;
  readonly identity: Identity;
  readonly size: number;
  readonly head: DocumentHead | undefined;
  readonly tail: DocumentTail | undefined;
  readonly body: Body;
}

/** A change time this old cannot be given to another file any more: kernels stamp in ticks of up to 10 ms. */
const settledMillis = 50;

/** The version of the document that a writer last saw under its session's name: its next commit is built against it. */
export class BaseVersion {
  #isMerged = true;
  #identity: Identity | undefined;
  #published: Published | undefined;
  #changedAt = 0;

  /** Whether the writer's own append log holds every line of that document. */
  get isMerged(): boolean {
    return this.#isMerged;
  }

  /** `undefined`: there is no document, or it is not known which. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /**
   * Held open, so that its inode is not reused; not while the writer's files are closed, nor where the content identifies
   * the document.
   */
  get published(): Published | undefined {
    return this.#published;
  }

  /** The event ({@link nextEvent}) of the last change: what was known of peer writers before is old. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** The document is now this one. */
  set(published: Published | undefined, isMerged: boolean): void {
    this.#changedAt = nextEvent();
    if (this.#published !== published) this.#published?.descriptor.release();
    this.#published = published;
    this.#identity = published?.identity;
    this.#isMerged = isMerged;
    // What the content identifies need not be held open, and an open file cannot be replaced everywhere.
    if (isMerged && published && "content" in published.identity) {
      published.descriptor.release();
      this.#published = undefined;
    }
  }

  /** The append log may lack lines of the document: the next publish or end merges. */
  markUnmerged(): void {
    this.#isMerged = false;
  }

  /** Closes the file and remembers its times instead, if a later file cannot have the same times. */
  closeIdle(calls: FileCalls, clock: Clock, path: string): void {
    if (!this.#published) return;
    const { identity } = this.#published;
    this.#published.descriptor.release();
    this.#published = undefined;
    this.#identity = undefined;
    const stat = calls.lstat(path);
    const isSettled = stat && clock.now() - Number(stat.ctimeNs / 1_000_000n) >= settledMillis;
    // A closed file is known by its content as well as an open one.
    if ("content" in identity) this.#identity = identity;
    else if (isSettled && stat.isFile && isSameFile(stat, identity)) {
      const { dev, ino, size, ctimeNs } = stat;
      this.#identity = { dev, ino, size, ctimeNs };
    } else {
      this.#isMerged = false;
    }
  }
}

/**
 * Bytes of the longest document that is read as one text. Parsing takes several times as much memory, and V8 has no
 * text beyond 512 MB. Documents of this package are read line by line, and may be longer.
 */
export const maxWholeBytes = maxLineBytes;

/** An open file under a document's name; the caller releases the descriptor. */
export type OpenDocument = Pick<Published, "descriptor" | "identity" | "size">;

/** Opens a document and reads its head and tail. `undefined` as by {@link openDocument}. */
export function* openPublished(fileSystem: FileSystem, files: SessionFiles): Gensync<Published | undefined> {
  const opened = yield* openDocument(fileSystem, files);
  if (!opened) return undefined;
  try {
    return { ...opened, ...(yield* readOutline(opened.descriptor.fd, opened.size)) };
  } catch (error) {
    opened.descriptor.release();
    throw error;
  }
}

/**
 * Opens a document. `undefined` when there is no document, or when a symlink, a pipe or a socket has its name: a commit
 * replaces those.
 */
export function* openDocument(
  fileSystem: FileSystem,
  files: SessionFiles,
): Gensync<OpenDocument | undefined> {
  for (let attempt = 1; ; attempt++) {
    mustProgress(attempt, documentPath(files));
    try {
      return yield* openOnce(fileSystem, files);
    } catch (error) {
      // Replaced since it was opened, on a file system that keeps no removed file: the other one has the name by now.
      if (errorCode(error) === "ENOTCONN" || !isStale(error)) throw error;
    }
  }
}

function* openOnce(fileSystem: FileSystem, files: SessionFiles): Gensync<OpenDocument | undefined> {
  let fd: number;
  try {
    fd = yield* io.open(documentPath(files), "read");
  } catch (error) {
    if (isNoFile(error)) return undefined;
    throw error;
  }
  const descriptor = new Descriptor(fileSystem, fd);
  try {
    const { dev, ino, size, isFile, isDirectory } = yield* io.fstat(fd);
    if (isDirectory)
      throw Object.assign(new Error(`${documentPath(files)} is a directory`), { code: "EISDIR" });
    if (!isFile) {
      descriptor.release();
      return undefined;
    }
    return { descriptor, identity: yield* identityOf(fileSystem, fd, { dev, ino, size }), size };
  } catch (error) {
    descriptor.release();
    throw error;
  }
}

type Outline = Pick<Published, "head" | "tail" | "body">;

/**
 * Bytes read in the first call: the number of calls decides how long a listing takes. Buffers of less than 4,096 bytes are
 * parts of a larger one of Node: with longer ones, a listing of 1,000 took a fifth longer.
 */
const usualTailBytes = 4_000;

/** Reads the head and the tail of a document; its spans only where they are not laid out in lines. */
export function* readOutline(fd: number, size: number): Gensync<Outline> {
  const last = yield* readRange(fd, Math.max(0, size - usualTailBytes), size);
  const tailStart = tailStartIn(last);
  if (tailStart !== undefined && tailStart > 0 && tailStart < size && size - tailStart < maxLineBytes) {
    const head = yield* readHeadLine(fd, tailStart);
    const headEnd = head.length;
    const decodedHead = decodeHead(head);
    const tailBytes = size - tailStart + 1;
    const beforeTail =
      tailBytes > last.length ? yield* readRange(fd, tailStart - 1, size) : last.subarray(-tailBytes);
    // An editor may have moved the tail: it must begin a line at the offset that it states.
    const tail = beforeTail[0] === 0x0a ? decodeTail(beforeTail.subarray(1)) : undefined;
    if (decodedHead && tail) {
      return { head: decodedHead, tail, body: { type: "lines", from: headEnd, to: tailStart } };
    }
  }
  if (size > maxWholeBytes || !(yield* beginsLikeObject(fd, size))) return outlineOf(undefined);
  const bytes = yield* readRange(fd, 0, size);
  return outlineOf(isHollow(bytes) ? undefined : decodeDocument(bytes.toString("utf8")));
}

/** Whether a file can be a JSON object by its first bytes: another one, such as one of NUL bytes, is not read whole. */
function* beginsLikeObject(fd: number, size: number): Gensync<boolean> {
  const first = (yield* readRange(fd, 0, Math.min(size, 64))).toString("utf8");
  return /^\ufeff?\s*(?:\{|$)/.test(first);
}

/** A shorter document is parsed within a second, whatever it holds. */
export const hollowBytes = 8_000_000;

/**
 * Whether a long text is mostly brackets, such as `{},{},…`: each takes some 50 bytes of memory and as long as a kilobyte
 * of text. A span has hundreds of bytes, most of them text.
 */
export function isHollow(bytes: Buffer): boolean {
  if (bytes.length < hollowBytes) return false;
  let [brackets, looks, step] = [0, 0, 0];
  // One byte in 33, at changing distances, so that no pattern hides in between: every byte took a third of a read.
  for (let at = 0; at < bytes.length; at += step + 1) {
    looks++;
    // `[` and `{` differ in this bit.
    if (((bytes[at] as number) | 0x20) === 0x7b) brackets++;
    step = (step * 5 + 3) & 63;
  }
  return brackets > looks / 12;
}

/** The head line of most documents fits into this many bytes. */
const usualHeadBytes = 1_000;

/** A head of more than this many bytes is read in a buffer of its size. */
const seekHeadBytes = 1_000_000;

/**
 * The first line, with its newline; empty when there is no newline before `end`. The line is as long as the session id:
 * reads until the newline, at most `maxWholeBytes`.
 */
export function* readHeadLine(fd: number, end: number): Gensync<Buffer> {
  const most = Math.min(end, maxWholeBytes);
  for (let wanted = usualHeadBytes; ; wanted *= 4) {
    const bytes = yield* readRange(fd, 0, Math.min(wanted, most));
    const newline = bytes.indexOf(0x0a);
    if (newline >= 0 || wanted >= most) return bytes.subarray(0, newline + 1);
    if (wanted < seekHeadBytes) continue;
    // A sparse file may have no newline for gigabytes: its end is looked for in pieces.
    const after = yield* afterNewline(fd, bytes.length, most);
    return after === undefined ? Buffer.alloc(0) : yield* readRange(fd, 0, after);
  }
}

function outlineOf(document: TraceFile | undefined): Outline {
  if (document === undefined) return { head: undefined, tail: undefined, body: { type: "unreadable" } };
  const { id, traceId, sessionId, startedAt, endedAt, layout } = document;
  const metadata = withOrigins(validMetadata(document.metadata), document);
  const summary = validSummary(document.summary);
  const spans = adoptMarker({ ...document, summary });
  const isTail = (span: TraceSpan) => span.endTime === undefined || isRoot(span);
  return {
    head: { id: typeof id === "string" ? id : undefined, traceId, sessionId, startedAt },
    tail: { spans: spans.filter(isTail), metadata, summary, endedAt, layout: { ...layout, v: 1 } },
    body: { type: "spans", spans: spans.filter((span) => !isTail(span)) },
  };
}

/** Finds the document of a session as {@link findDocument} does, or a name for it that this file system takes. */
export function* findPlace(
  fileSystem: FileSystem,
  id: string,
  files: SessionFiles,
  token: string,
): Gensync<{ files: SessionFiles; published: Published | undefined }> {
  probeName(fileSystem, files, token);
  return yield* findDocument(fileSystem, id, files);
}

/** Finds out, for a writer, whether the file system refuses characters that the name has. */
export function probeName(fileSystem: FileSystem, files: SessionFiles, token: string): void {
  if (!hasRefusedCharacters(files.name) || fileSystem.refusedInNames) return;
  fileSystem.ground?.probeNames(fileSystem.sync, tempPath(files, token));
}

/**
 * Finds the document of a session: under the given name, or under a later one where that name is another session's, or where
 * the file system may refuse that name.
 */
export function* findDocument(
  fileSystem: FileSystem,
  id: string,
  { dir, name }: SessionFiles,
): Gensync<{ files: SessionFiles; published: Published | undefined }> {
  const candidates = nameCandidates(id);
  let free: SessionFiles | undefined;
  for (const candidate of [name, ...candidates.slice(candidates.indexOf(name) + 1)]) {
    const files = { dir, name: candidate };
    const published = yield* openPublished(fileSystem, files);
    if (published && isDocumentOf(id, published.head)) return { files, published };
    published?.descriptor.release();
    if (published || !(yield* canName(fileSystem, files))) continue;
    free ??= files;
    if (!hasRefusedCharacters(candidate)) break;
  }
  if (free) return { files: free, published: undefined };
  throw new Error(`no file name is left for session ${JSON.stringify(id)}`);
}

/** Session names of this many bytes leave room for the rest of a file name on every file system: eCryptfs has 143. */
const alwaysRoomBytes = 64;

/** Whether all files of a session can have this name here: names are shorter on some file systems than on others. */
export function* canName({ refusedInNames, ground }: FileSystem, files: SessionFiles): Gensync<boolean> {
  if (refusedInNames?.test(files.name)) return false;
  if (ground?.refuses("nameCharacters") && hasRefusedCharacters(files.name)) return false;
  if (Buffer.byteLength(files.name) <= alwaysRoomBytes) return true;
  try {
    yield* io.lstat(longestPath(files));
  } catch (error) {
    return errorCode(error) !== "ENAMETOOLONG";
  }
  return true;
}

/** Where the session's document is, or would be: the first of its names may be another session's. Never throws. */
export function findPath(fileSystem: FileSystem, dir: string, id: string): string {
  const files = { dir, name: nameCandidates(id)[0] as string };
  try {
    const found = runSync(fileSystem, findDocument(fileSystem, id, files));
    found.published?.descriptor.release();
    return documentPath(found.files);
  } catch {
    return documentPath(files);
  }
}

/** Keeps a file that is no trace document, or that is damaged, under another name before a document takes its name. */
export function* keepDamaged(
  fileSystem: FileSystem,
  files: SessionFiles,
  token: string,
  { identity, descriptor, size }: OpenDocument,
): Gensync<void> {
  const path = documentPath(files);
  // Another writer replaced the file, and has kept it.
  if (!(yield* isVersion(fileSystem, path, identity))) return;
  const kept = `${path}.damaged.${token}`;
  try {
    yield* io.link(path, kept);
  } catch (error) {
    if (isUnlinkable(error)) return yield* copyDamaged(fileSystem, kept, descriptor.fd, size);
    // Kept before, by work that a crash fence or a fault cut short. Another file under that name keeps nothing.
    if (errorCode(error) !== "EEXIST" || !(yield* isVersion(fileSystem, kept, identity))) throw error;
  }
}

/** Keeps a file where there are no hard links. A copy that was cut short under this name is replaced. */
function* copyDamaged(fileSystem: FileSystem, kept: string, fd: number, size: number): Gensync<void> {
  tryUnlink(fileSystem.sync, kept);
  const copy = createNow(fileSystem, kept);
  try {
    yield* copyRange(fd, copy.fd, size);
    yield* io.fdatasync(copy.fd);
  } finally {
    copy.release();
  }
}

/** Whether a document belongs to a session: by the raw id, or by the sanitised id where the document has no raw id. */
export function isDocumentOf(id: string, head: DocumentHead | undefined): boolean {
  return head === undefined || (head.id === undefined ? head.sessionId === safeId(id) : head.id === id);
}
