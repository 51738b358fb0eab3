/**
 * Recognizes documents of ours. A name proves nothing: a `package.json` can be in the directory of a trace. A file is a
 * document of ours if its head is the head of a document of version 2, and the session id of the head fits the name of
 * the file.
 *
 * The document of a trace that named no session has the trace id as its raw session id. The document of one run of a
 * program, with its spans without a session, has a mark in its layout.
 */

import { type DocumentHead, endMarksIn } from "../format/document.js";
import { documentPath, nameCandidates, type SessionFiles, safeId } from "../format/file-names.js";
import { decodeLeadingHead } from "../format/leading-head.js";
import { Descriptor } from "../platform/descriptor.js";
import { type FileStat, type FileSystem, isNoFile } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { RecentMap } from "../platform/recent-map.js";
import { maxWholeBytes } from "../storage/document-file.js";
import { readRange } from "../storage/lines.js";

/** The head of most documents fits into the first read, and every head without a long session id into the second. */
const headBytes = [4_096, 1 << 20];

/** A file with the name of a document. */
export interface Recognized {
  /** No document of ours, that of a named session, or that of spans without a session. */
  readonly kind: "foreign" | "named" | "unnamed";
  /** The token of the writer that may take the end of the document back: a process hook has ended the session. */
  readonly provisional?: string | undefined;
  /** Why the file could not be read: it may be any of the three. */
  readonly refused?: unknown;
}

const foreign: Recognized = { kind: "foreign" };

/** Results by path. A file that has not changed is not read again: retention runs every 10 s. */
const results = new RecentMap<string, Recognized & { readonly checked: FileStat }>(16_384);

const isTraceIdName = (name: string): boolean => /^[0-9a-f]{32}$/.test(name);

/** With a hash behind it where another session has the name. */
const runName = /-\d{8}T\d{6}Z-\d+(?:-[0-9a-f]{8,64})?$/;

/** Whether a name can be that of spans without a session: the id of a trace, or service, start and process number. */
export const isUnnamedName = (name: string): boolean => isTraceIdName(name) || runName.test(name);

/** The marks in the layout of a document are within so many bytes of its end. */
const endBytes = 256;

/**
 * Recognizes a regular file with the name of a document. Reads about 1 MB at most, and a session id that is longer. A
 * file is foreign if these bytes do not suffice, if it cannot be read, or if it changes meanwhile.
 */
export function* recognize(
  fileSystem: FileSystem,
  files: SessionFiles,
  found: FileStat,
): Gensync<Recognized> {
  const path = documentPath(files);
  const known = results.get(path);
  if (known && isUntouched(fileSystem, path, found, known.checked)) return known;
  let file: Descriptor | undefined;
  try {
    file = new Descriptor(fileSystem, yield* io.open(path, "read"));
    const head = yield* readHead(file.fd, found.size);
    const isOwn = head !== undefined && (yield* isNameOf(fileSystem, head, files, found));
    const isTrace = isOwn && isTraceIdName(files.name) && head.id === head.traceId;
    const end = yield* readRange(file.fd, Math.max(0, found.size - endBytes), isOwn ? found.size : 0);
    const { isUnnamed, provisional } = endMarksIn(end);
    const kind = isTrace || isUnnamed ? "unnamed" : isOwn ? "named" : "foreign";
    // Another file may have had the path while the head was read. Renames to and fro change the change time.
    if (!isUntouched(fileSystem, path, yield* io.lstat(path), found)) return foreign;
    const result = { checked: found, kind, provisional } as const;
    results.set(path, result);
    return result;
  } catch (error) {
    // Checked again in the next pass.
    return isNoFile(error) ? foreign : { kind: "foreign", refused: error };
  } finally {
    file?.releaseNow();
  }
}

function* readHead(fd: number, size: number): Gensync<DocumentHead | undefined> {
  const most = Math.min(size, maxWholeBytes);
  for (let attempt = 0, wanted = 0; wanted < most; attempt++) {
    wanted = headBytes[attempt] ?? 4 * wanted;
    const text = (yield* readRange(fd, 0, Math.min(wanted, most))).toString("utf8");
    const decoded = decodeLeadingHead(text);
    if (decoded.type === "head") return decoded.head;
    if (decoded.type === "foreign" || (attempt + 1 >= headBytes.length && !decoded.inId)) return undefined;
  }
  return undefined;
}

/** Whether a writer of this session finds the file under one of the names of the session. */
function* isNameOf(
  fileSystem: FileSystem,
  { id, sessionId }: DocumentHead,
  { dir, name }: SessionFiles,
  found: FileStat,
): Gensync<boolean> {
  // The old tracer wrote no raw id. Its file name was the sanitized id, however long.
  const names = id === undefined ? [safeId(sessionId), ...nameCandidates(sessionId)] : nameCandidates(id);
  if (names.includes(name)) return true;
  // macOS, Windows and ext4's casefold find a file by a name in another letter case, and keep the name of the file.
  const alike = names.find((one) => folded(one) === folded(name));
  if (alike === undefined) return false;
  const path = documentPath({ dir, name: alike });
  return isUnchanged(fileSystem, path, yield* io.lstat(path), found);
}

const folded = (name: string): string => name.normalize("NFC").toLowerCase();

/** Whether a path still has the file, and no rename has moved the file away and back. */
const isUntouched = (fileSystem: FileSystem, path: string, now: FileStat | undefined, before: FileStat) =>
  now?.ctimeNs === before.ctimeNs && isUnchanged(fileSystem, path, now, before);

/** Whether a path still has the checked file. Ignores the change time, which every rename sets. */
export function isUnchanged(
  { ground, sync }: FileSystem,
  path: string,
  now: FileStat | undefined,
  { dev, ino, size, mtimeMs }: FileStat,
): boolean {
  if (now?.size !== size || now.mtimeMs !== mtimeMs) return false;
  return (now.dev === dev && now.ino === ino) || ground?.changesInodes(sync, path) === true;
}
