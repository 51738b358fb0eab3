/**
 * A small host program: a provider of the SDK with the processor and the exporter of this package, and spans by
 * session id.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Span, Tracer } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import type { EnginePorts } from "../../src/directory/registry.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";

export class SessionHost {
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  readonly #tracer: Tracer;

  constructor(options: CrashSafeFileSpanExporterOptions, ports?: EnginePorts) {
    this.exporter = new CrashSafeFileSpanExporter(options, ports);
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.#tracer = new BasicTracerProvider({ spanProcessors: [this.processor] }).getTracer("host");
  }

  start(sessionId: string, name: string): Span {
    return this.#tracer.startSpan(name, {
      attributes: { "session.id": sessionId, "recorded.by": sessionId },
    });
  }

  /** A span that has started and ended. */
  record(sessionId: string, ...names: string[]): void {
    for (const name of names) this.start(sessionId, name).end();
  }
}

/** A directory for the traces with nothing next to it, so that escaped files are found. */
export class Sandbox {
  readonly root = fs.mkdtempSync(join(tmpdir(), "sandbox-"));
  readonly traces = join(this.root, "traces");

  /** Every file and directory below the root, as a relative path. */
  get all(): string[] {
    return (fs.readdirSync(this.root, { recursive: true }) as string[]).sort();
  }

  /** Names in the trace directory. */
  get files(): string[] {
    return fs.readdirSync(this.traces).sort();
  }

  /** The documents in the trace directory, by raw id. Throws when two have one id. */
  documents(): Map<string, TraceFile> {
    const documents = new Map<string, TraceFile>();
    for (const name of this.files.filter((file) => file.endsWith(".json"))) {
      const document: TraceFile = JSON.parse(fs.readFileSync(join(this.traces, name), "utf8"));
      const id = document.id ?? "";
      if (documents.has(id)) throw new Error(`two documents for ${JSON.stringify(id)}`);
      documents.set(id, document);
    }
    return documents;
  }

  remove(): void {
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

/** Names of the spans in a document, in order, without the session's own. */
export const spanNames = (document: TraceFile | undefined): string[] =>
  (document?.spans ?? []).filter((span) => span.kind !== "session").map((span) => span.name);
