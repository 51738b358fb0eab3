/**
 * Documents of traces that ended without a session: each is written at once, few at a time, when the trace is over. Until then, and while the disk refuses the document, the spans are in the unnamed log.
 */

import {
  documentPath,
  nameCandidates,
  type SessionFiles,
  sessionSpanId,
  tempPath,
} from "../format/file-names.js";
import { underSession } from "../format/parent-places.js";
import { implicitEnd } from "../format/session-end.js";
import { allSettledOrThrow } from "../platform/async.js";
import { environment, halfOfThreadPool } from "../platform/environment.js";
import { firstTimeOf } from "../platform/epoch-time.js";
import { tryUnlink } from "../platform/file-system.js";
import { type Gensync, io, OperationCancelled, runAsync, runSync } from "../platform/gensync.js";
import { WorkQueue } from "../platform/work-queue.js";
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
  /** `committed`: the document has its name, and what is left is to sync the directory. */
  state: "queued" | "writing" | "committed" | "cancelled";
  /** The write that is to come or under way. */
  work: Promise<void> | undefined;
  /** What the document holds; empty until the write begins. */
  spans: readonly Provisional[];
  /** Path of the file that is being built. */
  temp: string;
}

export class TraceDocuments {
  readonly #directory: TraceDirectory;
  readonly #maxDocuments: number;
  readonly #events: DocumentEvents;
  /** Not the queue of publishes: a server has documents of traces in it all the time. */
  readonly #queue = new WorkQueue(halfOfThreadPool(environment())).lane();
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
    this.#waiting.set(trace, { state: "queued", work: undefined, spans: [], temp: "" });
    if (!this.#isRefused) void this.#write(trace).catch(() => {});
    this.#removeExcess();
  }

  has(trace: UnnamedTrace): boolean {
    return this.#waiting.has(trace);
  }

  /**
   * The trace goes on: its spans stay provisional, and no write that is under way gives the document its name. If the
   * document has its name already, the spans are in it when this returns.
   */
  takeBack(trace: UnnamedTrace): void {
    const waiting = this.#waiting.get(trace);
    if (!waiting) return;
    this.#stop(trace, waiting);
    this.#waiting.delete(trace);
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
    this.#writeRest();
  }

