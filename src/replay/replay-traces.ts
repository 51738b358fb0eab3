/**
 * `replayTraces`: what the files of dead sessions saved, handed to a backend.
 */
import { resolve } from "node:path";
import { documentPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { type ResourceLike, resourceAttributesOf } from "../otel/resource.js";
import type { SpanExporter } from "../otel/types.js";
import { systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, io, runAsync } from "../platform/gensync.js";
import { SystemLiveness } from "../platform/liveness.js";
import type { ListedTrace } from "../recovery/list-traces.js";
import { recoverDirectory, untilRecovered } from "../recovery/recover-directory.js";
import { openPublished, type Published } from "../storage/document-file.js";
import type { ReplayedTrace, ReplayFailure, ReplayReport } from "./replay-report.js";
import { type ReadableDocument, type ReplayPorts, SessionReplay } from "./replay-session.js";

/** Options of {@link replayTraces}. */
export interface ReplayOptions {
  /**
   * Which sessions to send, of those that nobody writes to any more. `crashed` (the default): those that a crash
   * ended; the others had their own way to the backend. `ended`: all. A function chooses; where it throws, the
   * session is among the failures.
   */
  readonly sessions?: "crashed" | "ended" | ((trace: ListedTrace) => boolean) | undefined;
  /**
   * A resource of the SDK, or just `{ attributes }`. Default: what `OTEL_SERVICE_NAME` and
   * `OTEL_RESOURCE_ATTRIBUTES` say. The service's name is `unknown_service` where nobody tells it.
   */
  readonly resource?: ResourceLike | undefined;
  /** Longest time for one export and for one flush. Default 30000. */
  readonly exportTimeoutMillis?: number | undefined;
}

/**
 * Recovers the dead sessions of a directory, and sends the spans of those that a crash ended through any
 * `SpanExporter`: ids, parents, times, status and attributes as they were, interrupted spans as errors, and for each
 * turn of a session tracer the root that its document does not hold.
 *
 * At least once: each batch is marked in `<session>.json.replayed` when the exporter has taken and flushed it. A
 * session that is sent to its end is not sent again, one that was cut short goes on at the mark, and one that was
 * resumed and crashed again is sent from where it has news. Sessions that are live in any process are left alone.
 *
 * `export()` calls are one after the other. The exporter is the caller's: it is not shut down.
 *
 * @param dir directory of trace documents; a missing one has nothing to replay
 * @throws CrashSafeFileError `INVALID_OPTION`; the file system's error when the directory cannot be read. What one
 * session has against it is in `failures`, and does not keep the others.
 */
export async function replayTraces(
  dir: string,
  exporter: SpanExporter,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  const choose = chooserOf(options.sessions);
  const ports = await portsOf(exporter, options);
  const directory = resolve(dir);
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const recovery = await recoverDirectory(
    { fileSystem: nodeFileSystem, clock: systemClock, liveness },
    directory,
    untilRecovered,
  );
  const sessions: ReplayedTrace[] = [];
  const failures: ReplayFailure[] = recovery.failures.map((failure) => ({ ...failure, spans: 0 }));
  const unrecovered = new Set(recovery.failures.map(({ path }) => path));
  let settled = 0;
  let running = 0;
  const replay = { ...ports, token: liveness.newToken() };
  for (const files of await runAsync(nodeFileSystem, documentsIn(directory))) {
    const path = documentPath(files);
    if (unrecovered.has(path)) continue;
    let session: SessionReplay | undefined;
    let published: Published | undefined;
    try {
      if (await runAsync(nodeFileSystem, isOwned(files))) {
        running++;
        continue;
      }
      published = await runAsync(nodeFileSystem, openPublished(nodeFileSystem, files));
      const document = published && readable(published);
      if (!document || !choose(listed(path, document))) continue;
      session = new SessionReplay(replay, files, document);
      if (await session.run()) sessions.push({ id: document.head.id, path, spans: session.sent });
      else settled++;
    } catch (error) {
      failures.push({ path, spans: session?.sent ?? 0, error });
    } finally {
      published?.descriptor.release();
    }
  }
  return { sessions, failures, settled, running };
}

const defaultTimeoutMillis = 30_000;

async function portsOf(exporter: SpanExporter, options: ReplayOptions): Promise<Omit<ReplayPorts, "token">> {
  const { resource, exportTimeoutMillis = defaultTimeoutMillis } = options;
  if (typeof exporter?.export !== "function")
    throw new CrashSafeFileError("INVALID_OPTION", "exporter has no method export");
  if (!Number.isSafeInteger(exportTimeoutMillis) || exportTimeoutMillis < 1)
    throw new CrashSafeFileError(
      "INVALID_OPTION",
      `exportTimeoutMillis is ${String(exportTimeoutMillis)}; it must be an integer from 1`,
    );
  return {
    fileSystem: nodeFileSystem,
    exporter,
    resource: await resourceOf(resource),
    exportTimeoutMillis,
  };
}

/** Detectors of the SDK's resource may still be at work. */
async function resourceOf(
  resource: (ResourceLike & { waitForAsyncAttributes?(): Promise<void> }) | undefined,
): Promise<ResourceLike> {
  await resource?.waitForAsyncAttributes?.();
  const given = resource?.attributes ?? resourceAttributesOf(environment());
  // OpenTelemetry semantic conventions, `service.name`: required, and this where it is not known.
  return { attributes: { "service.name": "unknown_service", ...given } };
}

function chooserOf(sessions: ReplayOptions["sessions"] = "crashed"): (trace: ListedTrace) => boolean {
  // Without a side file and still running: another tracer's, or somebody removed what would tell. Nobody knows
  // that it is over.
  const isOver = ({ summary }: ListedTrace) => summary.status !== "running";
  if (typeof sessions === "function") return (trace) => isOver(trace) && sessions(trace);
  if (sessions === "ended") return isOver;
  if (sessions === "crashed") return ({ summary }) => summary.status === "crashed";
  throw new CrashSafeFileError(
    "INVALID_OPTION",
    `sessions is ${String(sessions)}; it must be "crashed", "ended" or a function`,
  );
}

/** Oldest first, so that a backend gets them in the order of their time. */
function* documentsIn(dir: string): Gensync<SessionFiles[]> {
  const found: { files: SessionFiles; mtimeMs: number }[] = [];
  // Created by nobody yet: nothing to replay.
  if (!(yield* io.isDirectory(dir))) return [];
  // By age, and by name where they were written within one tick of the kernel's clock.
  for (const fileName of (yield* io.readdir(dir)).sort()) {
    const entry = parseEntry(fileName);
    if (entry.type !== "document") continue;
    const stat = yield* io.lstat(`${dir}/${fileName}`);
    if (stat?.isFile) found.push({ files: { dir, name: entry.name }, mtimeMs: stat.mtimeMs });
  }
  return found.sort((a, b) => a.mtimeMs - b.mtimeMs).map(({ files }) => files);
}

/** Whether somebody writes to the session, as of now: what the dead left was recovered before. */
function* isOwned({ dir, name }: SessionFiles): Gensync<boolean> {
  return (yield* io.readdir(dir)).some((fileName) => {
    const entry = parseEntry(fileName);
    return (entry.type === "open" || entry.type === "live") && entry.name === name;
  });
}

function readable(published: Published): ReadableDocument | undefined {
  const { head, tail } = published;
  return head && tail && { ...published, head, tail };
}

function listed(path: string, { head, tail, size }: ReadableDocument): ListedTrace {
  const { id, sessionId, traceId, startedAt } = head;
  const { metadata, summary, endedAt } = tail;
  return { path, id, sessionId, traceId, startedAt, endedAt, metadata, summary, bytes: size };
}
