/** One session of a `Trace`: its tracer, and the documents that its exporters get. */

import { decodeDocument } from "../format/document.js";
import { narrateDocument } from "../format/summary.js";
import type { TraceFile } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import type { SpanProcessor } from "../otel/types.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { Lifecycle } from "../platform/lifecycle.js";
import type { StartTraceOptions } from "../tracer/input-types.js";
import type { ResumeFound } from "../tracer/session-lifecycle.js";
import { SessionTracer } from "../tracer/session-tracer.js";
import { lateSessionTracing } from "../tracer/session-tracing.js";
import { MemorySessionExporter, MemorySpanProcessor } from "./memory-recorder.js";
import { MAX_SERIALIZED_SPANS } from "./span-cap.js";
import {
  awaitExporter,
  awaitFlush,
  callExporter,
  ExporterWarnings,
  isLive,
  markCrashed,
  type TraceExporter,
  type TraceLogger,
} from "./trace-exporter.js";
import { type FileRecording, recordingOf } from "./trace-file-exporter.js";

const diagnostics = new Diagnostics("Trace");

/** The exporters and processors of a `Trace`. */
export interface Destination {
  readonly exporters: readonly TraceExporter[];
  /** The file exporter that records spans as the session runs. */
  readonly file: TraceExporter | undefined;
  readonly recording: FileRecording | undefined;
  /** The exporters that get whole documents. */
  readonly others: readonly TraceExporter[];
  readonly spanProcessors: readonly SpanProcessor[];
  readonly warnings: ExporterWarnings;
}

export function destinationOf(
  exporters: readonly TraceExporter[],
  spanProcessors: readonly SpanProcessor[],
  logger: TraceLogger | undefined,
): Destination {
  const file = exporters.find((exporter) => recordingOf(exporter));
  const others = exporters.filter((exporter) => exporter !== file);
  return {
    exporters,
    file,
    recording: recordingOf(file),
    others,
    spanProcessors,
    warnings: new ExporterWarnings("Trace", logger),
  };
}

/** The processor of a session without exporters. */
const nowhere: SpanProcessor = {
  onStart() {},
  onEnd() {},
  async forceFlush() {},
  async shutdown() {},
};

export class TraceSession {
  readonly #to: Destination;
  readonly #life = new Lifecycle();
  #tracer: SessionTracer;
  #memory: MemorySessionExporter | undefined;
  #end: Promise<string | undefined> | undefined;
  /** The other exporters got the final document, or are about to get it. */
  #isHandedOut = false;
  /** Pushes of the running document, one after the other. The final document comes after them. */
  #pushing: Promise<void> = Promise.resolve();
  /** The push that has not begun yet. */
  #waiting: Promise<void> | undefined;
  #isPushing = false;

  /** A session that has not started. The SDK is loaded for its first span. */
  constructor(to: Destination) {
    this.#to = to;
    this.#tracer = this.#newTracer(to.recording === undefined);
  }

  get tracer(): SessionTracer {
    return this.#tracer;
  }

  get isOpen(): boolean {
    return this.#life.isOpen;
  }

