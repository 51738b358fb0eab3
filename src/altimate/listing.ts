/**
 * Reading altimate-code's directory of traces: whole documents, with what their writers have recorded since.
 */
import { basename, resolve } from "node:path";
import { documentPath, nameCandidates, parseEntry } from "../format/file-names.js";
import type { TraceFile } from "../format/trace-file.js";
import { Descriptor } from "../platform/descriptor.js";
import { environment } from "../platform/environment.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, io, runAsync } from "../platform/gensync.js";
import { readTrace } from "../recovery/read-trace.js";
import { isDocumentOf, readOutline } from "../storage/document-file.js";
import { resolveTracesDir } from "./defaults.js";

/** A trace of a directory. */
export interface TraceEntry {
  readonly sessionId: string;
  /** Name of its file in the directory. */
  readonly file: string;
  readonly trace: TraceFile;
}

/** A page of them. */
export interface TracePage {
  readonly traces: TraceEntry[];
  /** Readable traces in the directory. */
  readonly total: number;
  readonly offset: number;
  readonly limit: number;
}

/** The directory given, or where altimate-code keeps its traces. */
export function getTracesDir(dir?: string): string {
  return typeof dir === "string" && dir !== "" ? dir : resolveTracesDir(environment());
}

/** All traces of a directory, those that began last first; what cannot be read is left out. Never rejects. */
export async function listTraces(dir?: string): Promise<TraceEntry[]> {
  return readEntries(await outlines(getTracesDir(dir)));
}

/**
 * A page of {@link listTraces}; only its traces are read whole. Never rejects.
 *
 * @param options `offset` (default 0) and `limit` (default 20, at least 1)
 */
export async function listTracesPaginated(
  dir?: string,
  options?: { readonly offset?: number; readonly limit?: number },
): Promise<TracePage> {
  const offset = wholeNumber(() => options?.offset, 0, 0);
  const limit = wholeNumber(() => options?.limit, 20, 1);
  const found = await outlines(getTracesDir(dir));
  const traces = await readEntries(found.slice(offset, offset + limit));
  return { traces, total: found.length, offset, limit };
}

/**
 * A session's trace, by its raw id or as listings name it. `null` when there is none that can be read. Never rejects.
 */
export async function loadTrace(sessionId: string, dir?: string): Promise<TraceFile | null> {
  if (typeof sessionId !== "string") return null;
  const directory = resolve(getTracesDir(dir));
  for (const name of nameCandidates(sessionId)) {
    const trace = await tryRead(documentPath({ dir: directory, name }));
    if (trace && isDocumentOf(sessionId, { ...trace, id: trace.id })) return trace;
  }
  // Listings name a session as its file is named, which its raw id need not be.
  const entry = parseEntry(`${sessionId}.json`);
  const isFileName = entry.type === "document" && basename(sessionId) === sessionId;
  return isFileName ? tryRead(documentPath({ dir: directory, name: sessionId })) : null;
}

async function tryRead(path: string): Promise<TraceFile | null> {
  try {
    return (await readTrace(path)).trace;
  } catch {
    return null;
  }
}

interface Outlined {
  readonly path: string;
  readonly startedAt: string;
}

async function outlines(dir: string): Promise<Outlined[]> {
  try {
    return newestFirst(await runAsync(nodeFileSystem, readOutlines(resolve(dir))));
  } catch {
    return [];
  }
}

function* readOutlines(dir: string): Gensync<Outlined[]> {
  const found: Outlined[] = [];
  for (const fileName of yield* io.readdir(dir)) {
    if (parseEntry(fileName).type !== "document") continue;
    const path = `${dir}/${fileName}`;
    let file: Descriptor | undefined;
    try {
      file = new Descriptor(nodeFileSystem, yield* io.open(path, "read"));
      const { size } = yield* io.fstat(file.fd);
      const { head } = yield* readOutline(file.fd, size);
      if (head) found.push({ path, startedAt: head.startedAt });
    } catch {
      // Removed since the directory was read, a symlink, or not for us to read.
    } finally {
      file?.release();
    }
  }
  return found;
}

async function readEntries(found: readonly Outlined[]): Promise<TraceEntry[]> {
  const entries: TraceEntry[] = [];
  for (const { path } of found) {
    const trace = await tryRead(path);
    const file = basename(path);
    if (trace) entries.push({ sessionId: trace.sessionId || file.slice(0, -".json".length), file, trace });
  }
  return entries;
}

const timeOf = ({ startedAt }: Outlined): number => Date.parse(startedAt) || 0;

const newestFirst = (found: Outlined[]): Outlined[] =>
  found.sort((a, b) => timeOf(b) - timeOf(a) || (a.path < b.path ? -1 : 1));

function wholeNumber(read: () => unknown, fallback: number, least: number): number {
  try {
    const value = read();
    if (typeof value === "number" && Number.isFinite(value)) return Math.max(least, Math.trunc(value));
  } catch {
    // As if it were absent.
  }
  return fallback;
}
