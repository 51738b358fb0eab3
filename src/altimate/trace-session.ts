/**
 * One session of a trace: its tracer, and the documents that exporters get of it.
 */

import { decodeDocument } from "../format/document.js";
import { narrateDocument } from "../format/summary.js";
import type { TraceFile } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import type { SpanProcessor } from "../otel/types.js";
import { nodeFileSystem } from "../platform/file-system.js";
import type { StartTraceOptions } from "../tracer/input-types.js";
import type { SessionTracer } from "../tracer/session-tracer.js";
import { createSessionTracing } from "../tracer/session-tracing.js";
import { MemorySessionExporter, MemorySpanProcessor } from "./memory-recorder.js";
import { MAX_SERIALIZED_SPANS } from "./span-cap.js";
import {
  awaitExporter,
  awaitFlush,
  callExporter,
  isLive,
  markCrashed,
  type TraceExporter,
} from "./trace-exporter.js";
import { type FileRecording, recordingOf } from "./trace-file-exporter.js";

const diagnostics = new Diagnostics("Trace");

/** Where the sessions of a trace go. */
export interface Destination {
  readonly exporters: readonly TraceExporter[];
  /** The file exporter that records as the session runs, if there is one. */
  readonly file: TraceExporter | undefined;
  readonly recording: FileRecording | undefined;
  /** Exporters that get whole documents. */
  readonly others: readonly TraceExporter[];
  readonly spanProcessors: readonly SpanProcessor[];
}

export function destinationOf(
  exporters: readonly TraceExporter[],
  spanProcessors: readonly SpanProcessor[],
): Destination {
  const file = exporters.find((exporter) => recordingOf(exporter));
  const others = exporters.filter((exporter) => exporter !== file);
  return { exporters, file, recording: recordingOf(file), others, spanProcessors };
}

/** Takes spans and does nothing with them, where nobody wants any. */
const nowhere: SpanProcessor = {
  onStart() {},
  onEnd() {},
  async forceFlush() {},
  async shutdown() {},
};

/** What is being done with a session. `fenced` is final; `ended` is final but for a fence. */
type State = "open" | "ended" | "fenced";

export class TraceSession {
  readonly #to: Destination;
  #tracer: SessionTracer;
  #memory: MemorySessionExporter | undefined;
  #state: State = "open";
  #end: Promise<string | undefined> | undefined;
  /** Exporters that got, or are about to get, the final document. */
  #isHandedOut = false;
  /** Pushes of the running document, one after the other; the final one comes after them. */
  #pushing: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;
  #isPushing = false;

  /** A session that has not started. Throws when there is no SDK. */
  constructor(to: Destination) {
    this.#to = to;
    this.#tracer = this.#newTracer(to.recording === undefined);
  }

