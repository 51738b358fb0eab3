/**
 * Which version of a document a file is: by its inode, or by its content where the file system keeps no inode numbers.
 */
import { createHash } from "node:crypto";
import type { FileStat, FileSystem } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { locksOpenFiles } from "../platform/ground.js";
import { readRange } from "./lines.js";

/**
 * A version of a document. An inode identifies a file while it is held open; else its times do, too. The content is the
 * size and the end of the file, which has the time of its commit and all counters.
 */
export type Identity =
  | {
      readonly dev: bigint;
      readonly ino: bigint;
      readonly size?: number;
      readonly ctimeNs?: bigint;
    }
  | { readonly content: string };

/** Bytes at the end of a document that identify it. */
const contentBytes = 4_096;

/** Whether documents of a file system are compared by their content. A file that is compared by its inode is held open. */
const isByContent = (fileSystem: FileSystem): boolean =>
  locksOpenFiles(fileSystem) || fileSystem.ground?.refuses("stableInodes") === true;

/** The identity of an open file. `stat`: what is known of it. */
export function* identityOf(
  fileSystem: FileSystem,
  fd: number,
  { dev, ino, size }: Pick<FileStat, "dev" | "ino" | "size">,
): Gensync<Identity> {
  // A document that is to be replaced cannot be held open there, and the inode of a closed file is soon another one's.
  return isByContent(fileSystem) ? { content: yield* contentOf(fd, size) } : { dev, ino };
}

/** Whether the file under a path is this version; `undefined`: whether there is no document. */
export function* isVersion(
  fileSystem: FileSystem,
  path: string,
  expected: Identity | undefined,
): Gensync<boolean> {
  const current = yield* io.lstat(path);
  // A file that is not regular, such as a planted symlink, counts as none: the rename replaces it.
  if (!current?.isFile || expected === undefined) return !current?.isFile && expected === undefined;
  if (!("content" in expected)) return isSameFile(current, expected);
  let fd: number | undefined;
  try {
    fd = yield* io.open(path, "read");
    return (yield* contentOf(fd, current.size)) === expected.content;
  } finally {
    if (fd !== undefined) fileSystem.sync.close(fd);
  }
}

/** Whether two looks found one file. */
export function isSameFile(current: FileStat, expected: Exclude<Identity, { content: string }>): boolean {
  if (current.dev !== expected.dev || current.ino !== expected.ino) return false;
  return (
    expected.ctimeNs === undefined || (current.ctimeNs === expected.ctimeNs && current.size === expected.size)
  );
}

/** Whether two identities are one version. */
export function isSameVersion(a: Identity, b: Identity): boolean {
  if ("content" in a || "content" in b) return "content" in a && "content" in b && a.content === b.content;
  return a.dev === b.dev && a.ino === b.ino;
}

function* contentOf(fd: number, size: number): Gensync<string> {
  const end = yield* readRange(fd, Math.max(0, size - contentBytes), size);
  return `${size} ${createHash("sha256").update(end).digest("base64")}`;
}

/** Attempts of one operation that other processes undo: twins need two or three. */
const maxAttempts = 100;

/** Ends a loop that makes no progress: a file system that gives no stable answers would keep it for ever. */
export function mustProgress(attempt: number, path: string): void {
  if (attempt > maxAttempts)
    throw new Error(
      `${path} was found changed ${maxAttempts} times in a row: the file system gives no stable answers`,
    );
}
