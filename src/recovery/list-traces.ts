/**
 * Lists a directory of traces without reading their spans.
 */
import { resolve } from "node:path";
import { parseEntry } from "../format/file-names.js";
import type { SessionMetadata, SessionSummary } from "../format/trace-file.js";
import { Descriptor } from "../platform/descriptor.js";
import { errorCode, nodeFileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { rejectUnknownOptions } from "../platform/options.js";
import { readOutline } from "../storage/document-file.js";

/** A trace in a listing: the content of its first and last line. */
export interface ListedTrace {
  readonly path: string;
  /** The raw session id, if the document has it. */
  readonly id: string | undefined;
  readonly sessionId: string;
  readonly traceId: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly metadata: SessionMetadata;
  readonly summary: SessionSummary;
  /** Size of the document in bytes. */
  readonly bytes: number;
}

/** A page of a listing. */
export interface TraceListing {
  readonly traces: readonly ListedTrace[];
  /** Number of documents in the directory, readable or not. */
  readonly total: number;
  readonly offset: number;
  readonly limit: number;
}

/**
 * Lists trace documents, most recently written first. Reads the first and last line of the documents on the page only;
 * files that are no traces are left out. A missing directory has no documents, and is not created.
 *
 * @param dir directory of trace documents
 * @param options `offset` (default 0) and `limit` (default 20, at least 1) of the page
 * @throws CrashSafeFileError `INVALID_OPTION` for an option that does not exist; the error of the file system if the
 * directory cannot be read
 */
export async function listTraces(
  dir: string,
  options: { readonly offset?: number; readonly limit?: number } = {},
): Promise<TraceListing> {
  rejectUnknownOptions("listTraces", options, ["offset", "limit"]);
  const offset = wholeNumber(options.offset, 0, 0);
  const limit = wholeNumber(options.limit, 20, 1);
  try {
    const dated = await datedDocuments(resolve(dir));
    const page = dated.slice(offset, offset + limit);
    const read = await mapConcurrently(page, ({ path }) => readListed(path));
    return { traces: read.filter((trace) => trace !== undefined), total: dated.length, offset, limit };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { traces: [], total: 0, offset, limit };
    throw error;
  }
}

/** Files read at the same time: one by one, a listing of 1,000 took four times as long, mostly waiting for the pool. */
const concurrency = 8;

/** The results of `work` for each item, in the order of the items. */
async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}

function wholeNumber(value: unknown, fallback: number, least: number): number {
  if (typeof value !== "number" || !Number.isFinite(value)) return fallback;
  return Math.max(least, Math.trunc(value));
}

/** Most recently written first. */
async function datedDocuments(dir: string): Promise<{ path: string; mtimeMs: number }[]> {
  const names = await nodeFileSystem.async.readdir(dir);
  const documents = names.filter((name) => parseEntry(name).type === "document");
  const dated = await mapConcurrently(documents, async (name) => {
    const path = `${dir}/${name}`;
    const stat = await nodeFileSystem.async.lstat(path);
    return stat?.isFile ? [{ path, mtimeMs: stat.mtimeMs }] : [];
  });
  return dated.flat().sort((a, b) => b.mtimeMs - a.mtimeMs || (a.path < b.path ? -1 : 1));
}

async function readListed(path: string): Promise<ListedTrace | undefined> {
  const { async: calls } = nodeFileSystem;
  let file: Descriptor | undefined;
  try {
    file = new Descriptor(nodeFileSystem, await calls.open(path, "read"));
    const { size } = await calls.fstat(file.fd);
    const { head, tail } = await runAsync(nodeFileSystem, readOutline(file.fd, size));
    if (!head || !tail) return undefined;
    const { id, sessionId, traceId, startedAt } = head;
    const { metadata, summary, endedAt } = tail;
    return { path, id, sessionId, traceId, startedAt, endedAt, metadata, summary, bytes: size };
  } catch {
    // Removed or replaced since the directory was read, or not readable.
    return undefined;
  } finally {
    file?.release();
  }
}
