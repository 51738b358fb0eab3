/**
 * A program whose code is called while the library works, such as a logger, a redactor or a getter. It calls back.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { diag, type MeterProvider, type Span } from "@opentelemetry/api";
import { expect } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { occurrences, ScriptedLiveness } from "./session-stage.js";
import { tracerInto } from "./span-processor-stage.js";
import { StillClock } from "./still-clock.js";

export const sessionId = "s";

/** The actions of the host's code. */
export const actions = ["record a span", "end the session", "forceFlush", "crash", "shutdown"] as const;
export type Action = (typeof actions)[number];

/** The real file system. A test may replace two of its calls. */
class HookedFileSystem implements FileSystem {
  write = nodeFileSystem.sync.write;
  link = nodeFileSystem.sync.link;
  readonly async = nodeFileSystem.async;
  readonly sync: FileCalls = {
    ...nodeFileSystem.sync,
    write: (...args) => this.write(...args),
    link: (...args) => this.link(...args),
  };
}

/** A program on a disk that may fail, whose callbacks act once for each planned action. */
export class Host {
  readonly fileSystem = new HookedFileSystem();
  readonly clock = new StillClock();
  readonly liveness = new ScriptedLiveness();
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  /** Spans that started while spans were accepted, each with a text of its own. */
  readonly started = new Map<string, string>();
  ends = 0;
  /** The actions of the next callbacks. */
  readonly plan: (() => void)[] = [];
  acted = 0;
  readonly #tracer;
  readonly #pending: Promise<unknown>[] = [];
  #isOver = false;
  #spans = 0;

  constructor(
    readonly dir: string,
    options: Partial<CrashSafeFileSpanExporterOptions> = {},
  ) {
    const { fileSystem, clock, liveness } = this;
    this.exporter = new CrashSafeFileSpanExporter({ dir, ...options }, { fileSystem, clock, liveness });
    this.processor = new CrashSafeSpanProcessor(this.exporter, {}, { clock });
    this.#tracer = tracerInto(this.processor);
  }

  /** Code of the host runs. */
  called = (): void => {
    const next = this.plan.shift();
    if (next) this.acted++;
    next?.();
  };

  /** Makes `diag` call the host from now on. */
  listen(): void {
    const logger = { error: this.called, warn: this.called, info: this.called, debug() {}, verbose() {} };
    diag.setLogger(logger, { suppressOverrideMessage: true });
  }

  start(attributes: Record<string, string> = {}): Span {
    const text = `${++this.#spans} `.repeat(100);
    const span = this.#tracer.startSpan("work", {
      attributes: { "session.id": sessionId, text, ...attributes },
    });
    // Where the host ended the exporter in this call, the start may have come too late.
    if (!this.#isOver) this.started.set(span.spanContext().spanId, text);
    return span;
  }

  end(span: Span): void {
    this.ends++;
    span.end();
  }

  record(): void {
    this.end(this.start());
  }

  act(action: Action): void {
    switch (action) {
      case "record a span":
        this.record();
        return;
      case "end the session":
        this.#await(this.exporter.endSession(sessionId));
        return;
      case "forceFlush":
        this.#await(this.processor.forceFlush());
        return;
      case "crash":
        this.#isOver = true;
        this.processor.crash("by the host");
        return;
      case "shutdown":
        this.#isOver = true;
        this.#await(this.processor.shutdown());
        return;
    }
  }

  /** The fault has passed. Every span is in the document once, and every counter counts it once. */
  async expectAll(): Promise<TraceFile> {
    this.plan.length = 0;
    this.fileSystem.write = nodeFileSystem.sync.write;
    await Promise.all(this.#pending);
    await this.processor.forceFlush().catch(() => {});
    const afterDeath = await this.#afterDeath();
    this.expectSpans(afterDeath);
    const failure = await this.processor.shutdown().catch((error: Error) => error);
    const { exported, inflight, recorded, dropped } = this.exporter.stats();
    const { recorded: taken, dropped: late, failed, faults } = this.processor.stats();
    expect(taken + late + failed).toBe(this.ends);
    expect(recorded + dropped).toBe(taken);
    expect([failed, faults]).toEqual([0, 0]);
    // A shutdown that met the fault, and rejected for it, leaves the rest to the recovery checked above.
    if (failure) {
      expect(failure.message).toMatch(/ENOSPC: injected|the crashed session waits to be written/);
      return afterDeath;
    }
    expect([inflight, exported]).toEqual([0, recorded]);
    expect(fs.readdirSync(this.dir)).toEqual([`${sessionId}.json`]);
    const document = this.document();
    const found = this.expectSpans(document);
    const finished = [...found.values()].filter(([span]) => span?.endTime && !span.interrupted);
    expect(finished.length).toBeGreaterThanOrEqual(recorded);
    return document;
  }

  /** The document under the session's name. */
  document(): TraceFile {
    return JSON.parse(fs.readFileSync(`${this.dir}/${sessionId}.json`, "utf8"));
  }

  expectSpans(document: TraceFile): Map<string, TraceSpan[]> {
    const found = occurrences(document);
    for (const [spanId, spans] of found) expect(spans, `${spanId} is in the document once`).toHaveLength(1);
    for (const [spanId, text] of this.started)
      expect(found.get(spanId)?.[0]?.attributes?.text, `${spanId} has its text`).toBe(text);
    return found;
  }

  #await(work: Promise<void>): void {
    this.#pending.push(work.catch(() => {}));
  }

  /** The document that a recovery makes from the present files. */
  async #afterDeath(): Promise<TraceFile> {
    const copy = fs.mkdtempSync(join(os.tmpdir(), "reentrant-copy-"));
    try {
      fs.cpSync(this.dir, copy, { recursive: true });
      const liveness = new ScriptedLiveness();
      for (const token of this.liveness.tokens) liveness.dead.add(token);
      const report = await recoverDirectory(
        { fileSystem: nodeFileSystem, clock: this.clock, liveness },
        copy,
      );
      expect(report.failures.map(String)).toEqual([]);
      return JSON.parse(fs.readFileSync(`${copy}/${sessionId}.json`, "utf8"));
    } finally {
      fs.rmSync(copy, { recursive: true, force: true });
    }
  }
}

/** Cuts the write of the next span's end short, and fails the next write. */
export function cutNextWrite({ fileSystem }: Host): void {
  let writes = 0;
  fileSystem.write = (fd, bytes, offset, length) => {
    writes++;
    if (writes === 1) return nodeFileSystem.sync.write(fd, bytes, offset, Math.ceil(length / 2));
    fileSystem.write = nodeFileSystem.sync.write;
    throw Object.assign(new Error("ENOSPC: injected"), { code: "ENOSPC" });
  };
}

/** Attributes of a span of the SDK, one of which calls the host when it is read. */
export function withGetter(span: Span, get: () => unknown): Span {
  const { attributes } = span as unknown as ReadableSpan;
  Object.defineProperty(attributes, "late", { enumerable: true, configurable: true, get });
  return span;
}

/** A meter provider whose histograms call the host. */
export function histogramOf(record: () => void): MeterProvider {
  const instrument = { addCallback() {}, record };
  const meter = {
    createObservableCounter: () => instrument,
    createObservableUpDownCounter: () => instrument,
    createHistogram: () => instrument,
  };
  return { getMeter: () => meter } as unknown as MeterProvider;
}
