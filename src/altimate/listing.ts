/** Lists and reads altimate-code's traces: documents, together with the spans in the side files of their writers. */
import { basename, resolve } from "node:path";
import { documentPath, nameCandidates, parseEntry } from "../format/file-names.js";
import type { SessionSummary } from "../format/trace-file.js";
import { systemClock } from "../platform/clock.js";
import { Descriptor } from "../platform/descriptor.js";
import { environment } from "../platform/environment.js";
import { tryOr } from "../platform/errors.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, io, runAsync } from "../platform/gensync.js";
import { Ground, onGround } from "../platform/ground.js";
import { SystemLiveness } from "../platform/liveness.js";
import { type PathLike, pathOf } from "../platform/paths.js";
import { sessionsIn } from "../recovery/list-traces.js";
import { readTrace } from "../recovery/read-trace.js";
import { oneAttempt, recoverInRounds } from "../recovery/recover-directory.js";
import { isDocumentOf, readOutline } from "../storage/document-file.js";
import { sessionIdOf } from "../tracer/untrusted-input.js";
import { resolveTracesDir } from "./defaults.js";
import type { TraceFile } from "./trace-exporter.js";

/** A trace in a directory. */
export interface TraceEntry {
  /** The session id in the form of the file name. */
  readonly sessionId: string;
  /** Name of the document in the directory. */
  readonly file: string;
  /** The head and the tail of the document. */
  readonly trace: TraceFile;
}

/** A page of the traces in a directory. */
export interface TracePage {
  /** The page. */
  readonly traces: TraceEntry[];
  /** Number of readable traces in the directory. */
  readonly total: number;
  /** The first place of the page. */
  readonly offset: number;
  /** The length of the page. */
  readonly limit: number;
}

/** `dir`, or altimate-code's default directory of traces. */
export function getTracesDir(dir?: PathLike): string {
  const path = pathOf(dir);
  if (path !== undefined) return path;
  // A text or a URL that is no path is refused where a session starts, which is logged.
  const text = typeof dir === "string" ? dir : tryOr(() => dir?.href, undefined);
  return typeof text === "string" && text !== "" ? text : resolveTracesDir(environment());
}

/**
 * All traces in a directory, newest first: by the last activity of the session, else by its start. Includes sessions that
 * run or died before their first document. Traces that cannot be read are left out. The documents of dead sessions are
 * completed in the background, for readers of the raw files. Never rejects.
 */
export async function listTraces(dir?: PathLike): Promise<TraceEntry[]> {
  const directory = getTracesDir(dir);
  return readEntries(directory, await outlines(directory));
}

/**
 * A page of {@link listTraces}. Only the documents of the page are read completely, and completed. Never rejects.
 *
 * @param options `offset` from 0 (default 0), `limit` from 1 (default 20)
 */
export async function listTracesPaginated(
  dir?: PathLike,
  options?: { readonly offset?: number; readonly limit?: number },
): Promise<TracePage> {
  const offset = wholeNumber(() => options?.offset, 0, 0);
  const limit = wholeNumber(() => options?.limit, 20, 1);
  const directory = getTracesDir(dir);
  const found = await outlines(directory);
  const traces = await readEntries(directory, found.slice(offset, offset + limit));
  return { traces, total: found.length, offset, limit };
}

/**
 * The trace of a session, by the raw id or by the name of the document. `null` without a readable one. The document of a
 * dead session is completed in the background. Never rejects.
 */
export async function loadTrace(given: string | number, dir?: PathLike): Promise<TraceFile | null> {
  const sessionId = sessionIdOf(given);
  const directory = resolve(getTracesDir(dir));
  for (const name of nameCandidates(sessionId)) {
    const trace = await tryRead(documentPath({ dir: directory, name }));
    if (!trace || !isDocumentOf(sessionId, { ...trace, id: trace.id })) continue;
    completeDead(directory, [name]);
    return trace;
  }
  // A listing may name a session by its document, whose name can differ from the raw id.
  const entry = parseEntry(`${sessionId}.json`);
  const isFileName = entry.type === "document" && basename(sessionId) === sessionId;
  const trace = isFileName ? await tryRead(documentPath({ dir: directory, name: sessionId })) : null;
  if (trace) completeDead(directory, [sessionId]);
  return trace;
}

/**
 * Recovers what dead processes left of these sessions, in the background: a reader of the raw files would take a killed
 * session for a running one until an exporter opens the directory.
 */
function completeDead(dir: string, names: readonly string[]): void {
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const ports = { fileSystem: onGround(nodeFileSystem, new Ground()), clock: systemClock, liveness };
  // A directory that cannot be read or written to stays as it is: the next exporter, or the next call, tries again.
  void recoverInRounds(ports, resolve(dir), oneAttempt, names).catch(() => {});
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
  /** Time of the last activity, or of the start, in epoch milliseconds. */
  readonly millis: number;
}

async function outlines(dir: string): Promise<Outlined[]> {
  try {
    return newestFirst(await readOutlines(resolve(dir)));
  } catch {
    return [];
  }
}

/** Of documents, reads head and tail; of sessions that were never published, the side files. */
async function readOutlines(dir: string): Promise<Outlined[]> {
  const found: Outlined[] = [];
  for (const { path, hasDocument } of await sessionsIn(dir)) {
    const outline = hasDocument ? await runAsync(nodeFileSystem, outlineOf(path)) : await tryRead(path);
    if (outline) found.push({ path, millis: timeOf(outline) });
  }
  return found;
}

/** What decides the place of a trace in a listing. */
interface Dated {
  readonly startedAt: string;
  readonly summary: (SessionSummary & { readonly lastActivityAt?: string }) | undefined;
}

function* outlineOf(path: string): Gensync<Dated | undefined> {
  let file: Descriptor | undefined;
  try {
    file = new Descriptor(nodeFileSystem, yield* io.open(path, "read"));
    const { size } = yield* io.fstat(file.fd);
    const { head, tail } = yield* readOutline(file.fd, size);
    return head && { startedAt: head.startedAt, summary: tail?.summary };
  } catch {
    // The file was removed since the directory was read, is a symlink, or is not readable.
    return undefined;
  } finally {
    file?.release();
  }
}

async function readEntries(dir: string, found: readonly Outlined[]): Promise<TraceEntry[]> {
  const entries: TraceEntry[] = [];
  for (const { path } of found) {
    const trace = await tryRead(path);
    const file = basename(path);
    if (trace) entries.push({ sessionId: trace.sessionId || file.slice(0, -".json".length), file, trace });
  }
  if (entries.length > 0)
    completeDead(
      dir,
      entries.map(({ file }) => file.slice(0, -".json".length)),
    );
  return entries;
}

const timeOf = ({ startedAt, summary }: Dated): number =>
  Date.parse(summary?.lastActivityAt ?? "") || Date.parse(startedAt) || 0;

const newestFirst = (found: Outlined[]): Outlined[] =>
  found.sort((a, b) => b.millis - a.millis || (a.path < b.path ? -1 : 1));

function wholeNumber(read: () => unknown, fallback: number, least: number): number {
  try {
    const value = read();
    if (typeof value === "number" && Number.isFinite(value)) return Math.max(least, Math.trunc(value));
  } catch {
    // A getter threw: the option counts as absent.
  }
  return fallback;
}
