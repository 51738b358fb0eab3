/**
 * altimate-code's tracer: one object for each session of an agent.
 */
import { type Context, context } from "@opentelemetry/api";
import type { TraceFile } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import type { SpanProcessor } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
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
import * as listing from "./listing.js";
import type { TraceExporter } from "./trace-exporter.js";
import { FileExporter, recordingOf } from "./trace-file-exporter.js";
import { type Destination, destinationOf, TraceSession } from "./trace-session.js";

const diagnostics = new Diagnostics("Trace");

/** How a session starts; `parent` is the session that starts this one for a subagent. */
export interface TraceStartOptions extends Omit<StartTraceOptions, "parent"> {
  /** The session that starts this one for a subagent. */
  readonly parent?: Trace | ParentSession;
}

/** Options of {@link Trace.withExporters}. */
export interface TraceOptions {
  /** Documents that are kept; the oldest beyond it go. 0: all. */
  readonly maxFiles?: number;
  /** Get every span as well: how spans are sent on, by OTLP for one. They stay the host's to shut down. */
  readonly spanProcessors?: readonly SpanProcessor[];
}

/** No method throws, whatever it is given. Before `startTrace` every log method does nothing. */
export class Trace {
  static #active: Trace | null = null;
  readonly #to: Destination;
  #session: TraceSession | undefined;

  private constructor(exporters: readonly TraceExporter[], spanProcessors: readonly SpanProcessor[]) {
    this.#to = destinationOf(exporters, spanProcessors);
  }

  /** A trace into the default directory, and to exporters of the caller's. */
  static create(extra: TraceExporter[] = []): Trace {
    return new Trace(listOf(extra, isExporter, [new FileExporter()]), []);
  }

  /**
   * A trace to these exporters. With `maxFiles` the first file exporter in the array, the caller's own, is replaced
   * by one with that limit.
   */
  static withExporters(exporters: TraceExporter[], options?: TraceOptions): Trace {
    const maxFiles: unknown = tryOr(() => options?.maxFiles, undefined);
    const spanProcessors = tryOr(() => options?.spanProcessors, undefined);
    const given = listOf(exporters, isExporter);
    const first = given.find((exporter) => recordingOf(exporter) !== undefined);
    const limited = typeof maxFiles === "number" && recordingOf(first)?.withMaxFiles(maxFiles);
    if (first && limited) {
      replace(given, first, limited);
      // A frozen array stays as it is.
      tryOr(() => replace(exporters, first, limited), undefined);
    }
    return new Trace(given, listOf(spanProcessors, isProcessor));
  }

  /** The trace that was set as the process's. */
  static get active(): Trace | null {
    return Trace.#active;
  }

  /** Sets it; `null` takes it away. */
  static setActive(trace: Trace | null): void {
    Trace.#active = trace ?? null;
  }

  /** `dir`, or where altimate-code keeps its traces. */
  static getTracesDir(dir?: string): string {
    return listing.getTracesDir(dir);
  }

  /** All readable documents of a directory, newest first. A missing directory has none, and is not created. */
  static listTraces(dir?: string): Promise<listing.TraceEntry[]> {
    return listing.listTraces(dir);
  }

  /** The same, page by page: `offset` from 0, `limit` 20 by default and 1 at least. */
  static listTracesPaginated(
    dir?: string,
    options?: { readonly offset?: number; readonly limit?: number },
  ): Promise<listing.TracePage> {
    return listing.listTracesPaginated(dir, options);
  }

  /** A session as it stands, with what its writers have recorded since; `null` when there is none that can be read. */
  static loadTrace(sessionId: string, dir?: string): Promise<TraceFile | null> {
    return listing.loadTrace(sessionId, dir);
  }

