/**
 * Side files of a session, `.open` and `.live`: found by name, with the state of the process that owns them.
 */

import { decodeHead, decodeTail, tailStartIn } from "../format/document.js";
import { livePath, openPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { Descriptor } from "../platform/descriptor.js";
import { type FileSystem, isNoFile } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { isForsaken, isRecoveryToken } from "../platform/liveness.js";
import type { CommitPorts } from "./commit.js";
import { readHeadLine } from "./document-file.js";
import { readRange } from "./lines.js";

/** One owner's side files. */
export interface SideFiles {
  readonly files: SessionFiles;
  readonly token: string;
}

/** Groups a directory's side files by session and owner. */
export function* listSideFiles(dir: string): Gensync<Map<string, SideFiles[]>> {
  const sessions = new Map<string, SideFiles[]>();
  for (const fileName of yield* io.readdir(dir)) {
    const entry = parseEntry(fileName);
    if (entry.type !== "open" && entry.type !== "live") continue;
    const { name, token } = entry;
    const owners = sessions.get(name) ?? [];
    if (!owners.some((owner) => owner.token === token)) owners.push({ files: { dir, name }, token });
    sessions.set(name, owners);
  }
  return sessions;
}

/** Whether an owner that was listed is gone for good, lives, or has no files any more. */
export function* fateOf(
  { liveness, clock }: CommitPorts,
  { files, token }: SideFiles,
): Gensync<"dead" | "alive" | "gone"> {
  // The live log carries the heartbeat; without one, the document's own time has to do.
  const stat = (yield* io.lstat(livePath(files, token))) ?? (yield* io.lstat(openPath(files, token)));
  if (stat === undefined) return "gone";
  return isForsaken(liveness, token, stat.mtimeMs, clock.now()) ? "dead" : "alive";
}

/** Whether there are files of this owner, and it is gone for good. */
export function* isDead(ports: CommitPorts, owner: SideFiles): Gensync<boolean> {
  return (yield* fateOf(ports, owner)) === "dead";
}

/**
 * Whether somebody beside these owners writes to the session, and will publish it again. A recovery does not, nor
 * an owner whose document has its tail: that one ends, and if it is not the last, the last one has to know.
 */
export function* othersWrite(
  ports: CommitPorts,
  files: SessionFiles,
  id: string,
  owners: ReadonlySet<string>,
): Gensync<boolean> {
  for (const owner of (yield* listSideFiles(files.dir)).get(files.name) ?? []) {
    if (owners.has(owner.token) || isRecoveryToken(owner.token) || (yield* isDead(ports, owner))) continue;
    if (yield* writesTo(ports.fileSystem, owner, id)) return true;
  }
  return false;
}

/** Whether an open document is this session's and still grows. Ids can share a name until one is published. */
function* writesTo(fileSystem: FileSystem, { files, token }: SideFiles, id: string): Gensync<boolean> {
  const open = yield* tryOpen(fileSystem, openPath(files, token));
  // Not yet there, or taken by a wrong verdict; when its owner ends, it goes last.
  if (!open) return yield* io.exists(livePath(files, token));
  try {
    const { size } = yield* io.fstat(open.fd);
    const tailStart = tailStartIn(yield* readRange(open.fd, Math.max(0, size - 64), size));
    const head = decodeHead(yield* readHeadLine(open.fd, size));
    if (head && head.id !== id) return false;
    if (tailStart === undefined || tailStart < 1 || tailStart >= size) return true;
    // A span may hold the words of a tail; it does not parse as one.
    const tail = yield* readRange(open.fd, tailStart - 1, size);
    return tail[0] !== 0x0a || decodeTail(tail.subarray(1)) === undefined;
  } finally {
    open.release();
  }
}

export function* tryOpen(fileSystem: FileSystem, path: string): Gensync<Descriptor | undefined> {
  try {
    return new Descriptor(fileSystem, yield* io.open(path, "read"));
  } catch (error) {
    // A symlink or a socket in the place of a side file is nobody's.
    if (isNoFile(error)) return undefined;
    throw error;
  }
}
