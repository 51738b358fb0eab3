/** altimate-code's file exporter: records the spans of running sessions, and writes whole documents. */
import { resolve } from "node:path";
import { ContentFilter } from "../exporter/content-filter.js";
import { refusalText } from "../exporter/fault-log.js";
import { CrashSafeFileSpanExporter } from "../exporter/file-exporter.js";
import {
  type CrashSafeFileSpanExporterOptions,
  knownExporterOptions,
  type ResolvedExporterOptions,
  resolveExporterOptions,
} from "../exporter/file-exporter-options.js";
import { KeptFiles } from "../exporter/kept-files.js";
import { safeId } from "../format/file-names.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, runAsync, runSync } from "../platform/gensync.js";
import { Ground, onGround } from "../platform/ground.js";
import { SystemLiveness } from "../platform/liveness.js";
import { type PathLike, pathOf } from "../platform/paths.js";
import { CrashSafeSpanProcessor } from "../processor/span-processor.js";
import { prune, retentionFault } from "../recovery/retention.js";
import { sweep } from "../recovery/sweep.js";
import type { CommitPorts } from "../storage/commit.js";
import { getTracesDir } from "./listing.js";
import { MAX_SERIALIZED_SPANS } from "./span-cap.js";
import type { TraceExporter, TraceFile } from "./trace-exporter.js";
import { encodeDocument, idOf, writeDocument } from "./write-document.js";

// `Symbol.for`, so that two versions of this package in one process recognise the exporters of each other.
const recording: unique symbol = Symbol.for(
  "opentelemetry-exporter-crash-safe-file/altimate-file-exporter/1",
) as never;

/** @internal How a trace records into the directory of its file exporter. */
export interface FileRecording {
  /** The processor that records spans into the directory. Throws `INVALID_OPTION`. */
  processor(): CrashSafeSpanProcessor;
  /** The session has started or resumed: exports of the session are allowed again after a crash. */
  reopened(sessionId: string): void;
  /** Removes the documents beyond the limits. Never rejects. */
  prune(): Promise<void>;
  /** A copy of the exporter with another number of documents. */
  withMaxFiles(maxFiles: number): FileExporter;
}

/** Options of a {@link FileExporter}, which have the meaning that they have in `CrashSafeFileSpanExporter`. */
export type FileExporterOptions = Pick<
  CrashSafeFileSpanExporterOptions,
  "redact" | "maxFileAgeMillis" | "maxTotalBytes" | "maxValueBytes" | "maxSpanBytes"
>;

/** One processor per directory, limits and redactor: hosts make an exporter for every session. */
const processors = new Map<string, CrashSafeSpanProcessor>();

/** A number for each redactor, for keys of {@link processors}. */
const redactors = new WeakMap<object, number>();
let lastRedactor = 0;

const diagnostics = new Diagnostics("FileExporter");
const keptFiles = new KeptFiles(diagnostics);

/** The ports of each directory: what its file system refuses is found and logged once. */
const ports = new Map<string, CommitPorts>();

function portsOf(dir: string): CommitPorts {
  let known = ports.get(dir);
  if (!known) {
    const ground = new Ground((refusal) => diagnostics.log("warn", refusalText(refusal, dir)));
    const fileSystem = onGround(nodeFileSystem, ground);
    known = { fileSystem, clock: systemClock, liveness: new SystemLiveness(nodeFileSystem.sync) };
    ports.set(dir, known);
  }
  return known;
}

/** Writes the documents of running sessions span by span, and whole documents with `export`. */
export class FileExporter implements TraceExporter {
  /** `file`. */
  readonly name = "file";
  readonly #dir: string;
  readonly #maxFiles: number;
  readonly #options: FileExporterOptions;
  readonly #crashed = new Set<string>();
  /** @internal */
  readonly [recording]: FileRecording;