  /**
   * Begins a session, or goes on with its document; the file exists when it returns. A session that is still open
   * ends first, in its own file.
   */
  startTrace(sessionId: string, options?: TraceStartOptions): void {
    guarded("startTrace", () => {
      if (this.#session?.isOpen) this.#session.endNow();
      this.#session = new TraceSession(this.#to);
      const parent = tryOr(() => options?.parent, undefined);
      const tracer = parent instanceof Trace ? parent.#session?.tracer : parent;
      const given = (tracer === parent ? options : { ...options, parent: tracer }) as StartTraceOptions;
      this.#session.start(sessionId, given);
    });
  }

  /** What an assistant's message says of the session. */
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

  /** What a chat front end says of the session. */
  applyOwuiContext(info: OwuiContext): void {
    this.#session?.tracer.applyOwuiContext(info);
  }

  /** Logs what the user says; a new turn begins. */
  logUserMessage(text: string, options?: UserMessageOptions): void {
    this.#session?.tracer.logUserMessage(text, options);
  }

  /** A model is called. */
  logStepStart(part: StepStartPart): void {
    this.#session?.tracer.logStepStart(part);
  }

  /** The model says something. */
  logText(part: TextPart): void {
    this.#session?.tracer.logText(part);
  }

  /** The model has answered. */
  logStepFinish(part: StepFinishPart): void {
    this.#session?.tracer.logStepFinish(part);
  }

  /** A tool runs, or has ended. */
  logToolCall(part: ToolCallPart): void {
    this.#session?.tracer.logToolCall(part);
  }

  /** A span of the host's own. */
  logSpan(span: CustomSpan): void {
    this.#session?.tracer.logSpan(span);
  }

  /** Adds attributes to the last tool call, the open generation or the session: to the first that there is. */
  setSpanAttributes(attributes: Readonly<Record<string, unknown>>, target?: SpanTarget): void {
    this.#session?.tracer.setSpanAttributes(attributes, target);
  }

  /** The document's path; `undefined` without a file exporter or a session. */
  getTracePath(): string | undefined {
    return this.#session?.tracer.getTracePath();
  }

  /** A context in which spans of others nest under the running tool, the generation or the turn. */
  context(target?: "tool" | "generation" | "turn", callID?: string): Context {
    return this.#session?.tracer.context(target, callID) ?? context.active();
  }

  /** Runs `fn` in {@link context}. */
  withContext<T>(fn: () => T): T {
    if (typeof fn !== "function") return undefined as T;
    return this.#session ? this.#session.tracer.withContext(fn) : fn();
  }

  /** W3C headers for outgoing calls and child processes. */
  traceHeaders(target?: "tool" | "generation" | "turn", callID?: string): TraceHeaders | undefined {
    return this.#session?.tracer.traceHeaders(target, callID);
  }

  /** Resolves when the file equals memory. */
  async flush(): Promise<void> {
    await settled("flush", () => this.#session?.tracer.flush());
  }

  /** Ends the turn, and pushes the running document to exporters with `live: true`. Does nothing after the end. */
  async exportRemotes(): Promise<void> {
    await settled("exportRemotes", () => this.#session?.push());
  }

  /**
   * Ends the session. Resolves with the first string that is not empty which an exporter answers, in their order; the
   * file exporter's is the path. An exporter is waited for for five seconds.
   */
  async endTrace(error?: string): Promise<string | undefined> {
    return settled("endTrace", () => this.#session?.end(error));
  }

  /** The same before it returns, for the local file; other exporters are called and not waited for. */
  finalizeSync(): string | undefined {
    return guarded("finalizeSync", () => {
      const path = this.#session?.endNow();
      if (this.#session) (this.#to.file as FileExporter | undefined)?.pruneSync();
      return path;
    });
  }

  /** The crash fence: synchronous. The document says `crashed` when it returns, whatever was or is under way. */
  flushSync(error?: string): void {
    guarded("flushSync", () => this.#session?.crash(error));
  }

  /**
   * Resumes a session from its document. `false`, and nothing changes, when there is no usable document, or when another
   * session was started before the document was found.
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
      if (!resume?.()) return false;
      if (session !== present && present?.isOpen) present.endNow();
      this.#session = session;
      return true;
    });
    return isResumed === true;
  }
}

/** Those of a list that are what they must be, after `first`. */
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
