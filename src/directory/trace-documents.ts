/**
 * Documents of traces that ended without a session: each is written at once, one after the other, when the trace is
 * over. Until then, and while the disk refuses the document, the spans are in the unnamed log.
 */

import { documentPath, nameCandidates } from "../format/file-names.js";
import { implicitEnd } from "../format/session-end.js";
import { placed } from "../format/unnamed-log.js";
import { allSettledOrThrow, SerialQueue } from "../platform/async.js";
import { runAsync, runSync } from "../platform/gensync.js";
import { type WholeSession, writeWholeDocument } from "../storage/trace-document.js";
import type { TraceDirectory } from "./trace-directory.js";
import type { Provisional, UnnamedTrace } from "./unnamed-trace.js";

/** A crash fence writes documents of ended traces for so long; recovery writes the rest. */
const fenceMillis = 500;

/** What happens to the spans of a trace that waits for its document. */
export interface DocumentEvents {
  /** The document has its name, or retention would remove the document at once. */
  onWritten(trace: UnnamedTrace, spans: readonly Provisional[]): void;
  /** There is a document of that name: the spans are to be added to it. */
  onResumed(trace: UnnamedTrace, spans: readonly Provisional[]): void;
  onFault(error: unknown, path: string): void;
  /** Retention would have removed the document at once. */
  onRemoved(path: string): void;
}

/** A trace that waits for its document. */
interface Waiting {
  /** The write that is to come or under way. */
  work: Promise<void> | undefined;
  /** What the document holds; absent until the write begins. */
  spans: readonly Provisional[] | undefined;
}

export class TraceDocuments {
  readonly #directory: TraceDirectory;
  readonly #maxDocuments: number;
  readonly #events: DocumentEvents;
  readonly #queue = new SerialQueue();
  /** The owner of files that are being built; absent before the first one. */
  #token: string | undefined;
  /** Oldest first. */
  readonly #waiting = new Map<UnnamedTrace, Waiting>();
  /** The file system refused the last document: the next try is made by {@link retry} or {@link flush}. */
  #isRefused = false;

  /** `maxDocuments`: documents that retention keeps; 0: all. */
  constructor(directory: TraceDirectory, maxDocuments: number, events: DocumentEvents) {
    this.#directory = directory;
    this.#maxDocuments = maxDocuments;
    this.#events = events;
  }

  /** The trace has ended: its document is written in the background. */
  add(trace: UnnamedTrace): void {
    if (this.#waiting.has(trace)) return;
    this.#waiting.set(trace, { work: undefined, spans: undefined });
    if (!this.#isRefused) void this.#write(trace).catch(() => {});
    this.#removeExcess();
  }

  has(trace: UnnamedTrace): boolean {
    return this.#waiting.has(trace);
  }

  /** The trace goes on, unless its document is being written: then the document is resumed. */
  takeBack(trace: UnnamedTrace): void {
    if (this.#waiting.get(trace)?.spans === undefined) this.#waiting.delete(trace);
  }

  /** Resolves when the documents of all traces that have ended are written. Rejects when the disk refuses one. */
  async flush(): Promise<void> {
    this.#isRefused = false;
    await allSettledOrThrow([...this.#waiting.keys()].map((trace) => this.#write(trace)));
  }

  /** Tries again what the file system refused. */
  retry(): void {
    if (!this.#isRefused) return;
    this.#isRefused = false;
    for (const trace of this.#waiting.keys()) void this.#write(trace).catch(() => {});
  }

  /** Writes one document, or all of them for half a second, before it returns. A fault is reported. */
  writeNow(only?: UnnamedTrace): void {
    const { clock, fileSystem } = this.#directory.ports;
    const deadline = clock.monotonic() + fenceMillis;
    for (const [trace, waiting] of [...this.#waiting]) {
      if ((only !== undefined && trace !== only) || waiting.spans !== undefined) continue;
      if (clock.monotonic() > deadline) return;
      const spans = this.#begin(trace, waiting);
      try {
        const isWritten = runSync(fileSystem, this.#document(trace, spans));
        this.#done(trace, spans, isWritten);
      } catch (error) {
        this.#refused(waiting, trace, error);
        return;
      }
    }
  }

  #write(trace: UnnamedTrace): Promise<void> {
    const waiting = this.#waiting.get(trace);
    if (!waiting) return Promise.resolve();
    waiting.work ??= this.#queue
      .run(() => this.#writeNext(trace, waiting))
      .finally(() => {
        waiting.work = undefined;
      });
    return waiting.work;
  }

  async #writeNext(trace: UnnamedTrace, waiting: Waiting): Promise<void> {
    // Taken back, written by a fence, or refused a moment ago.
    if (this.#waiting.get(trace) !== waiting || waiting.spans !== undefined || this.#isRefused) return;
    const spans = this.#begin(trace, waiting);
    try {
      const isWritten = await runAsync(this.#directory.ports.fileSystem, this.#document(trace, spans));
      this.#done(trace, spans, isWritten);
    } catch (error) {
      this.#refused(waiting, trace, error);
      throw error;
    }
  }

  #begin(trace: UnnamedTrace, waiting: Waiting): readonly Provisional[] {
    const spans = [...trace.spans()];
    waiting.spans = spans;
    return spans;
  }

  #done(trace: UnnamedTrace, spans: readonly Provisional[], isWritten: boolean): void {
    this.#isRefused = false;
    this.#waiting.delete(trace);
    if (isWritten) this.#events.onWritten(trace, spans);
    else this.#events.onResumed(trace, spans);
  }

  #refused(waiting: Waiting, trace: UnnamedTrace, error: unknown): void {
    waiting.spans = undefined;
    this.#isRefused = true;
    this.#events.onFault(error, this.#pathOf(trace));
  }

  #document(trace: UnnamedTrace, spans: readonly Provisional[]): ReturnType<typeof writeWholeDocument> {
    const startTime = Math.min(...spans.map(({ span }) => span.startTime));
    const session: WholeSession = {
      start: { id: trace.id, traceId: trace.id, startTime },
      metadata: trace.metadata,
      spans: spans.map(({ span }) => placed(span, trace.id, undefined)),
      end: implicitEnd,
    };
    const { ports, dir } = this.#directory;
    this.#token ??= ports.liveness.newToken();
    return writeWholeDocument(ports, dir, this.#token, session);
  }

  /** Of more documents than retention keeps, the oldest are not written: retention would remove them at once. */
  #removeExcess(): void {
    if (this.#maxDocuments === 0) return;
    for (const [trace, waiting] of this.#waiting) {
      if (this.#waiting.size <= this.#maxDocuments) return;
      if (waiting.spans !== undefined) continue;
      this.#waiting.delete(trace);
      this.#events.onWritten(trace, [...trace.spans()]);
      this.#events.onRemoved(this.#pathOf(trace));
    }
  }

  #pathOf(trace: UnnamedTrace): string {
    return documentPath({ dir: this.#directory.dir, name: nameCandidates(trace.id)[0] as string });
  }
}
