/** altimate-code's tracer: one object per session of an agent. */
import { type Context, context } from "@opentelemetry/api";
import { Diagnostics } from "../otel/diagnostics.js";
import type { SpanProcessor } from "../otel/types.js";
import { environment } from "../platform/environment.js";
import { tryOr } from "../platform/errors.js";
import type { PathLike } from "../platform/paths.js";
import { sharedState } from "../platform/shared-state.js";
import type {
  AssistantInfo,
  CustomSpan,
  OwuiContext,
  ParentSession,
  SpanTarget,
  StartTraceOptions,
  StepFinishPart,
  StepStartPart,
  TextPart,
  ToolCallPart,
  TraceHeaders,
  UserMessageOptions,
} from "../tracer/input-types.js";
import { langfuseProcessors } from "./langfuse.js";
import {
  getTracesDir,
  listTraces,
  listTracesPaginated,
  loadTrace,
  type TraceEntry,
  type TracePage,
} from "./listing.js";
import type { TraceExporter, TraceFile, TraceLogger } from "./trace-exporter.js";
import { FileExporter, recordingOf } from "./trace-file-exporter.js";
import { type Destination, destinationOf, TraceSession } from "./trace-session.js";

const diagnostics = new Diagnostics("Trace");

/** Options of a new session. */
export interface TraceStartOptions extends Omit<StartTraceOptions, "parent"> {
  /** The session that starts this one for a subagent. */
  readonly parent?: Trace | ParentSession;
}

/** Options of {@link Trace.withExporters}. */
export interface TraceOptions {
  /** Number of documents to keep: the oldest beyond it are removed. 0 keeps all. */
  readonly maxFiles?: number;
  /** Further processors of every span, for OTLP for example. The host shuts them down. */
  readonly spanProcessors?: readonly SpanProcessor[];
  /** Receives warnings about exporters that fail or do not answer in five seconds. Default: `diag`. */
  readonly logger?: TraceLogger;
}

/** The active trace of the process. Its trace may be of another copy of this package. */
const active = sharedState<{ trace: Trace | null }>("altimate-active/1", () => ({ trace: null }));

/** The tracers of traces, by the trace: a parent may be of another copy of this package. */
const tracers = sharedState(
  "altimate-tracers/1",
  () => new WeakMap<object, () => TraceStartOptions["parent"] | undefined>(),
);

/** No method throws or rejects, whatever its arguments are. Before `startTrace`, log methods do nothing. */
export class Trace {
  readonly #to: Destination;
  #session: TraceSession | undefined;

