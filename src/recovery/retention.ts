/**
 * Limits of a directory: removes documents that are too many, too old, or too large together, with the damaged files and
 * the replay checkpoint of each document. Never removes the files of a live session, a file that is no document of ours,
 * or files with the name of such a file.
 */

import { appendLogPath, documentPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { type FileStat, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io, pause, sync } from "../platform/gensync.js";
import { newRecoveryToken, releaseToken } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { isOwnDocument, isUnchanged } from "./own-documents.js";

/**
 * The largest difference between the clocks of two machines or two time zones (FAT stores local time). A time further in
 * the future comes from a wrong clock.
 */
const maxAheadMillis = 24 * 3_600_000;

/** Documents are removed in batches: one listing of the directory for each batch. */
const batchSize = 64;

/** Limits of a directory; 0: no limit. */
export interface Retention {
  readonly maxFiles: number;
  /** Time since the last write to a document. */
  readonly maxFileAgeMillis: number;
  /** Total size of all documents. Side files of running sessions do not count. */
  readonly maxTotalBytes: number;
}

/** A document with the files that are removed together with it. */
interface Candidate {
  readonly files: SessionFiles;
  /** The document when its age was read; `undefined`: it was removed, and only the companions are left. */
  readonly document: FileStat | undefined;
  /** Damaged files and the replay checkpoint of the document. */
  readonly companions: readonly string[];
  /** Time of the last write; `undefined` if that time is in the future. */
  readonly writtenMillis: number | undefined;
  readonly size: number;
}

/** Removes the oldest documents until the limits hold. Calls `onRemoved` with the path of each removed document. */
export function* prune(
  ports: CommitPorts,
  dir: string,
  limits: Retention,
  onRemoved: (path: string) => void = () => {},
): Gensync<void> {
  const now = ports.clock.now();
  let documents = 0;
  const companions = new Map<string, string[]>();
  for (const fileName of yield* io.readdir(dir)) {
    const entry = parseEntry(fileName);
    if (entry.type !== "document" && entry.type !== "damaged" && entry.type !== "replayed") continue;
    const paths = companions.get(entry.name) ?? [];
    companions.set(entry.name, paths);
    if (entry.type === "document") documents++;
    else paths.push(`${dir}/${fileName}`);
  }
  const isTooMany = limits.maxFiles > 0 && documents > limits.maxFiles;
  if (!isTooMany && limits.maxFileAgeMillis === 0 && limits.maxTotalBytes === 0) return;
  const candidates: Candidate[] = [];
  for (const [name, paths] of companions) {
    const candidate = yield* measure({ dir, name }, paths, now);
    if (candidate) candidates.push(candidate);
  }
  candidates.sort(oldestFirst);
  const excess = new Excess(candidates, limits, now);
  const own = yield* selectOwn(ports, candidates, excess);
  yield* removeUnowned(ports, dir, own, excess, onRemoved);
}

/**
 * The candidates beyond the limits that are documents of ours. All candidates count at first; a foreign file stops
 * counting when it is recognized. Each candidate that is still beyond the limits is checked: in the end either the
 * limits hold, or all candidates were checked and the counts are exact.
 */
function* selectOwn(
  ports: CommitPorts,
  candidates: readonly Candidate[],
  excess: Excess,
): Gensync<Candidate[]> {
  const own: Candidate[] = [];
  for (const one of candidates) {
    if (!excess.has(one)) continue;
    const isOwn = !one.document || (yield* isOwnDocument(ports.fileSystem, one.files, one.document));
    if (isOwn) own.push(one);
    else excess.remove(one);
  }
  return own;
}

/** `undefined` if the document is no regular file, or if none of the files exists any more. */
function* measure(
  files: SessionFiles,
  companions: readonly string[],
  now: number,
): Gensync<Candidate | undefined> {
  let size = 0;
  let newest: number | undefined;
  for (const path of companions) {
    const stat = yield* io.lstat(path);
    if (!stat?.isFile) continue;
    size += stat.size;
    newest = Math.max(newest ?? 0, lastWrite(stat, now));
  }
  const document = yield* io.lstat(documentPath(files));
  if (document && !document.isFile) return undefined;
  const written = document ? lastWrite(document, now) : newest;
  if (written === undefined) return undefined;
  const writtenMillis = written > now + maxAheadMillis ? undefined : written;
  return { files, document, companions, writtenMillis, size: size + (document?.size ?? 0) };
}

/**
 * Time of the last write in epoch milliseconds. A program can set a modification time in the future, but not a change
 * time.
 */
export const lastWrite = ({ mtimeMs, ctimeNs }: FileStat, now: number): number =>
  mtimeMs <= now ? mtimeMs : Math.min(mtimeMs, Number(ctimeNs / 1_000_000n));

/** Files of unknown age come first: they were written before the clock was set right, the dated ones perhaps later. */
const oldestFirst = (a: Candidate, b: Candidate): number => {
  const byTime = (a.writtenMillis ?? 0) - (b.writtenMillis ?? 0);
  return (
    byTime ||
    (a.document?.mtimeMs ?? 0) - (b.document?.mtimeMs ?? 0) ||
    (a.files.name < b.files.name ? -1 : 1)
  );
};

/** Counts the files that are left, and compares the counts with the limits. */
class Excess {
  readonly #limits: Retention;
  readonly #now: number;
  #files: number;
  #bytes: number;

  constructor(candidates: readonly Candidate[], limits: Retention, now: number) {
    this.#limits = limits;
    this.#now = now;
    this.#files = candidates.filter(({ document }) => document).length;
    this.#bytes = candidates.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether this candidate, the oldest that is left, is beyond a limit. */
  has({ writtenMillis = this.#now, document }: Candidate): boolean {
    const { maxFiles, maxFileAgeMillis, maxTotalBytes } = this.#limits;
    if (maxFileAgeMillis > 0 && this.#now - writtenMillis > maxFileAgeMillis) return true;
    if (maxTotalBytes > 0 && this.#bytes > maxTotalBytes) return true;
    return maxFiles > 0 && this.#files > maxFiles && document !== undefined;
  }

  remove({ document, size }: Candidate): void {
    if (document) this.#files--;
    this.#bytes -= size;
  }
}

/**
 * Removes candidates beyond the limits that no writer owns. The directory is listed in the turn of the removal. A writer
 * that opened a document before that turn and has no side files yet holds the document open until it has merged every
 * line.
 */
function* removeUnowned(
  ports: CommitPorts,
  dir: string,
  candidates: readonly Candidate[],
  excess: Excess,
  onRemoved: (path: string) => void,
): Gensync<void> {
  const calls = ports.fileSystem.sync;
  for (let from = 0; from < candidates.length; from += batchSize) {
    const batch = candidates.slice(from, from + batchSize);
    if (!batch.some((one) => excess.has(one))) continue;
    yield* pause(0);
    sync(() => {
      const owned = new Set<string>();
      for (const fileName of calls.readdir(dir)) {
        const entry = parseEntry(fileName);
        if (entry.type === "open" || entry.type === "live") owned.add(entry.name);
      }
      for (const one of batch) {
        if (owned.has(one.files.name) || !excess.has(one)) continue;
        excess.remove(one);
        if (one.document && !removeDocument(ports, one.files, one.document)) continue;
        for (const path of one.companions) tryUnlink(calls, path);
        onRemoved(documentPath(one.files));
      }
    });
  }
}

/**
 * Removes a document, if it is still the one that was checked: this process may have been stopped since then, while
 * another process resumed and ended the session. So the document is renamed first, to a name that recovery finds if this
 * process is killed, and compared when no writer can replace it any more. Returns whether the document is gone.
 */
function removeDocument(
  { fileSystem: { sync: calls }, liveness }: CommitPorts,
  files: SessionFiles,
  checked: FileStat,
): boolean {
  const path = documentPath(files);
  const token = newRecoveryToken(liveness);
  const taken = appendLogPath(files, token);
  const isChecked = (at: string) => isUnchanged(calls.lstat(at), checked);
  try {
    if (!isChecked(path)) return !calls.exists(path);
    calls.rename(path, taken);
    if (isChecked(taken)) return tryUnlink(calls, taken);
    calls.link(taken, path);
    tryUnlink(calls, taken);
  } catch {
    // If the session has another document by now, the renamed one cannot be put back: recovery merges both.
  } finally {
    releaseToken(token);
  }
  return false;
}
