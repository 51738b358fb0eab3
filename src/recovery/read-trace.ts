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
import { KnownLines, withoutLines } from "./known-lines.js";
import { cutDocument, type OrphanedFiles, readSideFiles } from "./orphans.js";
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
  return runAsync(nodeFileSystem, readNamed(mustBePath("readTrace", "path", path)));
}

function* readNamed(path: string, options: ReadOptions = {}): Gensync<ReadTrace> {
  try {
    return yield* read(resolve(path), options);
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
 * @internal Is called with each span when it was read, and returns the span to keep, to keep less of a long session in
 * memory, for example. The span has a line at `place`, or is in no line of its own. It belongs to this reading alone.
 */
export type OnSpan = (span: TraceSpan, place: LinePlace | undefined) => TraceSpan;

/** How a session is read. */
interface ReadOptions {
  readonly sides?: FoundSides;
  readonly onSpan?: OnSpan | undefined;
  /** Lines that earlier readings have. It learns those of this one. */
  readonly lines?: KnownLines;
  /** Of the spans of a session with side files, only those without lines are wanted. */
  readonly isOutline?: boolean;
  /** Whether the whole lines of a document count whose end is missing. No listing has such a document. */
  readonly readsCut?: boolean;
}

/**
 * @internal As {@link readTrace}, for a document whose directory the caller has listed: to list a directory for each of its
 * sessions took ten seconds for 1,000 sessions of dead processes.
 */
export const readFoundTrace = (path: string, sides: FoundSides, onSpan?: OnSpan): Promise<ReadTrace> =>
  runAsync(nodeFileSystem, readNamed(path, { sides, onSpan, readsCut: true }));

/**
 * @internal As {@link readFoundTrace}, without the spans that have lines: those are counted, and not kept. Where files are
 * short, run this in one turn of the event loop: the thread pool takes most of the time then.
 */
export const readFoundOutline = (path: string, sides: FoundSides): Gensync<ReadTrace> =>
  readNamed(path, { sides, isOutline: true });

/**
 * @internal A session that is read again and again. While its writers are the same living ones, a reading takes the new
 * lines of their logs only: a session of 200 MB took a second of work and 400 MB of reads, each time.
 */
export class FollowedTrace {
  readonly #onSpan: OnSpan;
  #lines = new KnownLines();

  /** `onSpan` is called with each span once as it was in its line, and at each reading with those that have none. */
  constructor(onSpan: OnSpan) {
    this.#onSpan = onSpan;
  }

  async read(path: string, sides: FoundSides): Promise<ReadTrace> {
    const options = { sides, onSpan: this.#onSpan, lines: this.#lines, readsCut: true };
    try {
      return await runAsync(nodeFileSystem, readNamed(path, options));
    } catch (error) {
      const hadLines = this.#lines.spans.length > 0;
      // What is known of the lines may be a part of this reading.
      this.#lines = new KnownLines();
      if (hadLines) return this.read(path, sides);
      throw error;
    }
  }
}

function* read(path: string, options: ReadOptions): Gensync<ReadTrace> {
  const { sides, onSpan, lines, isOutline, readsCut } = options;
  const dir = dirname(path);
  const entry = parseEntry(basename(path));
  const isSide = entry.type === "open" || entry.type === "live";
  const files = { dir, name: isSide || entry.type === "document" ? entry.name : basename(path, ".json") };
  const owners = yield* readOwners(files, isSide ? entry.token : undefined, sides, lines);
  let published: Published | undefined;
  let isCut = false;
  try {
    // After the side files: a writer that ends in between publishes first and then removes its side files.
    published = isSide ? undefined : yield* openPublished(nodeFileSystem, files);
    if (lines && !(yield* lines.fit(owners, published))) {
      // With what is known, the logs were read from the middle on.
      lines.forget();
      return yield* read(path, options);
    }
    const known = published?.body.type === "unreadable" ? undefined : published;
    // Two ids can share a name until one is published: the document has the id, otherwise the first owner.
    const ids = [known?.head?.id, ...owners.map(idOf), files.name].filter((id) => id !== undefined);
    const orphans = owners.filter((owner) => (idOf(owner) ?? ids[0]) === ids[0]);
    if (orphans.length === 0) {
      lines?.forget();
      const cut = readsCut && published && !known ? yield* cutDocument(files, published) : undefined;
      if (!cut) return yield* readDocument(path, published, onSpan);
      orphans.push(cut);
      isCut = true;
    }
    const earlier = lines?.earlier;
    const count = lines && (yield* lines.learn(orphans, published));
    const spans: TraceSpan[] = [...(lines?.spans ?? [])];
    const newSpans: TraceSpan[] = [];
    const paths = new Map(orphans.map(({ log, token }) => [log?.fd, appendLogPath(files, token)]));
    const pathOf = (fd: number) => paths.get(fd) ?? path;
    const { report, head, tail, isEmpty } = yield* recoverDocument({
      id: ids[0] as string,
      files,
      published: known && earlier ? withoutLines(known) : known,
      orphans,
      out: isOutline
        ? undefined
        : (line, from) => {
            const span = JSON.parse(line.toString("utf8")) as TraceSpan;
            if (from) count?.(span, from.fd);
            const place = from && { path: pathOf(from.fd), offset: from.offset, bytes: from.bytes };
            const kept = onSpan ? onSpan(span, place) : span;
            spans.push(kept);
            if (from) newSpans.push(kept);
          },
      hasPeers: orphans.some((owner) => owner.isAlive),
      earlier,
    });
    if (isEmpty && !isSide) return yield* readDocument(path, undefined, onSpan);
    const { tornBytes, corruptLines } = report;
    if (count && corruptLines === 0 && known === published) lines?.add(newSpans, head.traceId);
    else lines?.forget();
    const trace = traceOf(head, spans, tail, onSpan);
    return { trace: isCut ? asCut(trace) : trace, damage: { tornBytes, corruptLines } };
  } finally {
    // To hand the 3,000 files of a listing to the thread pool took 0.8 s of the main thread.
    for (const descriptor of [published?.descriptor, ...owners.map(({ log }) => log)])
      if (isOutline) descriptor?.releaseNow();
      else descriptor?.release();
  }
}

const idOf = ({ head, journal }: OrphanedFiles): string | undefined => head?.id ?? journal.session?.id;

/** Listings at most: each repeats only while a recovery takes files over. */
const maxListings = 5;

let liveness: SystemLiveness | undefined;

function* readOwners(
  files: SessionFiles,
  token: string | undefined,
  sides?: FoundSides,
  lines?: KnownLines,
  listing = 1,
): Gensync<OrphanedFiles[]> {
  liveness ??= new SystemLiveness(nodeFileSystem.sync);
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness };
  // Before the side files: a recovery that splits a log writes the side files first, and then removes the log.
  const found =
    token === undefined ? yield* readUnnamedSides(ports, files.dir, files.name, sides?.unnamed) : [];
  const listed = sides?.tokens.map((one): SideFiles => ({ files, token: one }));
  for (const owner of listed ?? (yield* listSideFiles(files.dir)).get(files.name) ?? []) {
    if (token !== undefined && owner.token !== token) continue;
    const isAlive = (yield* sideFileState(ports, owner)) !== "orphaned";
    const side = yield* readSideFiles(ports, owner, isAlive, lines?.rangeOf(owner.token));
    if (side.log || side.journal.session || side.journal.spans.size > 0) found.push(side);
    // Since the directory was read, the session was published, or a recovery gave the files other names.
    else if (token === undefined && listing < maxListings && (yield* isGone(owner))) {
      for (const { log } of found) log?.release();
      return yield* readOwners(files, token, undefined, lines, listing + 1);
    }
  }
  return found;
}

function* isGone({ files, token }: SideFiles): Gensync<boolean> {
  return !(yield* io.exists(appendLogPath(files, token))) && !(yield* io.exists(journalPath(files, token)));
}

/** The readable spans of a document of ours that has corrupt lines, or that is too long for one string. */
function* readLines(
  path: string,
  { descriptor, head, tail, body }: Published,
  onSpan?: OnSpan,
): Gensync<ReadTrace | undefined> {
  if (!head || !tail || body.type !== "lines") return undefined;
  const spans: TraceSpan[] = [];
  let corruptLines = 0;
  const take = (line: Buffer, offset: number) => {
    const decoded = decodeLine(line, offset);
    if (decoded.type === "span") {
      const { span } = decoded;
      spans.push(onSpan ? onSpan(span, { path, offset, bytes: line.length }) : span);
    } else corruptLines++;
  };
  yield* scanLines(descriptor.fd, body.from, body.to, take);
  return { trace: traceOf(head, spans, tail, onSpan), damage: { tornBytes: 0, corruptLines } };
}

function traceOf(
  { id, traceId, sessionId, startedAt }: DocumentHead,
  lines: readonly TraceSpan[],
  { spans, metadata: described, summary, endedAt }: DocumentTail,
  onSpan: OnSpan = (span) => span,
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
    spans: [...lines, ...spans.map((span) => onSpan(span, undefined))],
    summary,
    ...origins,
  };
}

/** How the session ended is not known: the last line of its document had it. */
function asCut({ summary, ...trace }: TraceFile): TraceFile {
  const { detector: _detector, reconstructed: _reconstructed, ...rest } = summary;
  return { ...trace, summary: { ...rest, error: "The end of the document is missing" } };
}

/** Why nothing was read: a file that is there is named otherwise than traces are, or is no file. */
function* withoutDocument(path: string): Gensync<CrashSafeFileError> {
  return (yield* io.exists(path))
    ? new CrashSafeFileError("NOT_A_TRACE", `${path} is no trace: a trace is a file <session>.json`)
    : new CrashSafeFileError("READ_FAILED", `there is no trace at ${path}`);
}

/** A document without side files. */
function* readDocument(
  path: string,
  published: Published | undefined,
  onSpan: OnSpan | undefined,
): Gensync<ReadTrace> {
  if (!published) throw yield* withoutDocument(path);
  const { descriptor, size } = published;
  const { tail, body } = published;
  // Line by line, a long document is never in memory as a whole.
  const lines = onSpan && (yield* readLines(path, published, onSpan));
  if (lines && tail && body.type === "lines")
    return { ...lines, trace: { ...lines.trace, layout: { ...tail.layout, tailStart: body.to } } };
  if (size <= maxWholeBytes) {
    const bytes = yield* readRange(descriptor.fd, 0, size);
    const trace = isHollow(bytes) ? undefined : decodeDocument(bytes.toString("utf8"));
    if (trace) {
      const spans = onSpan ? trace.spans.map((span) => onSpan(span, undefined)) : trace.spans;
      return { trace: { ...trace, spans }, damage: { tornBytes: 0, corruptLines: 0 } };
    }
  }
  const readable = yield* readLines(path, published, onSpan);
  if (readable) return readable;
  throw new CrashSafeFileError(
    "NOT_A_TRACE",
    `${path} is not a trace document (${size} bytes that are no JSON object with spans)`,
  );
}