  private constructor(
    exporters: readonly TraceExporter[],
    spanProcessors: readonly SpanProcessor[],
    options: Pick<TraceOptions, "logger"> | undefined,
  ) {
    const logger = tryOr(() => options?.logger, undefined);
    this.#to = destinationOf(exporters, spanProcessors, logger);
    tracers.set(this, () => this.#session?.tracer);
  }

  /**
   * A trace with a file exporter for the default directory, and with the exporters `extra`. Spans also go to Langfuse, by
   * OTLP, where `LANGFUSE_PUBLIC_KEY`, `LANGFUSE_SECRET_KEY` and `LANGFUSE_HOST` are all set and `DISABLE_LANGFUSE` is not
   * `1`, `true`, `yes` or `on`.
   */
  static create(extra: TraceExporter[] = [], options?: Pick<TraceOptions, "logger">): Trace {
    const exporters = listOf(extra, isExporter, [new FileExporter()]);
    return new Trace(exporters, langfuseProcessors(environment()), options);
  }

  /**
   * A trace with these exporters. With `maxFiles`, the first file exporter in the array of the caller is replaced by a
   * file exporter with that limit.
   */
  static withExporters(exporters: TraceExporter[], options?: TraceOptions): Trace {
    const maxFiles: unknown = tryOr(() => options?.maxFiles, undefined);
    const spanProcessors = tryOr(() => options?.spanProcessors, undefined);
    const given = listOf(exporters, isExporter);
    const first = given.find((exporter) => recordingOf(exporter) !== undefined);
    const limited = typeof maxFiles === "number" && recordingOf(first)?.withMaxFiles(maxFiles);
    if (first && limited) {
      replace(given, first, limited);
      // A frozen array keeps its file exporter.
      tryOr(() => replace(exporters, first, limited), undefined);
    }
    return new Trace(given, listOf(spanProcessors, isProcessor), options);
  }

  /** The active trace of the process. */
  static get active(): Trace | null {
    return active.trace;
  }

  /** Sets the active trace; `null` removes it. */
  static setActive(trace: Trace | null): void {
    active.trace = trace ?? null;
  }

  /** `dir`, or altimate-code's default directory of traces. */
  static getTracesDir(dir?: PathLike): string {
    return getTracesDir(dir);
  }

  /**
   * All readable traces in a directory, newest first. A directory that does not exist has none. Never rejects. This
   * method, {@link listTracesPaginated} and {@link loadTrace} complete the documents of dead sessions that they return, in
   * the background.
   */
  static listTraces(dir?: PathLike): Promise<TraceEntry[]> {
    return listTraces(dir);
  }

  /** A page of {@link listTraces}: `offset` from 0 (default 0), `limit` from 1 (default 20). Never rejects. */
  static listTracesPaginated(
    dir?: PathLike,
    options?: { readonly offset?: number; readonly limit?: number },
  ): Promise<TracePage> {
    return listTracesPaginated(dir, options);
  }

  /** The trace of a session, with the spans in side files; `null` without a readable one. Never rejects. */
  static loadTrace(sessionId: string | number, dir?: PathLike): Promise<TraceFile | null> {
    return loadTrace(sessionId, dir);
  }

  /**
   * Starts a session. If the session has a document, goes on there. The document exists when this returns. Ends a
   * session that is open.
   */
  startTrace(sessionId: string, options?: TraceStartOptions): void {
    guarded("startTrace", () => {
      if (this.#session?.isOpen) this.#session.endNow();
      this.#session = new TraceSession(this.#to);
      const parent = tryOr(() => options?.parent, undefined);
      const tracerOf = parent && tracers.get(parent);
      const tracer = tracerOf ? tracerOf() : parent;
      const given = (tracer === parent ? options : { ...options, parent: tracer }) as StartTraceOptions;
      this.#session.start(sessionId, given);
    });
  }

  /** Metadata from an assistant's message. */
  enrichFromAssistant(info: AssistantInfo): void {
    this.#session?.tracer.enrichFromAssistant(info);
  }

  /** Metadata only, as {@link setPrompt}. */
  setTitle(title: string, prompt?: string): void {
    this.#session?.tracer.setTitle(title, prompt);
  }

  /** Metadata only: neither the title nor the input of the session span changes. */
  setPrompt(prompt: string): void {
    this.#session?.tracer.setPrompt(prompt);
  }

  /** Metadata from a chat front end. */
  applyOwuiContext(info: OwuiContext): void {
    this.#session?.tracer.applyOwuiContext(info);
  }

  /** A message of the user. Begins a turn. */
  logUserMessage(text: string, options?: UserMessageOptions): void {
    this.#session?.tracer.logUserMessage(text, options);
  }

  /** A call of a model begins. */
  logStepStart(part: StepStartPart): void {
    this.#session?.tracer.logStepStart(part);
  }

  /** Text of the model. */
  logText(part: TextPart): void {
    this.#session?.tracer.logText(part);
  }

  /** The model has answered. */
  logStepFinish(part: StepFinishPart): void {
    this.#session?.tracer.logStepFinish(part);
  }

  /** A tool call waits, runs or has ended. */
  logToolCall(part: ToolCallPart): void {
    this.#session?.tracer.logToolCall(part);
  }

  /** Any other operation, after it has ended. */
  logSpan(span: CustomSpan): void {
    this.#session?.tracer.logSpan(span);
  }

  /** Adds attributes to the last tool call, the open generation or the session: the first of these that exists. */
  setSpanAttributes(attributes: Readonly<Record<string, unknown>>, target?: SpanTarget): void {
    this.#session?.tracer.setSpanAttributes(attributes, target);
  }

  /** Path of the document; `undefined` without a file exporter or a session. */
  getTracePath(): string | undefined {
    return this.#session?.tracer.getTracePath();
  }

  /** A context in which spans of any instrumentation nest under the running tool, the generation or the turn. */
  context(target?: "tool" | "generation" | "turn", callID?: string): Context {
    return this.#session?.tracer.context(target, callID) ?? context.active();
  }

  /** Runs `fn` in {@link context}. Returns `undefined` if `fn` is no function. */
  withContext<T>(fn: () => T): T {
    if (typeof fn !== "function") return undefined as T;
    return this.#session ? this.#session.tracer.withContext(fn) : fn();
  }

  /** The W3C trace context of {@link context}, for outgoing requests and child processes. */
  traceHeaders(target?: "tool" | "generation" | "turn", callID?: string): TraceHeaders | undefined {
    return this.#session?.tracer.traceHeaders(target, callID);
  }

  /** Resolves when the document equals memory. */
  async flush(): Promise<void> {
    await settled("flush", () => this.#session?.tracer.flush());
  }

  /** Ends the turn, and pushes the running document to exporters with `live: true`. No effect after the end. */
  async exportRemotes(): Promise<void> {
    await settled("exportRemotes", () => this.#session?.push());
  }

  /**
   * Ends the session. Resolves with the first non-empty string that an exporter resolves with, in the order of the
   * exporters; that of the file exporter is the path. Waits for each exporter for at most five seconds. While the disk
   * refuses the document, it has no path; the write is retried, and by the next call at once.
   */
  async endTrace(error?: string): Promise<string | undefined> {
    return settled("endTrace", () => this.#session?.end(error));
  }

  /** {@link endTrace}, synchronous: the document is written when it returns. Other exporters are not awaited. */
  finalizeSync(): string | undefined {
    return guarded("finalizeSync", () => {
      const path = this.#session?.endNow();
      if (this.#session) (this.#to.file as FileExporter | undefined)?.pruneSync();
      return path;
    });
  }

  /** The crash fence, synchronous: when it returns, the document has the status `crashed`, also after an end. */
  flushSync(error?: string): void {
    guarded("flushSync", () => this.#session?.crash(error));
  }

  /**
   * Resumes a session from its document. `false`, and nothing changes, when there is no usable document, or when
   * another session was started before the document was found.
   */
  async rehydrateFromFile(sessionId: string): Promise<boolean> {
    const isResumed = await settled("rehydrateFromFile", async () => {
      if (!this.#to.recording) return false;
      const before = this.#session;
      const session =
        before?.isOpen && before.tracer.sessionId === sessionId ? before : new TraceSession(this.#to);
      const resume = await session.find(sessionId);
      const present = this.#session;
      if (present !== before && present?.isOpen) return present.tracer.sessionId === sessionId;
      if (!resume()) return false;
      if (session !== present && present?.isOpen) present.endNow();
      this.#session = session;
      return true;
    });
    return isResumed === true;
  }
}

/** `first`, then the elements of `given` for which `is` returns `true`. */
function listOf<T>(given: readonly T[] | undefined, is: (one: T) => boolean, first: T[] = []): T[] {
  const fitting = tryOr(() => (given ?? []).filter((one) => tryOr(() => is(one), false)), []);
  return [...first, ...fitting];
}

function replace<T>(list: T[], one: T, by: T): void {
  list[list.indexOf(one)] = by;
}

const isExporter = (one: TraceExporter): boolean => typeof one.export === "function";

const isProcessor = (one: SpanProcessor): boolean =>
  [one.onStart, one.onEnd, one.forceFlush, one.shutdown].every((method) => typeof method === "function");

function guarded<T>(what: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    diagnostics.log("error", `${what} failed`, error);
    return undefined;
  }
}

async function settled<T>(what: string, work: () => T | PromiseLike<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    diagnostics.log("error", `${what} failed`, error);
    return undefined;
  }
}
