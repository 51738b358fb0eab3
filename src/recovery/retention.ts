/**
 * Which files go: documents that are too many, too old, or too large together, with what was kept of damaged ones;
 * and copies that nobody finished. Never a live session's, and never a file that is no document of ours, nor what
 * carries the name of such a file.
 */

import { documentPath, openPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { type FileStat, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io, pause } from "../platform/gensync.js";
import { newRecoveryToken, releaseToken } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { isOwnDocument, isUnchanged } from "./own-documents.js";

/**
 * A copy being built is never older than this, where nobody can tell whether its owner lives. Where one can, that
 * counts: a machine that slept wakes to copies that are hours old, and go on.
 */
const staleTempMillis = 3_600_000;

/**
 * How far the clocks of two machines, or of two time zones, are apart (FAT keeps local time). What is further in the
 * future than this was dated by a clock that was wrong.
 */
const maxAheadMillis = 24 * 3_600_000;

/** What is kept; 0: no limit. */
export interface Retention {
  readonly maxFiles: number;
  /** Since it was last written to. */
  readonly maxFileAgeMillis: number;
  /** Of all documents together; side files of running sessions come on top. */
  readonly maxTotalBytes: number;
}

/** A document and what belongs to it: damaged ones that were kept, the marker of a replay. They go together. */
interface Kept {
  readonly files: SessionFiles;
  /** The document as it was when its age was looked at; `undefined`: it is gone, and only the rest is left. */
  readonly document: FileStat | undefined;
  readonly others: readonly string[];
  /** `undefined` where the file system gives a time that has not come yet. */
  readonly writtenMillis: number | undefined;
  readonly size: number;
}

/** Removes the oldest documents until the limits are kept, and stale copies. */
export function* prune(
  ports: CommitPorts,
  dir: string,
  limits: Retention,
  onRemoved: (path: string) => void = () => {},
): Gensync<void> {
  const { sync: calls } = ports.fileSystem;
  const now = ports.clock.now();
  let documents = 0;
  const others = new Map<string, string[]>();
  for (const fileName of yield* io.readdir(dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "document") {
      documents++;
      others.set(entry.name, others.get(entry.name) ?? []);
    }
    if (entry.type === "damaged" || entry.type === "replayed")
      others.set(entry.name, [...(others.get(entry.name) ?? []), path]);
    if (entry.type === "temp" && ports.liveness.verdict(entry.token) === "unknown") {
      const stat = yield* io.lstat(path);
      const isStale = stat?.isFile && now - lastWrite(stat, now) > staleTempMillis;
      if (isStale && !(yield* isForeign(ports, { dir, name: entry.name }))) tryUnlink(calls, path);
    }
  }
  const isTooMany = limits.maxFiles > 0 && documents > limits.maxFiles;
  if (!isTooMany && limits.maxFileAgeMillis === 0 && limits.maxTotalBytes === 0) return;
  const kept: Kept[] = [];
  for (const [name, paths] of others) {
    const one = yield* measure({ dir, name }, paths, now);
    if (one) kept.push(one);
  }
  kept.sort(oldestFirst);
  const excess = new Excess(kept, limits, now);
  const own = yield* judge(ports, kept, excess);
  yield* removeSettled(ports, dir, own, excess, onRemoved);
}

/**
 * Those that may go. At first all count; what proves to be foreign counts no longer. Each is judged that is still too
 * much then: so either no more are too many or too large, or all have been judged, and the numbers are exact.
 */
function* judge(ports: CommitPorts, kept: readonly Kept[], excess: Excess): Gensync<Kept[]> {
  const own: Kept[] = [];
  for (const one of kept) {
    if (!excess.has(one)) continue;
    const isOwn = !one.document || (yield* isOwnDocument(ports.fileSystem, one.files, one.document));
    if (isOwn) own.push(one);
    else excess.remove(one);
  }
  return own;
}

/** Whether something stands at the document's name that is no document of ours. */
function* isForeign({ fileSystem }: CommitPorts, files: SessionFiles): Gensync<boolean> {
  const found = yield* io.lstat(documentPath(files));
  return found !== undefined && !(found.isFile && (yield* isOwnDocument(fileSystem, files, found)));
}

/** `undefined` where something else than files stands there, or nothing any more. */
function* measure(files: SessionFiles, others: readonly string[], now: number): Gensync<Kept | undefined> {
  let size = 0;
  let newest: number | undefined;
  for (const path of others) {
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
  return { files, document, others, writtenMillis, size: size + (document?.size ?? 0) };
}

/** A program can set a modification time in the future, but no change time. */
const lastWrite = ({ mtimeMs, ctimeNs }: FileStat, now: number): number =>
  mtimeMs <= now ? mtimeMs : Math.min(mtimeMs, Number(ctimeNs / 1_000_000n));

/** What has no age comes first: it was written before the clock was put right, all that has one may be newer. */
const oldestFirst = (a: Kept, b: Kept): number => {
  const byTime = (a.writtenMillis ?? 0) - (b.writtenMillis ?? 0);
  return (
    byTime ||
    (a.document?.mtimeMs ?? 0) - (b.document?.mtimeMs ?? 0) ||
    (a.files.name < b.files.name ? -1 : 1)
  );
};

/** What the limits say of those that are still there. */
class Excess {
  readonly #limits: Retention;
  readonly #now: number;
  #files: number;
  #bytes: number;

  constructor(kept: readonly Kept[], limits: Retention, now: number) {
    this.#limits = limits;
    this.#now = now;
    this.#files = kept.filter(({ document }) => document).length;
    this.#bytes = kept.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether it goes, as the oldest that can. */
  has({ writtenMillis = this.#now, document }: Kept): boolean {
    const { maxFiles, maxFileAgeMillis, maxTotalBytes } = this.#limits;
    if (maxFileAgeMillis > 0 && this.#now - writtenMillis > maxFileAgeMillis) return true;
    if (maxTotalBytes > 0 && this.#bytes > maxTotalBytes) return true;
    return maxFiles > 0 && this.#files > maxFiles && document !== undefined;
  }

  remove({ document, size }: Kept): void {
    if (document) this.#files--;
    this.#bytes -= size;
  }
}

/**
 * Removes what is too much and nobody writes to. The directory is read in the turn of the removal. A writer that opened
 * the document just before, and has no side files yet, keeps what it opened until it has merged every line of it.
 */
function* removeSettled(
  ports: CommitPorts,
  dir: string,
  kept: readonly Kept[],
  excess: Excess,
  onRemoved: (path: string) => void,
): Gensync<void> {
  const calls = ports.fileSystem.sync;
  const batch = 64;
  for (let from = 0; from < kept.length; from += batch) {
    const some = kept.slice(from, from + batch);
    if (!some.some((one) => excess.has(one))) continue;
    yield* pause(0);
    const owned = new Set<string>();
    for (const fileName of calls.readdir(dir)) {
      const entry = parseEntry(fileName);
      if (entry.type === "open" || entry.type === "live") owned.add(entry.name);
    }
    for (const one of some) {
      if (owned.has(one.files.name) || !excess.has(one)) continue;
      excess.remove(one);
      if (one.document && !remove(ports, one.files, one.document)) continue;
      for (const path of one.others) tryUnlink(calls, path);
      onRemoved(documentPath(one.files));
    }
  }
}

/**
 * Removes a document, if it is still the one that was judged: this process may have stood still since then, while
 * the session was resumed and ended again. So it is taken first, under a name that recovery knows should we be
 * killed, and looked at when nobody can replace it any more. Returns whether it is gone.
 */
function remove(
  { fileSystem: { sync: calls }, liveness }: CommitPorts,
  files: SessionFiles,
  judged: FileStat,
): boolean {
  const path = documentPath(files);
  const token = newRecoveryToken(liveness);
  const taken = openPath(files, token);
  const isJudged = (at: string) => isUnchanged(calls.lstat(at), judged);
  try {
    if (!isJudged(path)) return !calls.exists(path);
    calls.rename(path, taken);
    if (isJudged(taken)) return tryUnlink(calls, taken);
    calls.link(taken, path);
    tryUnlink(calls, taken);
  } catch {
    // What can be neither removed nor put back, since the session has another document by now, recovery finds.
  } finally {
    releaseToken(token);
  }
  return false;
}
