/**
 * The marker beside a document: `<name>.json.replayed`, which says what of it a backend has taken.
 *
 * It is not synced: one that a power cut took costs sending again, which is what was promised.
 */

import { replayedPath, type SessionFiles, tempPath } from "../format/file-names.js";
import { type FileSystem, isNoFile, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { readRange, writeAll } from "../storage/lines.js";

/** What was sent. */
export interface ReplayMarker {
  /** The document's first so many spans. */
  readonly spans: number;
  /** SHA-256 over what identifies each of them, in order: a document that begins with them goes on from there. */
  readonly digest: string;
  /** Of the document when all of it was sent: one that is still like this need not be read. */
  readonly done?: { readonly bytes: number; readonly endedAt: string };
}

/** A marker is some 200 bytes; whatever is longer is none. */
const maxMarkerBytes = 4096;

/** Reads it; `undefined` where there is none that can be understood. Follows no symlink. */
export function* readMarker(files: SessionFiles): Gensync<ReplayMarker | undefined> {
  let fd: number;
  try {
    fd = yield* io.open(replayedPath(files), "read");
  } catch (error) {
    if (isNoFile(error)) return undefined;
    throw error;
  }
  try {
    if (!(yield* io.fstat(fd)).isFile) return undefined;
    return decodeMarker((yield* readRange(fd, 0, maxMarkerBytes)).toString("utf8"));
  } finally {
    yield* io.close(fd);
  }
}

/** Pure; `undefined` for what is no marker. */
function decodeMarker(text: string): ReplayMarker | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { spans, digest, done } = value as Partial<ReplayMarker>;
  if (!Number.isSafeInteger(spans) || typeof digest !== "string") return undefined;
  const isDone = typeof done?.bytes === "number" && typeof done.endedAt === "string";
  return { spans: spans as number, digest, ...(isDone && { done }) };
}

/** Replaces it in one step. `token` is of who writes: what it leaves half written is swept when it is dead. */
export function* writeMarker(
  fileSystem: FileSystem,
  files: SessionFiles,
  token: string,
  marker: ReplayMarker,
): Gensync<void> {
  const temp = tempPath(files, token);
  try {
    const fd = yield* io.open(temp, "create");
    try {
      yield* writeAll(fd, Buffer.from(`${JSON.stringify(marker)}\n`));
    } finally {
      yield* io.close(fd);
    }
    yield* io.rename(temp, replayedPath(files));
  } catch (error) {
    tryUnlink(fileSystem.sync, temp);
    throw error;
  }
}
