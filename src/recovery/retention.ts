/**
 * Limits of a directory: removes documents that are too many, too old, or too large together, with the damaged files and
 * the replay checkpoint of each document. Never removes the files of a live session, a file that is no document of ours,
 * or files with the name of such a file. Without limits of the program, removes documents of spans without a session only:
 * those of unnamed traces, and those of whole runs of a program.
 */

import { appendLogPath, documentPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { reasonOf } from "../platform/errors.js";
import { errorCode, type FileCalls, type FileStat, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io, pause, sync } from "../platform/gensync.js";
import { isOrphaned, newRecoveryToken, releaseToken } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { isUnchanged, isUnnamedName, type Recognized, recognize } from "./own-documents.js";

/**
 * The largest difference between the clocks of two machines or two time zones (FAT stores local time). A time further in
 * the future comes from a wrong clock.
 */
const maxAheadMillis = 24 * 3_600_000;

/** Documents are removed in batches: one listing of the directory for each batch. */
const batchSize = 64;

/** Limits of a directory; 0: no limit. */
export interface Retention {
  /** Absent: no limit, and {@link unnamedBounds} for documents of spans without a session. */
  readonly maxFiles: number | undefined;
  /** Time since the last write to a document. */
  readonly maxFileAgeMillis: number;
  /** Total size of all documents. Side files of running sessions do not count. Absent: as `maxFiles`. */
  readonly maxTotalBytes: number | undefined;
}

/**
 * What documents of spans without a session may have together by default: a server whose spans name no session writes one
 * document per trace or per run, and would fill the disk.
 */
export const unnamedBounds = { maxFiles: 1_000, maxTotalBytes: 256_000_000 } as const;

/** The limits that removed a document: those of the program, or {@link unnamedBounds}. */
export type AppliedLimits = "given" | "default";

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

/** Why a pass keeps a file that is beyond the limits, or may be. */
export interface KeptFile {
  readonly path: string;
  readonly refused: "read" | "removed";
  /** Of the file system. */
  readonly error: unknown;
}

const faultName = "RetentionFault";

/** A kept file as an error, for the listeners of a directory. A copy of another version may be one: it knows errors only. */
export const retentionFault = ({ refused, error }: KeptFile): Error =>
  Object.assign(new Error(`it cannot be ${refused}: ${reasonOf(error)}`, { cause: error }), {
    name: faultName,
    code: errorCode(error),
  });

export const isRetentionFault = (error: unknown): error is Error =>
  error instanceof Error && error.name === faultName;

/** What a caller hears of a pass. */
export interface PruneEvents {
  /** A document was removed. */
  onRemoved?(path: string, limits: AppliedLimits): void;
  /** The file system refuses to read or to remove a file. */
  onKept?(file: KeptFile): void;
}

/** Limits of one pass; 0: no limit. */
type Limits = { readonly [K in keyof Retention]: number };

/** The environment of a pruning. */
interface PrunePorts extends CommitPorts {
  /** Only reports: removes nothing. */
  readonly dryRun?: boolean;
}

/**
 * Removes documents until the limits hold: those of spans without a session first, then the oldest. Reports
 * each removed document, and each file that the file system refuses.
 */
export function* prune(
  ports: PrunePorts,
  dir: string,
  { maxFiles, maxFileAgeMillis, maxTotalBytes }: Retention,
  events: PruneEvents = {},
): Gensync<void> {
  const bounds = {
    maxFiles: maxFiles === undefined ? unnamedBounds.maxFiles : 0,
    maxFileAgeMillis: 0,
    maxTotalBytes: maxTotalBytes === undefined ? unnamedBounds.maxTotalBytes : 0,
  };
  const limits = { maxFiles: maxFiles ?? 0, maxFileAgeMillis, maxTotalBytes: maxTotalBytes ?? 0 };
  const names = namesIn(dir, yield* io.readdir(dir));
  const unnamed = new Map([...names].filter(([name, { hasDocument }]) => hasDocument && isUnnamedName(name)));
  yield* keepWithin(ports, dir, unnamed, bounds, "default", events);
  yield* keepWithin(ports, dir, names, limits, "given", events);
}

/** What a directory has under the name of a session. */
interface Named {
  readonly hasDocument: boolean;
  /** Paths of damaged files and of the replay checkpoint. */
  readonly companions: readonly string[];
}

function namesIn(dir: string, fileNames: readonly string[]): Map<string, Named> {
  const names = new Map<string, { hasDocument: boolean; companions: string[] }>();
  for (const fileName of fileNames) {
    const entry = parseEntry(fileName);
    if (entry.type !== "document" && entry.type !== "damaged" && entry.type !== "replayed") continue;
    const named = names.get(entry.name) ?? { hasDocument: false, companions: [] };
    names.set(entry.name, named);
    if (entry.type === "document") named.hasDocument = true;
    else named.companions.push(`${dir}/${fileName}`);
  }
  return names;
}

/** Removes documents with these names until the limits hold; by default bounds those of spans without a session only. */
function* keepWithin(
  ports: PrunePorts,
  dir: string,
  names: ReadonlyMap<string, Named>,
  limits: Limits,
  applied: AppliedLimits,
  events: PruneEvents,
): Gensync<void> {
  const now = ports.clock.now();
  const documents = [...names.values()].filter(({ hasDocument }) => hasDocument).length;
  const isTooMany = limits.maxFiles > 0 && documents > limits.maxFiles;
  if (!isTooMany && limits.maxFileAgeMillis === 0 && limits.maxTotalBytes === 0) return;
  const candidates: Candidate[] = [];
  for (const [name, { companions }] of names) {
    try {
      const candidate = yield* measure({ dir, name }, companions, now);
      if (candidate) candidates.push(candidate);
    } catch (error) {
      events.onKept?.({ path: documentPath({ dir, name }), refused: "read", error });
    }
  }
  candidates.sort(oldestFirst);
  const excess = new Excess(candidates, limits, now);
  const counted = yield* selectCounted(ports, candidates, excess, applied, events);
  yield* removeUnowned(ports, dir, counted, excess, applied, events);
}

/**
 * The candidates beyond the limits that the limits count, in the order of their removal: documents of ours, by default
 * bounds of spans without a session only. All candidates count at first; another file stops counting when it is recognized. Each
 * candidate that is still beyond the limits is checked: in the end either the limits hold, or all candidates were checked
 * and the counts are exact.
 */
function* selectCounted(
  ports: CommitPorts,
  candidates: readonly Candidate[],
  excess: Excess,
  applied: AppliedLimits,
  events: PruneEvents,
): Gensync<Candidate[]> {
  const unnamed: Candidate[] = [];
  const named: Candidate[] = [];
  for (const one of candidates) {
    if (!excess.has(one)) continue;
    const { document, files } = one;
    const { kind, provisional, refused } = document
      ? yield* recognize(ports.fileSystem, files, document)
      : ({ kind: "named" } as Recognized);
    if (refused !== undefined)
      events.onKept?.({ path: documentPath(files), refused: "read", error: refused });
    if (kind !== "unnamed" && (kind !== "named" || applied === "default")) {
      excess.remove(one);
      continue;
    }
    // A process hook has ended the session, and its process lives: the session may go on in this document. It counts as the
    // document of a session that runs.
    const isHeld =
      document &&
      provisional !== undefined &&
      !isOrphaned(ports.liveness, provisional, document.mtimeMs, ports.clock.now());
    if (isHeld) continue;
    (kind === "unnamed" ? unnamed : named).push(one);
  }
  return [...unnamed, ...named];
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
  readonly #limits: Limits;
  readonly #now: number;
  #files: number;
  #bytes: number;

  constructor(candidates: readonly Candidate[], limits: Limits, now: number) {
    this.#limits = limits;
    this.#now = now;
    this.#files = candidates.filter(({ document }) => document).length;
    this.#bytes = candidates.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether this candidate, the first one that is left, is beyond a limit. */
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
  ports: PrunePorts,
  dir: string,
  candidates: readonly Candidate[],
  excess: Excess,
  applied: AppliedLimits,
  { onRemoved, onKept }: PruneEvents,
): Gensync<void> {
  const onRefused = (path: string, error: unknown) => onKept?.({ path, refused: "removed", error });
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
        const isRemoved =
          ports.dryRun || !one.document || removeDocument(ports, one.files, one.document, onRefused);
        if (!isRemoved) continue;
        if (!ports.dryRun) for (const path of one.companions) unlinkOrReport(calls, path, onRefused);
        onRemoved?.(documentPath(one.files), applied);
      }
    });
  }
}

