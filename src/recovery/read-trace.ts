/**
 * Reads a session as it is now: its document, and the spans that its writers have recorded since.
 */
import { basename, dirname, resolve } from "node:path";
import { type DocumentHead, type DocumentTail, decodeDocument, decodeLine } from "../format/document.js";
import { appendLogPath, journalPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { splitOrigins } from "../format/origins.js";
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { systemClock } from "../platform/clock.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, io, runAsync } from "../platform/gensync.js";
import { SystemLiveness } from "../platform/liveness.js";
import { mustBePath, type PathLike } from "../platform/paths.js";
import { isHollow, maxWholeBytes, openPublished, type Published } from "../storage/document-file.js";
import { readRange, scanLines } from "../storage/lines.js";
import { listSideFiles, type SideFiles, sideFileState } from "../storage/side-files.js";
import { type OrphanedFiles, readSideFiles } from "./orphans.js";
import { recoverDocument } from "./recover-document.js";
import { readUnnamedSides } from "./unnamed-logs.js";

/** What could not be read; all zero for an intact trace. */
export interface TraceDamage {
  /** Bytes of a record that was cut off. */
  readonly tornBytes: number;
  /** Lines that are no spans. */
  readonly corruptLines: number;
}

/** A trace as it is now. */
export interface ReadTrace {
  /** The document with all that its writers have recorded since. */
  readonly trace: TraceFile;
  /** What could not be read; empty where everything could. */
  readonly damage: TraceDamage;
}

/**
 * Reads a trace: `<session>.json` together with the spans that running or dead writers recorded since, or the `.open`
 * file of one writer with its journal. Never writes, and takes no lock.
 *
 * @param path a `.json` or `.open` file; the `.json` of a session that was never published need not exist
 * @throws CrashSafeFileError `INVALID_OPTION` if `path` is no path, `READ_FAILED` if there is nothing to read, `NOT_A_TRACE` if the file is no trace
 */
export async function readTrace(path: PathLike): Promise<ReadTrace> {
  return readNamed(mustBePath("readTrace", "path", path));
}

async function readNamed(path: string, sides?: FoundSides, onSpan?: OnSpan): Promise<ReadTrace> {
  try {
    return await read(resolve(path), sides, onSpan);
  } catch (error) {
    if (error instanceof CrashSafeFileError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CrashSafeFileError("READ_FAILED", `cannot read the trace ${path}: ${reason}`, { cause: error });
  }
}

/** @internal The side files of a session, as a listing of its directory has found them. */
export interface FoundSides {
  /** Owners of side files of the session. */
  readonly tokens: readonly string[];
  /** Owners of unnamed logs that hold spans of the session. */
  readonly unnamed: readonly string[];
}

/** @internal Where the line of a span is. Its file grows, or is replaced by one that begins alike, or is gone. */
export interface LinePlace {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * @internal Is called with each span when it was read. It may change the span, to keep less of a long session in memory:
 * the span has a line at `place`, or is in no line.
 */
export type OnSpan = (span: TraceSpan, place: LinePlace | undefined) => void;

/**
 * @internal As {@link readTrace}, for a document whose directory the caller has listed: to list a directory for each of its
 * sessions took ten seconds for 1,000 sessions of dead processes.
 */
export const readFoundTrace = (path: string, sides: FoundSides, onSpan?: OnSpan): Promise<ReadTrace> =>
  readNamed(path, sides, onSpan);

const run = <T>(operation: Gensync<T>): Promise<T> => runAsync(nodeFileSystem, operation);

async function read(path: string, sides?: FoundSides, onSpan?: OnSpan): Promise<ReadTrace> {
  const dir = dirname(path);
  const entry = parseEntry(basename(path));
  const isSide = entry.type === "open" || entry.type === "live";
  const files = { dir, name: isSide || entry.type === "document" ? entry.name : basename(path, ".json") };
  const owners = await readOwners(files, isSide ? entry.token : undefined, sides);
  let published: Published | undefined;
  try {
    // After the side files: a writer that ends in between publishes first and then removes its side files.
    published = isSide ? undefined : await run(openPublished(nodeFileSystem, files));
    const known = published?.body.type === "unreadable" ? undefined : published;
    // Two ids can share a name until one is published: the document has the id, otherwise the first owner.
    const ids = [known?.head?.id, ...owners.map(idOf), files.name].filter((id) => id !== undefined);
    const orphans = owners.filter((owner) => (idOf(owner) ?? ids[0]) === ids[0]);
    if (orphans.length === 0) return await readDocument(path, published, onSpan);
    const spans: TraceSpan[] = [];
    const paths = new Map(orphans.map(({ log, token }) => [log?.fd, appendLogPath(files, token)]));
    const pathOf = (fd: number) => paths.get(fd) ?? path;
    const { report, head, tail, isEmpty } = await recoverDocument(nodeFileSystem, {
      id: ids[0] as string,
      files,
      published: known,
      orphans,
      out: (line, from) => {
        const span = JSON.parse(line.toString("utf8")) as TraceSpan;
        spans.push(span);
        onSpan?.(span, from && { path: pathOf(from.fd), offset: from.offset, bytes: from.bytes });
      },
      hasPeers: orphans.some((owner) => owner.isAlive),
    });
    if (isEmpty && !isSide) return await readDocument(path, undefined, onSpan);
    const { tornBytes, corruptLines } = report;
    return { trace: traceOf(head, spans, tail), damage: { tornBytes, corruptLines } };
  } finally {
    published?.descriptor.release();
    for (const { log } of owners) log?.release();
  }
}

const idOf = ({ head, journal }: OrphanedFiles): string | undefined => head?.id ?? journal.session?.id;

/** Listings at most: each repeats only while a recovery takes files over. */
const maxListings = 5;

let liveness: SystemLiveness | undefined;

async function readOwners(
  files: SessionFiles,
  token: string | undefined,
  sides?: FoundSides,
  listing = 1,
): Promise<OrphanedFiles[]> {
  liveness ??= new SystemLiveness(nodeFileSystem.sync);
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness };
  // Before the side files: a recovery that splits a log writes the side files first, and then removes the log.
  const found =
    token === undefined ? await run(readUnnamedSides(ports, files.dir, files.name, sides?.unnamed)) : [];
  const listed = sides?.tokens.map((one): SideFiles => ({ files, token: one }));
  for (const owner of listed ?? (await run(listSideFiles(files.dir))).get(files.name) ?? []) {
    if (token !== undefined && owner.token !== token) continue;
    const isAlive = (await run(sideFileState(ports, owner))) !== "orphaned";
    const side = await readSideFiles(ports, owner, isAlive);
    if (side.log || side.journal.session || side.journal.spans.size > 0) found.push(side);
    // Since the directory was read, the session was published, or a recovery gave the files other names.
    else if (token === undefined && listing < maxListings && (await run(isGone(owner)))) {
      for (const { log } of found) log?.release();
      return readOwners(files, token, undefined, listing + 1);
    }
  }
  return found;
}

function* isGone({ files, token }: SideFiles): Gensync<boolean> {
  return !(yield* io.exists(appendLogPath(files, token))) && !(yield* io.exists(journalPath(files, token)));
}

/** The readable spans of a document of ours that has corrupt lines, or that is too long for one string. */
async function readLines(
  path: string,
  { descriptor, head, tail, body }: Published,
  onSpan?: OnSpan,
): Promise<ReadTrace | undefined> {
  if (!head || !tail || body.type !== "lines") return undefined;
  const spans: TraceSpan[] = [];
  let corruptLines = 0;
  const take = (line: Buffer, offset: number) => {
    const decoded = decodeLine(line, offset);
    if (decoded.type === "span") {
      spans.push(decoded.span);
      onSpan?.(decoded.span, { path, offset, bytes: line.length });
    } else corruptLines++;
  };
  await run(scanLines(descriptor.fd, body.from, body.to, take));
  return { trace: traceOf(head, spans, tail), damage: { tornBytes: 0, corruptLines } };
}

function traceOf(
  { id, traceId, sessionId, startedAt }: DocumentHead,
  lines: readonly TraceSpan[],
  { spans, metadata: described, summary, endedAt }: DocumentTail,
): TraceFile {
  const { metadata, ...origins } = splitOrigins(described);
  return {
    version: 2,
    ...(id !== undefined && { id }),
    traceId,
    sessionId,
    startedAt,
    endedAt,
    metadata,
    spans: [...lines, ...spans],
    summary,
    ...origins,
  };
}

/** A document without side files. */
async function readDocument(
  path: string,
  published: Published | undefined,
  onSpan: OnSpan | undefined,
): Promise<ReadTrace> {
  if (!published) throw new CrashSafeFileError("READ_FAILED", `there is no trace at ${path}`);
  const { descriptor, size } = published;
  const { tail, body } = published;
  // Line by line, a long document is never in memory as a whole.
  const lines = onSpan && (await readLines(path, published, onSpan));
  if (lines && tail && body.type === "lines")
    return { ...lines, trace: { ...lines.trace, layout: { ...tail.layout, tailStart: body.to } } };
  if (size <= maxWholeBytes) {
    const bytes = await run(readRange(descriptor.fd, 0, size));
    const trace = isHollow(bytes) ? undefined : decodeDocument(bytes.toString("utf8"));
    if (trace) return { trace, damage: { tornBytes: 0, corruptLines: 0 } };
  }
  const readable = await readLines(path, published);
  if (readable) return readable;
  throw new CrashSafeFileError(
    "NOT_A_TRACE",
    `${path} is not a trace document (${size} bytes that are no JSON object with spans)`,
  );
}