  /**
   * Creates nothing on disk.
   *
   * @param dir directory of documents; default: `traces` in altimate-code's data directory
   * @param maxFiles number of documents to keep, default 100; 0 keeps all
   * @param options an invalid option is logged when a session starts, and the session has no document then; pass one
   * `redact` function to all exporters, since each function gets its own processor
   */
  constructor(dir?: PathLike, maxFiles = 100, options: FileExporterOptions = {}) {
    this.#dir = getTracesDir(dir);
    this.#options = options ?? {};
    const isLimit = typeof maxFiles === "number" && !Number.isNaN(maxFiles);
    const limit = isLimit ? Math.trunc(maxFiles) : 100;
    this.#maxFiles = limit > 0 && Number.isSafeInteger(limit) ? limit : 0;
    this[recording] = {
      processor: () => {
        // Reports an invalid option under the name of this class.
        this.#resolved();
        return processorOf(this.#given());
      },
      reopened: (sessionId) => {
        for (const id of [sessionId, safeId(sessionId)]) this.#crashed.delete(id);
      },
      prune: () => this.#prune(),
      withMaxFiles: (limit) => new FileExporter(this.#dir, limit, this.#options),
    };
  }

  /**
   * Replaces the document of the session atomically, with the members and values that are given, in any shape; `layout`
   * is left out. A document without a session id is `unknown.json`. Resolves with the path; with `undefined`, and nothing
   * is written, when that fails or the session was marked as crashed. Never rejects.
   */
  async export(trace: TraceFile): Promise<string | undefined> {
    try {
      if (typeof trace !== "object" || trace === null || Array.isArray(trace)) return undefined;
      const options = this.#resolved();
      const document = new ContentFilter(options.redact, options).document(trace);
      const encoded = encodeDocument(document);
      const mayCommit = () => !this.#isCrashed(document);
      if (!mayCommit()) return undefined;
      const dir = resolve(this.#dir);
      const ports = portsOf(dir);
      const path = await runAsync(ports.fileSystem, writeDocument(ports, dir, encoded, mayCommit));
      if (path !== undefined) await this.#prune();
      return path;
    } catch (error) {
      diagnostics.failure("a document was not written", error, "warn");
      return undefined;
    }
  }

  /** The directory. Relative as it was passed to the constructor. */
  getDir(): string {
    return this.#dir;
  }

  /**
   * Stops exports of the session, also an export that is running, until the session starts or resumes.
   *
   * @param sessionId the raw id, or the id as it is in the document
   */
  markCrashed(sessionId: string): void {
    if (sessionId) this.#crashed.add(sessionId);
  }

  /** Removes the oldest documents beyond the limits, except documents of open sessions. Never throws. */
  pruneSync(): void {
    try {
      const dir = resolve(this.#dir);
      runSync(portsOf(dir).fileSystem, this.#sweepAndPrune(dir));
    } catch {
      // The directory does not exist or cannot be changed.
    }
  }

  async #prune(): Promise<void> {
    try {
      const dir = resolve(this.#dir);
      await runAsync(portsOf(dir).fileSystem, this.#sweepAndPrune(dir));
    } catch {
      // As in `pruneSync`. The next end of a session tries again.
    }
  }

  *#sweepAndPrune(dir: string): Gensync<void> {
    yield* sweep(portsOf(dir), dir);
    yield* prune(portsOf(dir), dir, this.#resolved(), {
      onKept: (file) => keptFiles.add(retentionFault(file), file.path),
    });
  }

  #given(): CrashSafeFileSpanExporterOptions {
    // The least number that the exporter accepts.
    const maxSpans = Math.max(10, MAX_SERIALIZED_SPANS);
    return {
      ...knownExporterOptions(this.#options),
      // A text that is no path stays, and is refused.
      dir: pathOf(this.#dir) === undefined ? this.#dir : resolve(this.#dir),
      maxFiles: this.#maxFiles,
      maxSpans,
    };
  }

  /** Throws `INVALID_OPTION`: a document is not written without the redactor that it needs. */
  #resolved(): ResolvedExporterOptions {
    return resolveExporterOptions(this.#given(), environment(), "FileExporter");
  }

  #isCrashed(document: Readonly<Record<string, unknown>>): boolean {
    const { id, sessionId } = document;
    const named = [id, sessionId, safeId(idOf(document))];
    if ([...this.#crashed].some((crashed) => named.includes(crashed))) return true;
    // Other programs write no raw id: the session id may be the sanitized form of the raw id that crashed.
    return id === undefined && [...this.#crashed].some((crashed) => safeId(String(crashed)) === sessionId);
  }
}

/** @internal The recording of a value that is a file exporter, also of another copy of this package. */
export function recordingOf(exporter: unknown): FileRecording | undefined {
  return (exporter as { [recording]?: FileRecording } | null | undefined)?.[recording];
}

function processorOf(options: CrashSafeFileSpanExporterOptions): CrashSafeSpanProcessor {
  const { redact, ...others } = options;
  if (redact && !redactors.has(redact)) redactors.set(redact, ++lastRedactor);
  // Of every option: exporters that differ in one must not share a processor.
  const key = JSON.stringify([Object.entries(others).sort(), redact && redactors.get(redact)]);
  const known = processors.get(key);
  if (known) return known;
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter(options));
  processors.set(key, processor);
  return processor;
}