  start(sessionId: string, options: StartTraceOptions): void {
    this.tracer.startTrace(sessionId, options);
    if (this.tracer.sessionId !== undefined) this.#to.recording?.reopened(this.tracer.sessionId);
    if (this.#memory || this.#to.others.length === 0 || this.#file() !== undefined) return;
    // The directory cannot be written to: the other exporters get documents from memory.
    this.#tracer = this.#newTracer(true);
    this.tracer.startTrace(sessionId, options);
  }

  /**
   * Looks for the document of a session, and opens nothing. The function that it resolves with resumes the session
   * synchronously; `false`, and nothing changes, if that is not possible.
   */
  async find(sessionId: string): Promise<ResumeFound> {
    const resume = await SessionTracer.find(this.tracer, sessionId);
    return () => {
      const isResumed = resume();
      if (isResumed) this.#to.recording?.reopened(sessionId);
      return isResumed;
    };
  }

  /** Ends the turn, and pushes the running document to live exporters. */
  push(): Promise<void> {
    if (!this.isOpen) return Promise.resolve();
    // Before any exporter is awaited: later calls belong to the next turn.
    this.tracer.endTurn();
    const live = this.#to.others.filter(isLive);
    if (live.length === 0) return Promise.resolve();
    if (!this.#waiting) {
      // A push reads the document when it begins: one waiting push serves all calls until then.
      this.#waiting = this.#pushing.then(() => this.#push(live));
      this.#pushing = this.#waiting;
    }
    return this.#waiting;
  }

  /** Ends the session. Resolves with the first string, in the order of exporters, that an exporter resolves with. */
  end(error?: string): Promise<string | undefined> {
    if (this.#hasCrashed()) return Promise.resolve(this.tracer.getTracePath());
    this.#end ??= this.#endLater(error);
    return this.#end;
  }

  /** {@link end}, synchronous: the file is complete when it returns. Other exporters are called and not awaited. */
  endNow(): string | undefined {
    if (this.#hasCrashed()) return this.tracer.getTracePath();
    this.#life.end();
    this.tracer.finalizeSync();
    const path = this.#file();
    this.#end ??= Promise.resolve(path);
    const document = this.#isHandedOut || this.#to.others.length === 0 ? undefined : this.#documentNow();
    this.#isHandedOut = true;
    if (document) {
      const handOut = () => {
        if (this.#hasCrashed()) return;
        for (const exporter of this.#to.others) void callExporter(exporter, document, this.#to.warnings);
      };
      // A running document that is being pushed must not arrive after the final one.
      if (this.#isPushing) void this.#pushing.then(handOut);
      else handOut();
    }
    this.#memory?.forget();
    this.#life.confirmEnd();
    return path;
  }

  /** The crash fence of this session. */
  crash(error?: string): void {
    this.#life.crash();
    const { sessionId } = this.tracer;
    // First: exports that the file exporter has begun must not replace the crashed document.
    if (sessionId !== undefined && this.#to.file) markCrashed([this.#to.file], sessionId);
    this.tracer.flushSync(error);
    if (sessionId !== undefined) markCrashed(this.#to.others, sessionId);
    this.#memory?.forget();
  }

  #hasCrashed(): boolean {
    return this.#life.state === "crashed";
  }

  async #endLater(error: string | undefined): Promise<string | undefined> {
    this.#life.end();
    const isUnwritten =
      (await this.tracer.endTrace(error)) === undefined && this.tracer.getTracePath() !== undefined;
    // The next call tries again.
    if (isUnwritten) this.#end = undefined;
    const path = isUnwritten && !this.#hasCrashed() ? undefined : this.#file();
    await this.#pushing;
    if (this.#hasCrashed()) return path;
    const others = this.#isHandedOut ? [] : this.#to.others;
    this.#isHandedOut = true;
    const document = others.length > 0 ? await this.#document() : undefined;
    // The session may have crashed while the document was read.
    if (this.#hasCrashed()) return path;
    const flushes = this.#to.spanProcessors.map(awaitFlush);
    const answers = this.#to.exporters.map((exporter) => {
      if (exporter === this.#to.file) return path;
      return document && others.includes(exporter)
        ? awaitExporter(exporter, document, this.#to.warnings)
        : undefined;
    });
    const [answered] = await Promise.all([Promise.all(answers), ...flushes, this.#to.recording?.prune()]);
    this.#memory?.forget();
    this.#life.confirmEnd();
    return answered.find((answer) => typeof answer === "string" && answer !== "");
  }

  async #push(live: readonly TraceExporter[]): Promise<void> {
    this.#waiting = undefined;
    if (!this.isOpen) return;
    this.#isPushing = true;
    try {
      await this.tracer.flush();
      const document = await this.#document();
      // The session has ended meanwhile: its final document is newer.
      if (!document || !this.isOpen) return;
      const { summary } = document;
      const pushed = { ...document, summary: { ...summary, narrative: narrateDocument(document) } };
      await Promise.all(live.map((exporter) => awaitExporter(exporter, pushed, this.#to.warnings)));
    } catch {
      // The disk refused. The next push tries again.
    } finally {
      this.#isPushing = false;
    }
  }

  #newTracer(needsMemory: boolean): SessionTracer {
    const { others, spanProcessors } = this.#to;
    const processors = [...spanProcessors];
    const file = this.#fileProcessor();
    if ((needsMemory || !file) && others.length > 0) {
      this.#memory = new MemorySessionExporter(MAX_SERIALIZED_SPANS);
      processors.unshift(new MemorySpanProcessor(this.#memory));
    }
    if (file) processors.unshift(file);
    if (processors.length === 0) processors.push(nowhere);
    return lateSessionTracing({ processors }).newTracer();
  }

  #fileProcessor(): SpanProcessor | undefined {
    try {
      return this.#to.recording?.processor();
    } catch (error) {
      diagnostics.log("error", "there is no file for this session", error);
      return undefined;
    }
  }

  /** The path of the document, if the document exists. */
  #file(): string | undefined {
    const path = this.tracer.getTracePath();
    return path !== undefined && nodeFileSystem.sync.exists(path) ? path : undefined;
  }

  async #document(): Promise<TraceFile | undefined> {
    return (await this.tracer.document()) ?? this.#memory?.session?.snapshot();
  }

  /** The document of an ended session, read synchronously. */
  #documentNow(): TraceFile | undefined {
    const path = this.#file();
    if (path === undefined) return this.#memory?.session?.snapshot();
    return decodeDocument(nodeFileSystem.sync.readText(path));
  }
}
