/**
 * Which files go: documents beyond `maxFiles`, and copies that nobody finished. Never a live session's.
 */
import { type CommitPorts, tryUnlink } from "./commit.js";
import type { FileCalls } from "./file-system.js";
import { call, type Plan, pause } from "./plan.js";
import { parseEntry, replayedPath } from "./session-name.js";

/**
 * A copy being built is never older than this, where nobody can tell whether its owner lives. Where one can, that
 * counts: a machine that slept wakes to copies that are hours old, and go on.
 */
const staleTempMillis = 3_600_000;

/** Removes the oldest documents beyond `maxFiles` (0: none), and stale copies. */
export function* prune(ports: CommitPorts, dir: string, maxFiles: number): Plan<void> {
  const documents: { path: string; marker: string }[] = [];
  for (const fileName of yield* call("readdir", dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "document") documents.push({ path, marker: replayedPath({ dir, name: entry.name }) });
    if (entry.type === "temp" && ports.liveness.verdict(entry.token) === "unknown") {
      const stat = yield* call("lstat", path);
      if (stat && ports.clock.now() - stat.mtimeMs > staleTempMillis) tryUnlink(ports.fileSystem.sync, path);
    }
  }
  if (maxFiles <= 0 || documents.length <= maxFiles) return;
  const dated: { path: string; marker: string; mtimeMs: number }[] = [];
  for (const document of documents) {
    const stat = yield* call("lstat", document.path);
    if (stat?.isFile) dated.push({ ...document, mtimeMs: stat.mtimeMs });
  }
  dated.sort((a, b) => a.mtimeMs - b.mtimeMs || (a.path < b.path ? -1 : 1));
  yield* removeSettled(ports.fileSystem.sync, dir, dated, dated.length - maxFiles);
}

/**
 * Removes the first so many documents that nobody writes to. The directory is read in the turn of the removal. A
 * writer that opened the document just before, and has no side files yet, keeps what it opened until it has merged
 * every line of it.
 */
function* removeSettled(
  calls: FileCalls,
  dir: string,
  documents: readonly { path: string; marker: string }[],
  count: number,
): Plan<void> {
  const batch = 64;
  let left = count;
  for (let from = 0; from < documents.length && left > 0; from += batch) {
    yield* pause(0);
    const owned = new Set<string>();
    for (const fileName of calls.readdir(dir)) {
      const entry = parseEntry(fileName);
      if (entry.type === "open" || entry.type === "live") owned.add(`${dir}/${entry.name}.json`);
    }
    for (const { path, marker } of documents.slice(from, from + batch)) {
      if (owned.has(path) || left <= 0) continue;
      if (tryUnlink(calls, path)) tryUnlink(calls, marker);
      left--;
    }
  }
}
