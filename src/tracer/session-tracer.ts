/**
 * The session tracer: what an agent logs becomes OpenTelemetry spans of its session.
 */
import { type Context, context, trace } from "@opentelemetry/api";
import type { SessionMetadata, TraceFile } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { tryOr } from "../platform/errors.js";
import type {
  AssistantInfo,
  CustomSpan,
  OwuiContext,
  ParentSession,
  SessionTracerPorts,
  SpanTarget,
  StartTraceOptions,
  StepFinishPart,
  StepStartPart,
  TextPart,
  ToolCallPart,
  TraceHeaders,
  UserMessageOptions,
} from "./input-types.js";
import { assistantMetadata, owuiMetadata } from "./metadata.js";
import { SessionLifecycle } from "./session-lifecycle.js";
import type { LoggedSession } from "./session-log.js";
import { clientContext, headersOf } from "./trace-context.js";
import { member, textMember, toText } from "./untrusted-input.js";

const diagnostics = new Diagnostics("SessionTracer");

/**
 * Logs one session of an agent, as OpenTelemetry spans with the GenAI conventions: one trace per turn. With a
 * `CrashSafeFileSpanExporter` among its exporters, each call's effect survives the process once the call has returned.
 *
 * No method throws or rejects, whatever it is given; what goes wrong is told through `diag`.
 */
export class SessionTracer {
  readonly #life: SessionLifecycle;

  /** For those who wire tracers themselves; `createSessionTracing` does it for everybody else. */
  constructor(ports: SessionTracerPorts) {
    this.#life = new SessionLifecycle(ports);
  }

  /** The raw id of the session, from its start on. */
  get sessionId(): string | undefined {
    return this.#life.log?.id;
  }

  /** Whether a session is open. */
  get isOpen(): boolean {
    return this.#life.isOpen;
  }

  /** Calls that came after the end of their session. */
  get dropped(): number {
    return this.#life.dropped;
  }