  get tracer(): SessionTracer {
    return this.#tracer;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  start(sessionId: string, options: StartTraceOptions): void {
    this.tracer.startTrace(sessionId, options);
    if (this.tracer.sessionId !== undefined) this.#to.recording?.reopened(this.tracer.sessionId);
    if (this.#memory || this.#to.others.length === 0 || this.#file() !== undefined) return;
    // A directory that cannot be written to is no reason for the other exporters to get nothing.
    this.#tracer = this.#newTracer(true);
    this.tracer.startTrace(sessionId, options);
  }

  /** `false`: there is nothing to go on with, and nothing has changed. */
  async resume(sessionId: string): Promise<boolean> {
    const isResumed = await this.tracer.rehydrateFromFile(sessionId);
    if (isResumed) this.#to.recording?.reopened(sessionId);
    return isResumed;
  }

  /** Ends the turn, and pushes the running document to the live exporters. */
  push(): Promise<void> {
    if (!this.isOpen) return Promise.resolve();
    // At once: what is logged from here on belongs to the next turn, however long an exporter takes.
    this.tracer.endTurn();
    const live = this.#to.others.filter(isLive);
    if (live.length === 0) return Promise.resolve();
    if (!this.#waiting) {
      // One that has not begun pushes what is there when it begins: enough for all who ask until then.
      this.#waiting = this.#pushing.then(() => this.#push(live));
      this.#pushing = this.#waiting;
    }
    return this.#waiting;
  }

  /** Ends the session; resolves with what the first exporter answers that answers anything. */
  end(error?: string): Promise<string | undefined> {
    if (this.#state === "fenced") return Promise.resolve(this.tracer.getTracePath());
    this.#end ??= this.#endLater(error);
    return this.#end;
  }

  /** Ends the session before it returns; the other exporters are called, and not waited for. */
  endNow(): string | undefined {
    if (this.#state === "fenced") return this.tracer.getTracePath();
    this.#state = "ended";
    this.tracer.finalizeSync();
    const path = this.#file();
    this.#end ??= Promise.resolve(path);
    const document = this.#isHandedOut || this.#to.others.length === 0 ? undefined : this.#documentNow();
    this.#isHandedOut = true;
    if (document) {
      const handOut = () => this.#to.others.forEach((exporter) => void callExporter(exporter, document));
      // An older, running document that is still on its way must not come last.
      if (this.#isPushing) void this.#pushing.then(handOut);
      else handOut();
    }
    this.#memory?.forget();
    return path;
  }

  /** The crash fence of this session. */
  fence(error?: string): void {
    this.#state = "fenced";
    const { sessionId } = this.tracer;
    // First: what the file exporter has under way must not follow.
    if (sessionId !== undefined && this.#to.file) markCrashed([this.#to.file], sessionId);
    this.tracer.flushSync(error);
    if (sessionId !== undefined) markCrashed(this.#to.others, sessionId);
    this.#memory?.forget();
  }

  async #endLater(error: string | undefined): Promise<string | undefined> {
    this.#state = "ended";
    await this.tracer.endTrace(error);
    const path = this.#file();
    await this.#pushing;
    if (this.#state !== "ended") return path;
    const others = this.#isHandedOut ? [] : this.#to.others;
    this.#isHandedOut = true;
    const document = others.length > 0 ? await this.#document() : undefined;
    // The fence may have come while the document was read.
    if (this.#state !== "ended") return path;
    const flushes = this.#to.spanProcessors.map(awaitFlush);
    const answers = this.#to.exporters.map((exporter) => {
      if (exporter === this.#to.file) return path;
      return document && others.includes(exporter) ? awaitExporter(exporter, document) : undefined;
    });
    const [answered] = await Promise.all([Promise.all(answers), ...flushes, this.#to.recording?.prune()]);
    this.#memory?.forget();
    return answered.find((answer) => typeof answer === "string" && answer !== "");
  }

  async #push(live: readonly TraceExporter[]): Promise<void> {
    this.#waiting = undefined;
    if (!this.isOpen) return;
    this.#isPushing = true;
    try {
      await this.tracer.flush();
      const document = await this.#document();
      // The end has come first: what it hands out is newer.
      if (!document || !this.isOpen) return;
      const { summary } = document;
      const pushed = { ...document, summary: { ...summary, narrative: narrateDocument(document) } };
      await Promise.all(live.map((exporter) => awaitExporter(exporter, pushed)));
    } catch {
      // The disk refused: the next push tries again.
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
    return createSessionTracing({ processors }).newTracer();
  }

  #fileProcessor(): SpanProcessor | undefined {
    try {
      return this.#to.recording?.processor();
    } catch (error) {
      diagnostics.log("error", "there is no file for this session", error);
      return undefined;
    }
  }

  /** Where its document is, if it could be written. */
  #file(): string | undefined {
    const path = this.tracer.getTracePath();
    return path !== undefined && nodeFileSystem.sync.exists(path) ? path : undefined;
  }

  async #document(): Promise<TraceFile | undefined> {
    return (await this.tracer.document()) ?? this.#memory?.session?.snapshot();
  }

  /** The same, of a session that has ended, before it returns. */
  #documentNow(): TraceFile | undefined {
    const path = this.#file();
    if (path === undefined) return this.#memory?.session?.snapshot();
    return decodeDocument(nodeFileSystem.sync.readText(path));
  }
}
