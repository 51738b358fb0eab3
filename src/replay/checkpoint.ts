/**
 * The checkpoint of a replayed document, in `<name>.json.replayed`: how many of its spans a backend has taken.
 *
 * The file is not synced: if a power cut loses the checkpoint, spans are sent again, which "at least once" allows.
 */

import { replayedPath, type SessionFiles, tempPath } from "../format/file-names.js";
import { type FileSystem, isNoFile } from "../platform/file-system.js";
import { type Gensync, io, runAsync } from "../platform/gensync.js";
import { buildFile } from "../storage/build-file.js";
import { replaceFile } from "../storage/commit.js";
import { readRange, writeAll } from "../storage/lines.js";

/** What was sent of a document. */
export interface ReplayProgress {
  /** Number of spans sent, in the document's order. */
  readonly spans: number;
  /** SHA-256 over the identity of these spans, in order. A document that begins with them goes on after them. */
  readonly digest: string;
  /** The document when all of it had been sent. A document of this size and end has nothing new. */
  readonly done?: { readonly bytes: number; readonly endedAt: string };
}

/** A checkpoint has some 200 bytes. A longer file is no checkpoint. */
const maxBytes = 4096;

export class ReplayCheckpoint {
  readonly #fileSystem: FileSystem;
  readonly #files: SessionFiles;
  readonly #token: string;

  /** `token` of this process names the temporary file: recovery deletes those of dead processes. */
  constructor(fileSystem: FileSystem, files: SessionFiles, token: string) {
    this.#fileSystem = fileSystem;
    this.#files = files;
    this.#token = token;
  }

  /** `undefined` when there is no valid checkpoint. Follows no symlink. Throws what the file system throws. */
  read(): Promise<ReplayProgress | undefined> {
    return runAsync(this.#fileSystem, readProgress(replayedPath(this.#files)));
  }

  /** Replaces the checkpoint atomically. Throws what the file system throws. */
  write(progress: ReplayProgress): Promise<void> {
    const temp = tempPath(this.#files, this.#token);
    return runAsync(
      this.#fileSystem,
      writeProgress(this.#fileSystem, temp, replayedPath(this.#files), progress),
    );
  }
}

function* readProgress(path: string): Gensync<ReplayProgress | undefined> {
  let fd: number;
  try {
    fd = yield* io.open(path, "read");
  } catch (error) {
    if (isNoFile(error)) return undefined;
    throw error;
  }
  try {
    if (!(yield* io.fstat(fd)).isFile) return undefined;
    return decodeProgress((yield* readRange(fd, 0, maxBytes)).toString("utf8"));
  } finally {
    yield* io.close(fd);
  }
}

function decodeProgress(text: string): ReplayProgress | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { spans, digest, done } = value as Partial<ReplayProgress>;
  if (!Number.isSafeInteger(spans) || typeof digest !== "string") return undefined;
  const isDone = typeof done?.bytes === "number" && typeof done.endedAt === "string";
  return { spans: spans as number, digest, ...(isDone && { done }) };
}

function* writeProgress(
  fileSystem: FileSystem,
  temp: string,
  path: string,
  progress: ReplayProgress,
): Gensync<void> {
  yield* buildFile(fileSystem, temp, function* ({ fd }) {
    yield* writeAll(fd, Buffer.from(`${JSON.stringify(progress)}\n`));
    yield* replaceFile(fileSystem, temp, path);
  });
}
