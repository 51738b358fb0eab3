/** The session tracer: turns the calls of an agent into OpenTelemetry spans of a session. */
import { type Context, context, trace } from "@opentelemetry/api";
import type { SessionMetadata, TraceFile } from "../format/trace-file.js";
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
import { type ResumeFound, SessionLifecycle } from "./session-lifecycle.js";
import type { LoggedSession } from "./session-log.js";
import { clientContext, headersOf } from "./trace-context.js";
import { member, sessionIdOf, textMember, toText } from "./untrusted-input.js";

/**
 * Logs one session of an agent as OpenTelemetry spans of the GenAI conventions, one trace per turn. With a
 * `CrashSafeFileSpanExporter` among the exporters, the effect of a call survives the process once it has returned.
 *
 * No method throws or rejects, whatever its arguments are. Errors are logged through `diag`.
 */
export class SessionTracer {
  readonly #life: SessionLifecycle;

  /** `createSessionTracing` makes tracers with all ports. This constructor is for other providers and recorders. */
  constructor(ports: SessionTracerPorts) {
    this.#life = new SessionLifecycle(ports);
  }

  /** The raw id of the present session, or of the last one. */
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
   * Starts a session. If the session has a document, goes on there: earlier spans and the start stay, new metadata win.
   * With a file exporter the document exists when this returns. Ends a session that is open.
   */
  startTrace(sessionId: string, options: StartTraceOptions = {}): void {
    this.#life.guard("startTrace", () => {
      this.#life.start(sessionIdOf(sessionId), options, parentOf(member(options, "parent")));
    });
  }

  /**
   * Resumes the session where its document stands, counters included; spans that a killed process left are recovered
   * first. `false`, and nothing changes, when the session has no usable document, or when another session was started
   * before the document was found. Does not change the document by itself; a recorder without a document of the
   * session creates one if another recorder has one.
   */
  async rehydrateFromFile(sessionId: string): Promise<boolean> {
    const resume = await SessionTracer.find(this, sessionId);
    return resume();
  }

  /**
   * @internal The first half of {@link rehydrateFromFile}: looks for the session and opens nothing. The function that it
   * resolves with resumes the session synchronously, and returns what `rehydrateFromFile` resolves with.
   */
  static async find(tracer: SessionTracer, sessionId: string): Promise<ResumeFound> {
    const life = tracer.#life;
    try {
      return await life.find(sessionIdOf(sessionId));
    } catch (error) {
      life.failed("rehydrateFromFile", error);
      return () => false;
    }
  }

  /** Metadata from an assistant's message: model, provider, agent, variant. */
  enrichFromAssistant(info: AssistantInfo): void {
    this.#life.with("enrichFromAssistant", (log) => log.setMetadata(assistantMetadata(info, log.metadata)));
  }

  /** Metadata only. A falsy value changes nothing. */
  setTitle(title: string, prompt?: string): void {
    this.#life.with("setTitle", (log) => log.setMetadata(texts({ title, prompt })));
  }

  /** Metadata only. */
  setPrompt(prompt: string): void {
    this.#life.with("setPrompt", (log) => log.setMetadata(texts({ prompt })));
  }

  /** Metadata from a chat front end: user, model, agent. */
  applyOwuiContext(info: OwuiContext): void {
    this.#life.with("applyOwuiContext", (log) => log.setMetadata(owuiMetadata(info, log.metadata)));
  }

  /** A message of the user. Begins a turn; the `traceparent` of a client becomes the parent of the turn. */
  logUserMessage(text: string, options: UserMessageOptions = {}): void {
    this.#life.with("logUserMessage", (log) => {
      if (text === undefined || text === null) return;
      const message = toText(text);
      if (message !== "") log.userMessage(message, Date.now(), clientContext(options));
    });
  }

  /** A model is called. The input of the generation is the results of tools since the last step. */
  logStepStart(part: StepStartPart): void {
    this.#life.with("logStepStart", (log) => log.stepStart(part, Date.now()));
  }

  /** Text of the model, appended to the output of the generation. */
  logText(part: TextPart): void {
    this.#life.with("logText", (log) => log.text(part));
  }

  /** The model has answered. The generation is found by id, else by message, else the newest open one is taken. */
  logStepFinish(part: StepFinishPart): void {
    this.#life.with("logStepFinish", (log) => log.stepFinish(part, Date.now()));
  }

  /** A tool call waits, runs or has ended. A repeated report of an ended call is ignored. */
  logToolCall(part: ToolCallPart): void {
    this.#life.with("logToolCall", (log) => log.toolCall(part, Date.now()));
  }

  /** Any other operation, after it has ended. */
  logSpan(span: CustomSpan): void {
    this.#life.with("logSpan", (log) => log.span(span, Date.now()));
  }

  /**
   * Merges attributes into the last tool call (also after its end, until its span is exported), the newest open
   * generation or the session. Without a target, the first of these that exists.
   */
  setSpanAttributes(attributes: Readonly<Record<string, unknown>>, target?: SpanTarget): void {
    this.#life.with("setSpanAttributes", (log) => log.setAttributes(attributes, target));
  }

  /** Path of the session's document; `undefined` without a file exporter or a session. */
  getTracePath(): string | undefined {
    return this.#life.log?.handles.find(({ path }) => path !== undefined)?.path;
  }

  /**
   * A context with the running tool, the open generation or the turn as its span, and with the session's id: spans of
   * any instrumentation that start in it nest there. Without a target, the first of these that exists. Without an open
   * session, the active context.
   */
  context(target?: "tool" | "generation" | "turn", callID?: string): Context {
    let found: Context | undefined;
    if (this.isOpen)
      this.#life.with("context", (log) => {
        found = log.context(target, callID, Date.now());
      });
    return found ?? context.active();
  }

  /** Runs `fn` in {@link context}. Needs a global context manager. Returns `undefined` if `fn` is no function. */
  withContext<T>(fn: () => T): T {
    if (typeof fn !== "function") return undefined as T;
    return context.with(this.context(), fn);
  }

  /** The W3C trace context of {@link context}, for outgoing requests and child processes. */
  traceHeaders(target?: "tool" | "generation" | "turn", callID?: string): TraceHeaders | undefined {
    return this.isOpen ? tryOr(() => headersOf(this.context(target, callID)), undefined) : undefined;
  }

  /** Ends the turn, which is sent to backends. The next span begins a new turn. */
  endTurn(): void {
    if (this.isOpen) this.#life.with("endTurn", (log) => log.endTurn(Date.now()));
  }

  /** Resolves when the document equals memory. If the disk refuses, logs through `diag`; the write is retried. */
  async flush(): Promise<void> {
    await this.#life.settle(this.#life.log?.handles.map(async (handle) => handle.flush()) ?? []);
  }

  /** The document as of the last {@link flush} or the end; `undefined` if there is none, or it cannot be read. */
  async document(): Promise<TraceFile | undefined> {
    try {
      return await this.#life.log?.handles[0]?.document();
    } catch (error) {
      this.#life.failed("document", error);
      return undefined;
    }
  }

  /**
   * Ends the session and its open spans. The status is `completed`, or `error` if there is a message. Resolves with the
   * path when the document is written; with `undefined` when that fails: the write is retried, and by the next call at
   * once. A session that has crashed stays crashed.
   */
  async endTrace(error?: string): Promise<string | undefined> {
    const path = this.getTracePath();
    this.#life.end(errorText(error));
    return (await this.#life.ended()) ? path : undefined;
  }

  /** @internal {@link endTrace} of a session that no call ended: all sessions are shut down. */
  static async shutDown(tracer: SessionTracer): Promise<void> {
    const life = tracer.#life;
    life.end(undefined, true);
    await life.ended();
  }

  /** {@link endTrace}, synchronous: the document is written when it returns. */
  finalizeSync(error?: string): string | undefined {
    this.#life.endNow(errorText(error));
    return this.getTracePath();
  }

  /**
   * The crash fence of the session, synchronous: when it returns, open spans are interrupted and the document has the
   * status `crashed`, also if the session had ended. The reason of the last call stays.
   */
  flushSync(error?: string): void {
    this.#life.crash(errorText(error));
  }
}

/** The parent session and a link to the span that runs in it; `undefined` for a value that is no open session. */
function parentOf(given: unknown): LoggedSession["parent"] {
  const parent = given as ParentSession | undefined;
  if (member(parent, "isOpen") !== true || typeof member(parent, "context") !== "function") return undefined;
  const sessionId = textMember(parent, "sessionId");
  const context = tryOr(() => parent && trace.getSpanContext(parent.context()), undefined);
  return sessionId === undefined ? undefined : { sessionId, link: context && { context } };
}

/** The error as text; `undefined` for a falsy one. */
const errorText = (error: unknown): string | undefined => (error ? toText(error) : undefined);

function texts(fields: Readonly<Record<"title" | "prompt", unknown>> | { prompt: unknown }): SessionMetadata {
  const title = textMember(fields, "title");
  const prompt = textMember(fields, "prompt");
  return { ...(title !== undefined && { title }), ...(prompt !== undefined && { prompt }) };
}