  /**
   * Starts a session, or goes on with the one of this id that has a document: earlier spans and its start stay, new
   * metadata win. With a file exporter the document exists when this returns. Ends a session that is open.
   */
  startTrace(sessionId: string, options: StartTraceOptions = {}): void {
    this.#life.guard("startTrace", () => {
      this.#life.start(idOf(sessionId), options, parentOf(member(options, "parent")));
    });
  }

  /**
   * Goes on with the session of this id where its document stands, counters included; what a killed process left of it
   * is recovered first. `false`, and nothing changes, when there is no usable document. Does not write by itself.
   */
  async rehydrateFromFile(sessionId: string): Promise<boolean> {
    try {
      return await this.#life.resume(idOf(sessionId));
    } catch (error) {
      diagnostics.log("error", "rehydrateFromFile failed", error);
      return false;
    }
  }

  /** What an assistant's message says of the session: model, provider, agent, variant. */
  enrichFromAssistant(info: AssistantInfo): void {
    this.#life.with("enrichFromAssistant", (log) => log.setMetadata(assistantMetadata(info, log.metadata)));
  }

  /** Metadata only; what is falsy is left as it is. */
  setTitle(title: string, prompt?: string): void {
    this.#life.with("setTitle", (log) => log.setMetadata(texts({ title, prompt })));
  }

  /** Metadata only. */
  setPrompt(prompt: string): void {
    this.#life.with("setPrompt", (log) => log.setMetadata(texts({ prompt })));
  }

  /** What a chat front end says of the session: user, model, agent. */
  applyOwuiContext(info: OwuiContext): void {
    this.#life.with("applyOwuiContext", (log) => log.setMetadata(owuiMetadata(info, log.metadata)));
  }

  /** What the user said. Begins a turn; a client's `traceparent` becomes its parent. */
  logUserMessage(text: string, options: UserMessageOptions = {}): void {
    this.#life.with("logUserMessage", (log) => {
      if (text === undefined || text === null) return;
      const message = toText(text);
      if (message !== "") log.userMessage(message, Date.now(), clientContext(options));
    });
  }

  /** A model is called. Its input is what the tools have answered since the last step. */
  logStepStart(part: StepStartPart): void {
    this.#life.with("logStepStart", (log) => log.stepStart(part, Date.now()));
  }

  /** The model said something: added to the generation's output. */
  logText(part: TextPart): void {
    this.#life.with("logText", (log) => log.text(part));
  }

  /** The model has answered. Which one: by id, else by message, else the newest that is open. */
  logStepFinish(part: StepFinishPart): void {
    this.#life.with("logStepFinish", (log) => log.stepFinish(part, Date.now()));
  }

  /** A tool runs, or has ended. A call told again is ignored. */
  logToolCall(part: ToolCallPart): void {
    this.#life.with("logToolCall", (log) => log.toolCall(part, Date.now()));
  }

  /** Anything else that took time. */
  logSpan(span: CustomSpan): void {
    this.#life.with("logSpan", (log) => log.span(span, Date.now()));
  }

  /**
   * Merges attributes into the last tool call (also after it ended), the open generation or the session; with no
   * target, into the first of these that there is.
   */
  setSpanAttributes(attributes: Readonly<Record<string, unknown>>, target?: SpanTarget): void {
    this.#life.with("setSpanAttributes", (log) => log.setAttributes(attributes, target));
  }

  /** Path of the session's document; `undefined` without a file exporter or a session. */
  getTracePath(): string | undefined {
    return this.#life.log?.recorded.find(({ path }) => path !== undefined)?.path;
  }

  /**
   * A context that holds the running tool, the open generation or the turn, and names the session: spans that start
   * in it, by whatever instrumentation, nest there. With no target, the first of these that there is.
   */
  context(target?: "tool" | "generation" | "turn", callID?: string): Context {
    let found: Context | undefined;
    if (this.isOpen)
      this.#life.with("context", (log) => {
        found = log.context(target, callID, Date.now());
      });
    return found ?? context.active();
  }

  /** Runs `fn` in {@link context}: needs a context manager, as every use of the active context does. */
  withContext<T>(fn: () => T): T {
    if (typeof fn !== "function") return undefined as T;
    return context.with(this.context(), fn);
  }

  /** W3C trace context of what runs, for outgoing requests and child processes. */
  traceHeaders(target?: "tool" | "generation" | "turn", callID?: string): TraceHeaders | undefined {
    return this.isOpen ? headersOf(this.context(target, callID)) : undefined;
  }

  /** Ends the turn: a backend gets it. The next span begins another. */
  endTurn(): void {
    if (this.isOpen) this.#life.with("endTurn", (log) => log.endTurn(Date.now()));
  }

  /** Resolves when the document equals memory. A disk that refuses is told through `diag`, and tried again. */
  async flush(): Promise<void> {
    await this.#life.settle(this.#life.log?.recorded.map((session) => session.flush()) ?? []);
  }

  /** The session's document as of the last {@link flush} or its end; `undefined` where nobody keeps one. */
  async document(): Promise<TraceFile | undefined> {
    return this.#life.log?.recorded[0]?.document();
  }

  /**
   * Ends the session: what is open ends with it, and its status is `completed`, or `error` with a message. Resolves
   * with the path when the document is written. After a crash flush it stays crashed.
   */
  async endTrace(error?: string): Promise<string | undefined> {
    const path = this.getTracePath();
    this.#life.end(messageOf(error));
    await this.#life.ended();
    return path;
  }

  /** The same before it returns. */
  finalizeSync(error?: string): string | undefined {
    this.#life.endNow(messageOf(error));
    return this.getTracePath();
  }

  /**
   * The crash fence of the session, synchronous: what is open is interrupted, and the document says `crashed` when this
   * returns, whatever was under way. Wins over an earlier end; of several reasons the last one stays.
   */
  flushSync(error?: string): void {
    this.#life.crash(messageOf(error));
  }
}

/** The session that starts one, and what runs in it now; `undefined` for anything that is no open session. */
function parentOf(given: unknown): LoggedSession["parent"] {
  const parent = given as ParentSession | undefined;
  if (member(parent, "isOpen") !== true || typeof member(parent, "context") !== "function") return undefined;
  const sessionId = textMember(parent, "sessionId");
  const context = tryOr(() => parent && trace.getSpanContext(parent.context()), undefined);
  return sessionId === undefined ? undefined : { sessionId, link: context && { context } };
}

const idOf = (sessionId: unknown): string => {
  const id = sessionId === undefined || sessionId === null ? "" : toText(sessionId);
  return id === "" ? "unknown" : id;
};

const messageOf = (error: unknown): string | undefined => (error ? toText(error) : undefined);

function texts(fields: Readonly<Record<"title" | "prompt", unknown>> | { prompt: unknown }): SessionMetadata {
  const title = textMember(fields, "title");
  const prompt = textMember(fields, "prompt");
  return { ...(title !== undefined && { title }), ...(prompt !== undefined && { prompt }) };
}
