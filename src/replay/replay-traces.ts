/** `replayTraces`: sends the spans of crashed sessions, which their backend never got, to an exporter. */

import { resolve } from "node:path";
import { documentPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { splitOrigins } from "../format/origins.js";
import { isOver } from "../format/session-end.js";
import { type ResourceLike, resourceAttributesOf, unknownService } from "../otel/resource.js";
import type { SpanExporter } from "../otel/types.js";
import { mapConcurrently } from "../platform/async.js";
import { systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { type CrashSafeFileError, invalidOption } from "../platform/errors.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { Ground, onGround } from "../platform/ground.js";
import { SystemLiveness } from "../platform/liveness.js";
import {
  checked,
  hasMethods,
  integer,
  longestTimerMillis,
  rejectUnknownOptions,
} from "../platform/options.js";
import { mustBePath, type PathLike } from "../platform/paths.js";
import type { ListedTrace } from "../recovery/list-traces.js";
import { recoverDirectory, untilRecovered } from "../recovery/recover-directory.js";
import { openPublished, type Published } from "../storage/document-file.js";
import { type ReadableDocument, type ReplayPorts, SessionReplay } from "./replay-session.js";

/** Options of {@link replayTraces}. */
export interface ReplayOptions {
  /**
   * Which ended sessions to send. `crashed` (the default): the sessions that a crash ended; an orderly end has sent
   * its spans itself. `ended`: all ended sessions. A function chooses; if it throws, the session is among the failures.
   */
  readonly sessions?: "crashed" | "ended" | ((trace: ListedTrace) => boolean) | undefined;
  /**
   * A resource of the SDK, or `{ attributes }`, for spans whose document has no resource: of release 0.1.0, or of another
   * tracer. Its `service.name` also replaces a name that the SDK made up (`unknown_service:node`). Default: the attributes
   * of `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. Without a name, the service is `unknown_service`.
   */
  readonly resource?: ResourceLike | undefined;
  /** Longest time for one export, and for one flush. Default 30000; at most 2147483647. */
  readonly exportTimeoutMillis?: number | undefined;
}

/** A session whose document was sent completely. */
export interface ReplayedTrace {
  /** The raw session id, if the document has it. */
  readonly id: string | undefined;
  /** The document. */
  readonly path: string;
  /** Spans that this call sent, roots of turns included; 0 when only the checkpoint was missing. */
  readonly spans: number;
}

/** A session that was sent in part or not at all. The next replay goes on there. */
export interface ReplayFailure {
  /** The document. */
  readonly path: string;
  /** Spans that this call sent before the failure. */
  readonly spans: number;
  /** A `CrashSafeFileError` `EXPORT_FAILED` or `EXPORT_TIMEOUT`, or the error of the file system. */
  readonly error: unknown;
}

/** What a replay did in a directory. */
export interface ReplayReport {
  /** Sessions that were sent completely. */
  readonly sessions: readonly ReplayedTrace[];
  /** Sessions that were not. */
  readonly failures: readonly ReplayFailure[];
  /** Sessions that an earlier replay has sent completely. */
  readonly settled: number;
  /** Sessions that a living process writes to, which were skipped. */
  readonly running: number;
}

/**
 * Recovers the dead sessions of a directory, and sends the spans of crashed sessions through any `SpanExporter`: ids,
 * parents, times, status and attributes as they were, interrupted spans as errors, and a root span for each turn of a
 * session tracer, which documents do not hold.
 *
 * Spans are sent at least once: a checkpoint in `<session>.json.replayed` counts each batch that the exporter has taken
 * and flushed. A complete session is not sent again. A replay that was interrupted goes on at the checkpoint. If a
 * session was resumed and crashed again, only its new spans are sent. Sessions that a living process writes to are
 * skipped.
 *
 * Calls of `export()` do not overlap. The caller shuts the exporter down.
 *
 * @param dir directory of trace documents; a directory that does not exist has none
 * @throws CrashSafeFileError `INVALID_OPTION`; or the error of the file system if the directory cannot be read. An
 * error of one session is in `failures`, and does not stop the other sessions.
 */
export async function replayTraces(
  dir: PathLike,
  exporter: SpanExporter,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  rejectUnknownOptions(component, options, names);
  const choose = chooserOf(options?.sessions);
  const ports = await portsOf(exporter, options ?? {});
  const directory = resolve(mustBePath(component, "dir", dir));
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const { fileSystem } = ports;
  const recovery = await recoverDirectory(
    { fileSystem, clock: systemClock, liveness },
    directory,
    untilRecovered,
  );
  const sessions: ReplayedTrace[] = [];
  const failures: ReplayFailure[] = recovery.failures.map((failure) => ({ ...failure, spans: 0 }));
  const unrecovered = new Set(recovery.failures.map(({ path }) => path));
  let settled = 0;
  const replay = { ...ports, token: liveness.newToken() };
  const { documents, owned } = await contentsOf(directory);
  const free = documents.filter(({ name }) => !owned.has(name));
  const running = documents.length - free.length;
  const known = free.filter((files) => !unrecovered.has(documentPath(files)));
  for (let first = 0; first < known.length; first += openedAtOnce) {
    const some = known.slice(first, first + openedAtOnce);
    const opening = some.map((files) => runAsync(fileSystem, openPublished(fileSystem, files)));
    for (const [index, opened] of (await Promise.allSettled(opening)).entries()) {
      const files = some[index] as SessionFiles;
      const path = documentPath(files);
      let session: SessionReplay | undefined;
      try {
        if (opened.status === "rejected") throw opened.reason;
        const document = opened.value && readable(opened.value);
        if (!document || !choose(listed(path, document))) continue;
        session = new SessionReplay(replay, files, document);
        if (await session.run()) sessions.push({ id: document.head.id, path, spans: session.sent });
        else settled++;
      } catch (error) {
        failures.push({ path, spans: session?.sent ?? 0, error });
      } finally {
        if (opened.status === "fulfilled") opened.value?.descriptor.release();
      }
    }
  }
  return { sessions, failures, settled, running };
}

const component = "replayTraces";
const names: readonly (keyof ReplayOptions)[] = ["sessions", "resource", "exportTimeoutMillis"];

const defaultTimeoutMillis = 30_000;

async function portsOf(exporter: SpanExporter, options: ReplayOptions): Promise<Omit<ReplayPorts, "token">> {
  const { resource, exportTimeoutMillis = defaultTimeoutMillis } = options;
  if (!hasMethods(exporter, "export")) throw invalid("exporter", exporter, "a SpanExporter (export)");
  checked(component, "exportTimeoutMillis", exportTimeoutMillis, integer(1, longestTimerMillis));
  return {
    fileSystem: onGround(nodeFileSystem, new Ground()),
    exporter,
    resource: await resourceOf(resource),
    exportTimeoutMillis,
  };
}

async function resourceOf(
  resource: (ResourceLike & { waitForAsyncAttributes?(): Promise<void> }) | undefined,
): Promise<ResourceLike> {
  // Detectors of the SDK's resource may not have finished.
  await resource?.waitForAsyncAttributes?.();
  const given = resource?.attributes ?? resourceAttributesOf(environment());
  // OpenTelemetry semantic conventions, `service.name`: required, with this value where the name is not known.
  return { attributes: { "service.name": unknownService, ...given } };
}

function chooserOf(sessions: ReplayOptions["sessions"] = "crashed"): (trace: ListedTrace) => boolean {
  // A document that is running or idle and has no side files is another tracer's, or its side files were deleted: its session
  // may still be open.
  if (typeof sessions === "function") return (trace) => isOver(trace.summary) && sessions(trace);
  if (sessions === "ended") return ({ summary }) => isOver(summary);
  if (sessions === "crashed") return ({ summary }) => summary.status === "crashed";
  throw invalid("sessions", sessions, '"crashed", "ended" or a function');
}

const invalid = (option: string, value: unknown, allowed: string): CrashSafeFileError =>
  invalidOption(component, option, value, allowed);

/** Documents that are open at a time: one by one, most of the time goes into waiting for the thread pool. */
const openedAtOnce = 8;

/**
 * The documents of a directory, oldest first, so that a backend gets the sessions in the order of their ends; and the names
 * of sessions to which a process writes. The directory is read once.
 */
async function contentsOf(
  dir: string,
): Promise<{ readonly documents: readonly SessionFiles[]; readonly owned: ReadonlySet<string> }> {
  const { async: calls } = nodeFileSystem;
  const owned = new Set<string>();
  // A directory that does not exist yet has nothing to replay.
  if (!(await calls.isDirectory(dir))) return { documents: [], owned };
  const names: string[] = [];
  // Documents of one tick of the kernel's clock are in the order of their names.
  for (const fileName of (await calls.readdir(dir)).sort()) {
    const entry = parseEntry(fileName);
    if (entry.type === "document") names.push(entry.name);
    // Side files of dead processes have been recovered before.
    else if (entry.type === "open" || entry.type === "live") owned.add(entry.name);
  }
  const dated = await mapConcurrently(names, async (name) => {
    const files = { dir, name };
    const stat = await calls.lstat(documentPath(files));
    return stat?.isFile ? { files, mtimeMs: stat.mtimeMs } : undefined;
  });
  const found = dated.filter((one) => one !== undefined).sort((a, b) => a.mtimeMs - b.mtimeMs);
  return { documents: found.map(({ files }) => files), owned };
}

function readable(published: Published): ReadableDocument | undefined {
  const { head, tail } = published;
  return head && tail && { ...published, head, tail };
}

function listed(path: string, { head, tail, size }: ReadableDocument): ListedTrace {
  const { id, sessionId, traceId, startedAt } = head;
  const { summary, endedAt } = tail;
  const { metadata } = splitOrigins(tail.metadata);
  return { path, id, sessionId, traceId, startedAt, endedAt, metadata, summary, bytes: size };
}
