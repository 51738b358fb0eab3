/**
 * Which files go: documents that are too many, too old, or too large together, with what was kept of damaged ones;
 * and copies that nobody finished. Never a live session's.
 */
import { type CommitPorts, tryUnlink } from "./commit.js";
import type { FileCalls } from "./file-system.js";
import { call, type Plan, pause } from "./plan.js";
import { documentPath, parseEntry } from "./session-name.js";

/** A copy being built is never older than this: one that is was left by a process nobody can ask about. */
const staleTempMillis = 3_600_000;

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
  readonly document: string;
  readonly hasDocument: boolean;
  readonly others: readonly string[];
  readonly mtimeMs: number;
  readonly size: number;
}

/** Removes the oldest documents until the limits are kept, and stale copies. */
export function* prune(ports: CommitPorts, dir: string, limits: Retention): Plan<void> {
  const { sync: calls } = ports.fileSystem;
  const now = ports.clock.now();
  const documents = new Set<string>();
  const others = new Map<string, string[]>();
  for (const fileName of yield* call("readdir", dir)) {
    const entry = parseEntry(fileName);
    const path = `${dir}/${fileName}`;
    if (entry.type === "document") documents.add(path);
    if (entry.type === "damaged" || entry.type === "replayed") {
      const document = documentPath({ dir, name: entry.name });
      others.set(document, [...(others.get(document) ?? []), path]);
    }
    if (entry.type === "temp") {
      const stat = yield* call("lstat", path);
      if (stat && now - stat.mtimeMs > staleTempMillis) tryUnlink(calls, path);
    }
  }
  const isTooMany = limits.maxFiles > 0 && documents.size > limits.maxFiles;
  if (!isTooMany && limits.maxFileAgeMillis === 0 && limits.maxTotalBytes === 0) return;
  const kept: Kept[] = [];
  for (const document of new Set([...documents, ...others.keys()])) {
    const one = yield* measure(document, others.get(document) ?? []);
    if (one) kept.push(one);
  }
  kept.sort((a, b) => a.mtimeMs - b.mtimeMs || (a.document < b.document ? -1 : 1));
  yield* removeSettled(calls, dir, kept, new Excess(kept, limits, now));
}

/** `undefined` where something else than files stands there, or nothing any more. */
function* measure(document: string, others: readonly string[]): Plan<Kept | undefined> {
  let size = 0;
  let newest: number | undefined;
  for (const path of others) {
    const stat = yield* call("lstat", path);
    if (!stat?.isFile) continue;
    size += stat.size;
    newest = Math.max(newest ?? stat.mtimeMs, stat.mtimeMs);
  }
  const stat = yield* call("lstat", document);
  if (stat && !stat.isFile) return undefined;
  const mtimeMs = stat?.mtimeMs ?? newest;
  if (mtimeMs === undefined) return undefined;
  return { document, hasDocument: stat !== undefined, others, mtimeMs, size: size + (stat?.size ?? 0) };
}

/** What the limits say of those that are still there. */
class Excess {
  readonly #limits: Retention;
  readonly #now: number;
  #files: number;
  #bytes: number;

  constructor(kept: readonly Kept[], limits: Retention, now: number) {
    this.#limits = limits;
    this.#now = now;
    this.#files = kept.filter(({ hasDocument }) => hasDocument).length;
    this.#bytes = kept.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether it goes, as the oldest that can. */
  has({ mtimeMs, hasDocument }: Kept): boolean {
    const { maxFiles, maxFileAgeMillis, maxTotalBytes } = this.#limits;
    if (maxFileAgeMillis > 0 && this.#now - mtimeMs > maxFileAgeMillis) return true;
    if (maxTotalBytes > 0 && this.#bytes > maxTotalBytes) return true;
    return maxFiles > 0 && this.#files > maxFiles && hasDocument;
  }

  remove({ hasDocument, size }: Kept): void {
    if (hasDocument) this.#files--;
    this.#bytes -= size;
  }
}

/**
 * Removes what is too much and nobody writes to. The directory is read in the turn of the removal. A writer that opened
 * the document just before, and has no side files yet, keeps what it opened until it has merged every line of it.
 */
function* removeSettled(calls: FileCalls, dir: string, kept: readonly Kept[], excess: Excess): Plan<void> {
  const batch = 64;
  for (let from = 0; from < kept.length; from += batch) {
    const some = kept.slice(from, from + batch);
    // Later ones are younger: when none of these is too much, none of those is.
    if (!some.some((one) => excess.has(one))) return;
    yield* pause(0);
    const owned = new Set<string>();
    for (const fileName of calls.readdir(dir)) {
      const entry = parseEntry(fileName);
      if (entry.type === "open" || entry.type === "live") owned.add(documentPath({ dir, name: entry.name }));
    }
    for (const one of some) {
      if (owned.has(one.document) || !excess.has(one)) continue;
      // Written since it was looked at: it is not among the oldest any more.
      if (one.hasDocument && calls.lstat(one.document)?.mtimeMs !== one.mtimeMs) continue;
      excess.remove(one);
      if (!tryUnlink(calls, one.document)) continue;
      for (const path of one.others) tryUnlink(calls, path);
    }
  }
}