  /**
   * Writes one document, or all of them for half a second, before it returns: a write that is under way begins again. A
   * fault is reported.
   */
  writeNow(only?: UnnamedTrace): void {
    const { clock, fileSystem } = this.#directory.ports;
    const deadline = clock.monotonic() + fenceMillis;
    const chosen = [...this.#waiting].filter(([trace]) => only === undefined || trace === only);
    // First all work under way is cancelled: nothing is left of it if the process ends before the last document.
    for (const [trace, waiting] of chosen) this.#stop(trace, waiting);
    for (const [trace] of chosen) {
      if (clock.monotonic() > deadline) break;
      const waiting = this.#waiting.get(trace);
      if (waiting?.state !== "queued") continue;
      try {
        const isWritten = runSync(fileSystem, this.#document(trace, waiting));
        this.#done(trace, waiting, isWritten);
      } catch (error) {
        this.#refused(trace, waiting, error);
        return;
      }
    }
    this.#writeRest();
  }

  #writeRest(): void {
    for (const trace of this.#waiting.keys()) void this.#write(trace).catch(() => {});
  }

  #write(trace: UnnamedTrace): Promise<void> {
    const waiting = this.#waiting.get(trace);
    if (!waiting) return Promise.resolve();
    waiting.work ??= this.#queue
      .runBeside(() => this.#writeNext(trace, waiting))
      .finally(() => {
        waiting.work = undefined;
      });
    return waiting.work;
  }

  async #writeNext(trace: UnnamedTrace, waiting: Waiting): Promise<void> {
    // Taken back, written by a fence, or refused a moment ago.
    if (this.#waiting.get(trace) !== waiting || waiting.state !== "queued" || this.#isRefused) return;
    const { fileSystem } = this.#directory.ports;
    try {
      const isCancelled = () => waiting.state === "cancelled";
      const isWritten = await runAsync(fileSystem, this.#document(trace, waiting), isCancelled);
      if (this.#waiting.get(trace) === waiting) this.#done(trace, waiting, isWritten);
    } catch (error) {
      if (error instanceof OperationCancelled || isCancelledNow(waiting)) return;
      this.#refused(trace, waiting, error);
      throw error;
    }
  }

  /** Finishes a document that has its name. Any other write cannot give it its name any more, and the trace waits anew. */
  #stop(trace: UnnamedTrace, waiting: Waiting): void {
    if (waiting.state === "committed") {
      this.#syncDirectoryNow();
      this.#done(trace, waiting, true);
    }
    if (waiting.state !== "writing") return;
    waiting.state = "cancelled";
    tryUnlink(this.#directory.ports.fileSystem.sync, waiting.temp);
    this.#waiting.set(trace, { state: "queued", work: undefined, spans: [], temp: "" });
  }

  #done(trace: UnnamedTrace, { spans }: Waiting, isWritten: boolean): void {
    this.#isRefused = false;
    this.#waiting.delete(trace);
    if (isWritten) this.#events.onWritten(trace, spans);
    else this.#events.onResumed(trace, spans);
  }

  #refused(trace: UnnamedTrace, waiting: Waiting, error: unknown): void {
    waiting.state = "queued";
    this.#isRefused = true;
    this.#events.onFault(error, this.#pathOf(trace));
  }

  /** Writes the document. `false`: there is one already, which the trace resumes. */
  *#document(trace: UnnamedTrace, waiting: Waiting): Gensync<boolean> {
    const { ports, dir } = this.#directory;
    const spans = [...trace.spans()];
    const files = this.#filesOf(trace);
    this.#token ??= ports.liveness.newToken();
    const token = this.#token;
    // A new name: what is left to do of a cancelled write does not touch the file of the next one.
    waiting.temp = tempPath(files, token);
    waiting.spans = spans;
    waiting.state = "writing";
    const startTime = firstTimeOf(spans.map(({ span }) => span));
    const ids = new Set(spans.map(({ span }) => span.spanId));
    const session: WholeSession = {
      start: { id: trace.id, traceId: trace.id, startTime },
      metadata: { ...trace.metadata, ...trace.title },
      spans: spans.map(({ span }) => {
        const { parentSpanId } = span;
        if (parentSpanId !== null && ids.has(parentSpanId)) return span;
        // A parent that comes later finds the spans below it by this note.
        if (parentSpanId !== null) trace.noteBelow(parentSpanId, trace.id);
        return underSession(span, sessionSpanId(trace.id));
      }),
      end: implicitEnd,
    };
    const isWritten = yield* writeWholeDocument(ports, { files, token, temp: waiting.temp }, session);
    if (!isWritten) return false;
    // In the turn of the commit.
    waiting.state = "committed";
    if (ports.durability !== "process") yield* io.syncDirectory(dir);
    return true;
  }

  #syncDirectoryNow(): void {
    const { ports, dir } = this.#directory;
    if (ports.durability === "process") return;
    try {
      runSync(ports.fileSystem, io.syncDirectory(dir));
    } catch (error) {
      this.#events.onFault(error, dir);
    }
  }

  /** Of more documents than retention keeps, the oldest are not written: retention would remove them at once. */
  #removeExcess(): void {
    if (this.#maxDocuments === 0) return;
    for (const [trace, waiting] of this.#waiting) {
      if (this.#waiting.size <= this.#maxDocuments) return;
      if (waiting.state !== "queued") continue;
      waiting.state = "cancelled";
      this.#waiting.delete(trace);
      this.#events.onWritten(trace, [...trace.spans()]);
      this.#events.onRemoved(this.#pathOf(trace));
    }
  }

  #filesOf(trace: UnnamedTrace): SessionFiles {
    return { dir: this.#directory.dir, name: nameCandidates(trace.id)[0] as string };
  }

  #pathOf(trace: UnnamedTrace): string {
    return documentPath(this.#filesOf(trace));
  }
}

/** A fault of a write that was cancelled meanwhile is of no interest. */
const isCancelledNow = ({ state }: Waiting): boolean => state === "cancelled";
