/**
 * The stage of a session: processor and exporter of this package with parts of the machine controlled by the test,
 * real spans of the SDK, and the document as any reader finds it.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Span } from "@opentelemetry/api";
import type { EnginePorts } from "../../src/directory/registry.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import type { Liveness } from "../../src/platform/liveness.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { PausedFileSystem } from "./paused-file-system.js";
import { tracerInto } from "./span-processor-stage.js";
import { StillClock } from "./still-clock.js";

let stages = 0;

/** Reports owners as alive or dead as the test decides. */
export class ScriptedLiveness implements Liveness {
  readonly dead = new Set<string>();
  readonly tokens: string[] = [];
  // A token is never reused: recoveries that have ended are remembered for the life of the process.
  readonly #stage = stages++;

  newToken(): string {
    const token = `test-0-0-0-${this.#stage}x${this.tokens.length}`;
    this.tokens.push(token);
    return token;
  }

  verdict(token: string): "alive" | "dead" {
    return this.dead.has(token.replace(/-recovery$/, "")) ? "dead" : "alive";
  }

  /** Declares every owner of a token so far dead. */
  bury(): void {
    for (const token of this.tokens) this.dead.add(token);
  }
}

/** A directory of its own, removed after the test. */
export class Stage {
  readonly dir = mkdtempSync(join(tmpdir(), "crash-safe-stage-"));
  readonly liveness = new ScriptedLiveness();

  readonly #actors: Actor[] = [];

  /** Another process, as far as the library can see: it shares only the directory. */
  actor(options: Partial<CrashSafeFileSpanExporterOptions> = {}, ports: EnginePorts = {}): Actor {
    const actor = new Actor(this.dir, this.liveness, options, ports);
    this.#actors.push(actor);
    return actor;
  }

  get files(): string[] {
    return existsSync(this.dir) ? readdirSync(this.dir).sort() : [];
  }

  bytes(id: string): string {
    return readFileSync(`${this.dir}/${id}.json`, "utf8");
  }

  bytesIfAny(id: string): string | undefined {
    return this.files.includes(`${id}.json`) ? this.bytes(id) : undefined;
  }

  document(id: string): TraceFile {
    return JSON.parse(this.bytes(id));
  }

  /** Removes every file, as at the start. */
  clear(): void {
    for (const name of this.files) rmSync(join(this.dir, name), { recursive: true });
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Shuts all actors down, and removes the directory. */
  async end(): Promise<void> {
    await Promise.allSettled(this.#actors.map(({ processor }) => processor.shutdown()));
    this.remove();
  }
}

/** The processor and the exporter of one process. */
export class Actor {
  readonly fileSystem: PausedFileSystem;
  readonly clock = new StillClock();
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  /** Ids of spans that have ended, and of open spans. */
  readonly ended: string[] = [];
  readonly running = new Map<string, Span>();
  readonly #tracer;

  constructor(
    dir: string,
    liveness: Liveness,
    options: Partial<CrashSafeFileSpanExporterOptions>,
    ports: EnginePorts,
  ) {
    this.fileSystem = new PausedFileSystem(ports.fileSystem);
    const own = { clock: this.clock, liveness, ...ports, fileSystem: this.fileSystem };
    this.exporter = new CrashSafeFileSpanExporter({ dir, ...options }, own);
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.#tracer = tracerInto(this.processor);
  }

  start(id: string, input = ""): Span {
    const attributes = { "session.id": id, "input.value": input };
    const span = this.#tracer.startSpan("work", { attributes });
    this.running.set(span.spanContext().spanId, span);
    return span;
  }

  /** A span that names no session, in a trace of its own. */
  startUnnamed(name: string): Span {
    return this.#tracer.startSpan(name);
  }

  end(span: Span): void {
    const { spanId } = span.spanContext();
    span.end();
    this.running.delete(spanId);
    this.ended.push(spanId);
  }

  /** Spans that have started and ended. */
  record(id: string, count: number, input = ""): void {
    for (let i = 0; i < count; i++) this.end(this.start(id, input));
  }
}

/** How often each span id is in a document, without the session's own. */
export function occurrences(document: TraceFile): Map<string, TraceSpan[]> {
  const found = new Map<string, TraceSpan[]>();
  for (const span of document.spans) {
    if (span.kind !== "session") found.set(span.spanId, [...(found.get(span.spanId) ?? []), span]);
  }
  return found;
}
