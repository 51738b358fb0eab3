/**
 * Documents in a directory, as altimate-code's traces write them: running sessions span by span, whole documents at
 * once.
 */
import { resolve } from "node:path";
import { ContentFilter } from "../exporter/content-filter.js";
import { CrashSafeFileSpanExporter } from "../exporter/file-exporter.js";
import {
  type CrashSafeFileSpanExporterOptions,
  knownExporterOptions,
  type ResolvedExporterOptions,
  resolveExporterOptions,
} from "../exporter/file-exporter-options.js";
import { safeId } from "../format/file-names.js";
import type { TraceFile } from "../format/trace-file.js";
import { systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, runAsync, runSync } from "../platform/gensync.js";
import { SystemLiveness } from "../platform/liveness.js";
import { CrashSafeSpanProcessor } from "../processor/span-processor.js";
import { prune } from "../recovery/retention.js";
import { sweep } from "../recovery/sweep.js";
import { getTracesDir } from "./listing.js";
import { MAX_SERIALIZED_SPANS } from "./span-cap.js";
import type { TraceExporter } from "./trace-exporter.js";
import { encodeDocument, writeDocument } from "./write-document.js";

// `Symbol.for`, so that two versions of this package in one process know each other's.
const recording: unique symbol = Symbol.for(
  "opentelemetry-exporter-crash-safe-file/altimate-file-exporter/1",
) as never;

/** @internal What a trace needs of its file exporter to record into its directory. */
export interface FileRecording {
  /** Records spans into the directory. Throws when there can be none. */
  processor(): CrashSafeSpanProcessor;
  /** The session goes on: what fenced it no longer counts. */
  reopened(sessionId: string): void;
  /** Removes what is beyond the limits. Never rejects. */
  prune(): Promise<void>;
  /** The same exporter with another number of documents. */
  withMaxFiles(maxFiles: number): FileExporter;
}

/** More options of a {@link FileExporter}, as `CrashSafeFileSpanExporter` has them. */
export type FileExporterOptions = Pick<
  CrashSafeFileSpanExporterOptions,
  "redact" | "maxFileAgeMillis" | "maxTotalBytes" | "maxValueBytes" | "maxSpanBytes"
>;

/** One for each directory, limits and redactor: hosts make an exporter for every session. */
const processors = new Map<string, CrashSafeSpanProcessor>();

/** Numbers for redactors. */
const redactors = new WeakMap<object, number>();
let lastRedactor = 0;

/** The machine, as this directory's documents are written with it; made when the first one is. */
let ports: ReturnType<typeof machine> | undefined;
const machine = () => ({
  fileSystem: nodeFileSystem,
  clock: systemClock,
  liveness: new SystemLiveness(nodeFileSystem.sync),
});

/** Documents in a directory: of running sessions span by span, whole ones by `export`. */
export class FileExporter implements TraceExporter {
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
   * @param dir default: `traces` in altimate-code's data directory
   * @param maxFiles documents that are kept; 0: all
   * @param options one that cannot work is told of when a session starts, which is not written then; keep one `redact`
   * for all exporters that you make
   */
  constructor(dir?: string, maxFiles = 100, options: FileExporterOptions = {}) {
    this.#dir = getTracesDir(dir);
    this.#options = options ?? {};
    const isLimit = typeof maxFiles === "number" && !Number.isNaN(maxFiles);
    const limit = isLimit ? Math.trunc(maxFiles) : 100;
    this.#maxFiles = limit > 0 && Number.isSafeInteger(limit) ? limit : 0;
    this[recording] = {
      processor: () => processorOf(this.#given()),
      reopened: (sessionId) => void this.#crashed.delete(sessionId),
      prune: () => this.#prune(),
      withMaxFiles: (limit) => new FileExporter(this.#dir, limit, this.#options),
    };
  }

  /**
   * Replaces the session's document by this one, atomically. Resolves with its path; with `undefined`, and nothing is
   * written, when that fails, and for a session that was marked as crashed. Never rejects.
   */
  async export(trace: TraceFile): Promise<string | undefined> {
    try {
      const options = this.#resolved();
      const document = encodeDocument(new ContentFilter(options.redact, options).document(trace));
      const { id, sessionId } = trace;
      const mayCommit = () => !this.#isCrashed(id, sessionId);
      if (!document || !mayCommit()) return undefined;
      ports ??= machine();
      const path = await runAsync(
        nodeFileSystem,
        writeDocument(ports, resolve(this.#dir), document, mayCommit),
      );
      if (path !== undefined) await this.#prune();
      return path;
    } catch {
      return undefined;
    }
  }

  /** The directory, as it was given. */
  getDir(): string {
    return this.#dir;
  }

  /** Nothing is exported of this session, also of what is under way, until it is started or resumed. */
  markCrashed(sessionId: string): void {
    this.#crashed.add(sessionId);
  }

  /** Removes the oldest documents beyond the limit, never one that is being written to. Never throws. */
  pruneSync(): void {
    try {
      runSync(nodeFileSystem, this.#sweepAndPrune());
    } catch {
      // No directory, or not ours to change.
    }
  }

  async #prune(): Promise<void> {
    try {
      await runAsync(nodeFileSystem, this.#sweepAndPrune());
    } catch {
      // As above; tried again at the next end.
    }
  }

  *#sweepAndPrune(): Gensync<void> {
    ports ??= machine();
    const dir = resolve(this.#dir);
    yield* sweep(ports, dir);
    yield* prune(ports, dir, this.#resolved());
  }

  #given(): CrashSafeFileSpanExporterOptions {
    // Fewer than the exporter can keep: a head, a marker, a tail and the session.
    const maxSpans = Math.max(10, MAX_SERIALIZED_SPANS);
    return {
      ...knownExporterOptions(this.#options),
      dir: resolve(this.#dir),
      maxFiles: this.#maxFiles,
      maxSpans,
    };
  }

  /** Throws where one cannot work: what was to be redacted is not written without. */
  #resolved(): ResolvedExporterOptions {
    return resolveExporterOptions(this.#given(), environment(), "FileExporter");
  }

  /** A document of another writer lacks the raw id. */
  #isCrashed(id: string | undefined, sessionId: string): boolean {
    if (id !== undefined) return this.#crashed.has(id);
    return [...this.#crashed].some((crashed) => crashed === sessionId || safeId(crashed) === sessionId);
  }
}

/** @internal What a value has for recording, if it is a file exporter, of whichever copy of this package. */
export function recordingOf(exporter: unknown): FileRecording | undefined {
  return (exporter as { [recording]?: FileRecording } | null | undefined)?.[recording];
}

function processorOf(options: CrashSafeFileSpanExporterOptions): CrashSafeSpanProcessor {
  const { redact, dir, maxFiles, maxFileAgeMillis, maxTotalBytes, maxValueBytes, maxSpanBytes } = options;
  if (redact && !redactors.has(redact)) redactors.set(redact, ++lastRedactor);
  const key = JSON.stringify([
    ...[dir, maxFiles, maxFileAgeMillis, maxTotalBytes, maxValueBytes, maxSpanBytes],
    redact && redactors.get(redact),
  ]);
  const known = processors.get(key);
  if (known) return known;
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter(options));
  processors.set(key, processor);
  return processor;
}
