/**
 * Lists a directory of traces without reading their spans.
 */

import { resolve } from "node:path";
import { documentPath, parseEntry } from "../format/file-names.js";
import { splitOrigins } from "../format/origins.js";
import type { SessionMetadata, SessionSummary } from "../format/trace-file.js";
import { mapConcurrently } from "../platform/async.js";
import { nextTurn } from "../platform/clock.js";
import { Descriptor } from "../platform/descriptor.js";
import { unreadableDirectory } from "../platform/errors.js";
import { errorCode, nodeFileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { checked, limitOrZero, rejectUnknownOptions, wholeNumber } from "../platform/options.js";
import { mustBePath, type PathLike } from "../platform/paths.js";
import { WorkQueue } from "../platform/work-queue.js";
import { hollowBytes, readOutline } from "../storage/document-file.js";
import { namesPerTurn } from "../storage/side-files.js";
import { readTrace } from "./read-trace.js";
import { sessionNamesIn } from "./unnamed-logs.js";

/** A trace in a listing: the content of its first and last line. */
export interface ListedTrace {
  /** Path of the document, for `readTrace`. A session that was never published has no document there yet. */
  readonly path: string;
  /** The raw session id, if the document has it. */
  readonly id: string | undefined;
  /** The session id in the form of the file name. */
  readonly sessionId: string;
  /** The trace of the session. */
  readonly traceId: string;
  /** When the session began, ISO 8601. */
  readonly startedAt: string;
  /** When the session ended or was last written, ISO 8601. */
  readonly endedAt: string;
  /** Facts about the session as a whole. */
  readonly metadata: SessionMetadata;
  /** Totals, and how the session ended. */
  readonly summary: SessionSummary;
  /** Size of the document in bytes; 0 for a session that was never published. */
  readonly bytes: number;
}

/** A page of a listing. */
export interface TraceListing {
  /** The page. */
  readonly traces: readonly ListedTrace[];
  /** Number of documents in the directory, readable or not, and of sessions that were never published. */
  readonly total: number;
  /** The first place of the page. */
  readonly offset: number;
  /** The most traces of the page; 0: no limit. */
  readonly limit: number;
}

/**
 * Lists traces, most recently written first: the documents, and the sessions that run or died before their first document,
 * which have side files only. A trace that names no session yet is listed under its trace id. Of documents, reads the first and last line, and only of those on the page; files that are
 * no traces are left out. Never writes. A missing directory has no traces, and is not created.
 *
 * @param dir directory of trace documents
 * @param options `offset` (default 0) and `limit` (default 20; 0: no limit) of the page
 * @throws CrashSafeFileError `INVALID_OPTION` for an option that is invalid or does not exist; `READ_FAILED` if the directory
 * cannot be read
 */
export async function listTraces(
  dir: PathLike,
  options: { readonly offset?: number; readonly limit?: number } = {},
): Promise<TraceListing> {
  rejectUnknownOptions("listTraces", options, ["offset", "limit"]);
  const component = "listTraces";
  const offset = checked(component, "offset", options?.offset ?? 0, wholeNumber(0));
  const limit = checked(component, "limit", options?.limit ?? 20, limitOrZero(1));
  try {
    const dated = await datedSessions(resolve(mustBePath("listTraces", "dir", dir)));
    const page = newest(dated, limit === 0 ? dated.length : offset + limit).slice(offset);
    const oneByOne = new WorkQueue(1).lane();
    const read = await mapConcurrently(page, ({ path, hasDocument, bytes }) => {
      const one = () => (hasDocument ? readListed(path) : readUnpublished(path));
      // A document of another layout is read whole: eight long ones at once would take eight times the memory.
      return bytes > hollowBytes ? oneByOne.run(one) : one();
    });
    return { traces: read.filter((trace) => trace !== undefined), total: dated.length, offset, limit };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { traces: [], total: 0, offset, limit };
    throw unreadableDirectory(dir, error);
  }
}

/** @internal A session of a directory. */
export interface SessionEntries {
  readonly path: string;
  /** `false` for a session that has side files only. */
  readonly hasDocument: boolean;
  /** Names of its document, or else of its side files. */
  readonly fileNames: readonly string[];
}

/** @internal The sessions of a directory: by the names of its files, and by the content of its unnamed logs. */
export async function sessionsIn(dir: string, listing = 1): Promise<SessionEntries[]> {
  const found = new Map<string, SessionEntries & { readonly fileNames: string[] }>();
  const side: { readonly name: string; readonly fileName: string }[] = [];
  let names = 0;
  for (const fileName of await nodeFileSystem.async.readdir(dir)) {
    if (++names % namesPerTurn === 0) await nextTurn();
    const entry = parseEntry(fileName);
    if (entry.type === "document")
      found.set(entry.name, { path: `${dir}/${fileName}`, hasDocument: true, fileNames: [fileName] });
    else if (entry.type === "open" || entry.type === "live") side.push({ name: entry.name, fileName });
    else if (entry.type === "unnamed") {
      const ports = { fileSystem: nodeFileSystem };
      const moved = await runAsync(nodeFileSystem, sessionNamesIn(ports, dir, entry.token));
      // Its spans are in the files of their sessions by now: those may be newer than this listing.
      if (moved === undefined && listing < maxListings) return sessionsIn(dir, listing + 1);
      for (const name of moved ?? []) side.push({ name, fileName });
    }
  }
  for (const { name, fileName } of side) {
    const known = found.get(name);
    if (known === undefined)
      found.set(name, { path: documentPath({ dir, name }), hasDocument: false, fileNames: [fileName] });
    else if (!known.hasDocument) known.fileNames.push(fileName);
  }
  return [...found.values()];
}

type DatedSession = SessionEntries & { readonly mtimeMs: number; readonly bytes: number };

/** Listings at most: each repeats only while a recovery takes files over. */
const maxListings = 5;

/** The sessions that were written last, most recently written first. Sorting 100,000 sessions would stop the event loop for 80 ms. */
function newest(sessions: readonly DatedSession[], count: number): DatedSession[] {
  const times = Float64Array.from(sessions, ({ mtimeMs }) => mtimeMs).sort();
  const oldest = times.at(-count) ?? Number.NEGATIVE_INFINITY;
  return sessions
    .filter(({ mtimeMs }) => mtimeMs >= oldest)
    .sort((a, b) => b.mtimeMs - a.mtimeMs || (a.path < b.path ? -1 : 1))
    .slice(0, count);
}

/** In no order. */
async function datedSessions(dir: string): Promise<DatedSession[]> {
  for (let listing = 1; ; listing++) {
    const sessions = await sessionsIn(dir);
    const dated = await mapConcurrently(sessions, (session) => dateOf(dir, session));
    // Its files have other names now.
    const hasMoved = sessions.some(({ hasDocument }, index) => !hasDocument && dated[index] === undefined);
    if (hasMoved && listing < maxListings) continue;
    return dated.filter((session) => session !== undefined);
  }
}

async function dateOf(dir: string, session: SessionEntries): Promise<DatedSession | undefined> {
  const { async: calls } = nodeFileSystem;
  let mtimeMs: number | undefined;
  let bytes = 0;
  for (const fileName of session.fileNames) {
    const stat = await calls.lstat(`${dir}/${fileName}`);
    if (!stat?.isFile) continue;
    mtimeMs = Math.max(mtimeMs ?? 0, stat.mtimeMs);
    bytes += stat.size;
  }
  if (mtimeMs !== undefined) return { ...session, mtimeMs, bytes };
  // Published for the first time, and ended, since the directory was read.
  const document = session.hasDocument ? undefined : await calls.lstat(session.path);
  if (!document?.isFile) return undefined;
  return { ...session, hasDocument: true, mtimeMs: document.mtimeMs, bytes: document.size };
}

/** A session without a document, of the records in its side files. */
async function readUnpublished(path: string): Promise<ListedTrace | undefined> {
  try {
    const { trace } = await readTrace(path);
    const { id, sessionId, traceId, startedAt, endedAt, metadata, summary } = trace;
    return { path, id, sessionId, traceId, startedAt, endedAt, metadata, summary, bytes: 0 };
  } catch {
    // Without a whole record, or removed since the directory was read.
    return undefined;
  }
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
    const { summary, endedAt } = tail;
    const { metadata } = splitOrigins(tail.metadata);
    return { path, id, sessionId, traceId, startedAt, endedAt, metadata, summary, bytes: size };
  } catch {
    // Removed or replaced since the directory was read, or not readable.
    return undefined;
  } finally {
    file?.release();
  }
}