/** Removes a file. Returns whether the file is gone. */
function unlinkOrReport(calls: FileCalls, path: string, onRefused: OnRefused): boolean {
  try {
    calls.unlink(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return true;
    onRefused(path, error);
    return false;
  }
  return true;
}

type OnRefused = (path: string, error: unknown) => void;

/**
 * Removes a document, if it is still the one that was checked: this process may have been stopped since then, while
 * another process resumed and ended the session. So the document is renamed first, to a name that recovery finds if this
 * process is killed, and compared when no writer can replace it any more. Returns whether the document is gone.
 */
export function removeDocument(
  { fileSystem, liveness }: CommitPorts,
  files: SessionFiles,
  checked: FileStat,
  onRefused: OnRefused = () => {},
): boolean {
  const path = documentPath(files);
  const token = newRecoveryToken(liveness);
  const taken = appendLogPath(files, token);
  const calls = fileSystem.sync;
  const isChecked = (at: string) => isUnchanged(fileSystem, at, calls.lstat(at), checked);
  try {
    if (!isChecked(path)) return !calls.exists(path);
    calls.rename(path, taken);
    if (isChecked(taken)) return unlinkOrReport(calls, taken, onRefused);
    calls.link(taken, path);
    tryUnlink(calls, taken);
  } catch (error) {
    // If the session has another document by now, the renamed one cannot be put back: recovery merges both.
    if (!["EEXIST", "ENOENT"].includes(errorCode(error) ?? "")) onRefused(path, error);
  } finally {
    releaseToken(token);
  }
  return false;
}
