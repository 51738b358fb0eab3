/**
 * Reading a session as it stands: its document, and what its writers have recorded since.
 */
import { basename, dirname, resolve } from "node:path";
import { type DocumentHead, type DocumentTail, decodeDocument, decodeLine } from "../format/document.js";
import { parseEntry, type SessionFiles } from "../format/file-names.js";
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { systemClock } from "../platform/clock.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { type FileSystem, nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, runAsync } from "../platform/gensync.js";
import { SystemLiveness } from "../platform/liveness.js";
import { maxWholeBytes, openPublished, type Published } from "../storage/document-file.js";
import { readRange, scanLines } from "../storage/lines.js";
import { isDead, listSideFiles } from "../storage/side-files.js";
import { type DeadFiles, readSideFiles } from "./orphans.js";
import { rebuild } from "./rebuild.js";

/** What could not be read. All zero for a sound trace. */
export interface TraceDamage {
  /** Bytes of a record that was cut off. */
  readonly tornBytes: number;
  /** Lines that are no spans. */
  readonly corruptLines: number;
}

/** A trace as it stands. */
export interface ReadTrace {
  readonly trace: TraceFile;
  readonly damage: TraceDamage;
}

/**
 * Reads a trace: `<session>.json` together with what running or dead writers recorded since, or one writer's
 * `.open` file with its side log. Never writes, and takes no lock.
 *
 * @param path a `.json` or `.open` file; of a session that was never published, the `.json` need not exist
 * @throws CrashSafeFileError `READ_FAILED` when there is nothing to read, `NOT_A_TRACE` when it is not a trace
 */
export async function readTrace(path: string): Promise<ReadTrace> {
  try {
    return await runAsync(nodeFileSystem, read(nodeFileSystem, resolve(path)));
  } catch (error) {
    if (error instanceof CrashSafeFileError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CrashSafeFileError("READ_FAILED", `cannot read the trace ${path}: ${reason}`, { cause: error });
  }
}

function* read(fileSystem: FileSystem, path: string): Gensync<ReadTrace> {
  const dir = dirname(path);
  const entry = parseEntry(basename(path));
  const isSide = entry.type === "open" || entry.type === "live";
  const files = { dir, name: isSide || entry.type === "document" ? entry.name : basename(path, ".json") };
  const owners = yield* readOwners(fileSystem, files, isSide ? entry.token : undefined);
  let published: Published | undefined;
  try {
    // After the side files: a writer that ends meanwhile publishes first, and removes them then.
    published = isSide ? undefined : yield* openPublished(fileSystem, files);
    const known = published?.body.type === "unreadable" ? undefined : published;
    // Ids can share a name until one is published: the document says whose it is, else the first owner does.
    const ids = [known?.head?.id, ...owners.map(idOf), files.name].filter((one) => one !== undefined);
    const side = owners.filter((one) => (idOf(one) ?? ids[0]) === ids[0]);
    if (side.length === 0) return yield* readDocument(path, published);
    const spans: TraceSpan[] = [];
    const { report, head, tail } = yield* rebuild({
      id: ids[0] as string,
      files,
      published: known,
      dead: side,
      out: (line) => spans.push(JSON.parse(line.toString("utf8"))),
      othersLive: side.some((one) => one.isAlive),
    });
    const { tornBytes, corruptLines } = report;
    return { trace: traceOf(head, spans, tail), damage: { tornBytes, corruptLines } };
  } finally {
    published?.descriptor.release();
    for (const { open } of owners) open?.release();
  }
}

const idOf = ({ head, live }: DeadFiles): string | undefined => head?.id ?? live.session?.id;

function* readOwners(
  fileSystem: FileSystem,
  files: SessionFiles,
  token: string | undefined,
): Gensync<DeadFiles[]> {
  const ports = { fileSystem, clock: systemClock, liveness: new SystemLiveness(fileSystem.sync) };
  const found: DeadFiles[] = [];
  for (const owner of (yield* listSideFiles(files.dir)).get(files.name) ?? []) {
    if (token !== undefined && owner.token !== token) continue;
    const isAlive = !(yield* isDead(ports, owner));
    const side = yield* readSideFiles(fileSystem, owner, isAlive);
    // Both gone: published and removed since the directory was read.
    if (side.open || side.live.session || side.live.spans.size > 0) found.push(side);
  }
  return found;
}

/** What can be read of a document of ours in which lines have rotted, or that is too long for one text. */
function* readLines({ descriptor, head, tail, body }: Published): Gensync<ReadTrace | undefined> {
  if (!head || !tail || body.type !== "lines") return undefined;
  const spans: TraceSpan[] = [];
  let corruptLines = 0;
  yield* scanLines(descriptor.fd, body.from, body.to, (line, offset) => {
    const decoded = decodeLine(line, offset);
    if (decoded.type === "span") spans.push(decoded.span);
    else corruptLines++;
  });
  return { trace: traceOf(head, spans, tail), damage: { tornBytes: 0, corruptLines } };
}

function traceOf(
  { id, traceId, sessionId, startedAt }: DocumentHead,
  lines: readonly TraceSpan[],
  { spans, metadata, summary, endedAt }: DocumentTail,
): TraceFile {
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
  };
}

/** A document that nobody is writing to, as it is. */
function* readDocument(path: string, published: Published | undefined): Gensync<ReadTrace> {
  if (!published) throw new CrashSafeFileError("READ_FAILED", `there is no trace at ${path}`);
  const { descriptor, size } = published;
  if (size <= maxWholeBytes) {
    const bytes = yield* readRange(descriptor.fd, 0, size);
    const trace = decodeDocument(bytes.toString("utf8"));
    if (trace) return { trace, damage: { tornBytes: 0, corruptLines: 0 } };
  }
  const readable = yield* readLines(published);
  if (readable) return readable;
  throw new CrashSafeFileError(
    "NOT_A_TRACE",
    `${path} is not a trace document (${size} bytes that are no JSON object with spans)`,
  );
}
