/**
 * Which files go: documents beyond `maxFiles`, and copies that nobody finished. Never a live session's.
 */
import { type CommitPorts, tryUnlink } from "./commit.js";
import type { FileStat } from "./file-system.js";
import { newRecoveryToken, retire } from "./owner.js";
import { call, type Plan, pause } from "./plan.js";
import { documentPath, openPath, parseEntry, replayedPath, type SessionFiles } from "./session-name.js";

/**
 * A copy being built is never older than this, where nobody can tell whether its owner lives. Where one can, that
 * counts: a machine that slept wakes to copies that are hours old, and go on.
 */
const staleTempMillis = 3_600_000;

/** Removes the oldest documents beyond `maxFiles` (0: none), and stale copies. */
export function* prune(ports: CommitPorts, dir: string, maxFiles: number): Plan<void> {
  const documents: SessionFiles[] = [];
  for (const fileName of yield* call("readdir", dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "document") documents.push({ dir, name: entry.name });
    if (entry.type === "temp" && ports.liveness.verdict(entry.token) === "unknown") {
      const stat = yield* call("lstat", path);
      if (stat && ports.clock.now() - stat.mtimeMs > staleTempMillis) tryUnlink(ports.fileSystem.sync, path);
    }
  }
  if (maxFiles <= 0 || documents.length <= maxFiles) return;
  const judged: Judged[] = [];
  for (const files of documents) {
    const stat = yield* call("lstat", documentPath(files));
    if (stat?.isFile) judged.push({ files, stat });
  }
  judged.sort((a, b) => a.stat.mtimeMs - b.stat.mtimeMs || (a.files.name < b.files.name ? -1 : 1));
  yield* removeSettled(ports, dir, judged, judged.length - maxFiles);
}

/** A document as it was when its age was looked at. */
interface Judged {
  readonly files: SessionFiles;
  readonly stat: FileStat;
}

/**
 * Removes the first so many documents that nobody writes to. The directory is read in the turn of the removal. A
 * writer that opened the document just before, and has no side files yet, keeps what it opened until it has merged
 * every line of it.
 */
function* removeSettled(
  ports: CommitPorts,
  dir: string,
  documents: readonly Judged[],
  count: number,
): Plan<void> {
  const calls = ports.fileSystem.sync;
  const batch = 64;
  let left = count;
  for (let from = 0; from < documents.length && left > 0; from += batch) {
    yield* pause(0);
    const owned = new Set<string>();
    for (const fileName of calls.readdir(dir)) {
      const entry = parseEntry(fileName);
      if (entry.type === "open" || entry.type === "live") owned.add(entry.name);
    }
    for (const document of documents.slice(from, from + batch)) {
      if (owned.has(document.files.name) || left <= 0) continue;
      if (remove(ports, document)) tryUnlink(calls, replayedPath(document.files));
      left--;
    }
  }
}

/**
 * Removes a document, if it is still the one that was judged: this process may have stood still since then, while
 * the session was resumed and ended again. So it is taken first, under a name that recovery knows should we be
 * killed, and looked at when nobody can replace it any more. Returns whether it is gone.
 */
function remove({ fileSystem: { sync: calls }, liveness }: CommitPorts, { files, stat }: Judged): boolean {
  const path = documentPath(files);
  const token = newRecoveryToken(liveness);
  const taken = openPath(files, token);
  const isJudged = (at: string) => isUnchanged(calls.lstat(at), stat);
  try {
    if (!isJudged(path)) return !calls.exists(path);
    calls.rename(path, taken);
    if (isJudged(taken)) return tryUnlink(calls, taken);
    calls.link(taken, path);
    tryUnlink(calls, taken);
  } catch {
    // What can be neither removed nor put back, since the session has another document by now, recovery finds.
  } finally {
    retire(token);
  }
  return false;
}

/** Without its change time: that is new with each name. */
const isUnchanged = (now: FileStat | undefined, { dev, ino, size, mtimeMs }: FileStat): boolean =>
  now?.dev === dev && now.ino === ino && now.size === size && now.mtimeMs === mtimeMs;
