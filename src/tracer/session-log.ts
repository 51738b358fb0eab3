/**
 * One session while it is open: turns the calls of a host into spans of turns, and passes facts of the session to its
 * recorders.
 */
import { type Attributes, type Context, type Link, SpanKind } from "@opentelemetry/api";
import type { SessionHandle } from "../exporter/session-store.js";
import { noHistory } from "../format/history.js";
import { mergeOwn } from "../format/json-value.js";
import { endMessage } from "../format/session-end.js";
import type { SessionMetadata } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import {
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID,
  ATTR_CRASH_SAFE_FILE_PARENT_SPAN_ID,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_CONVERSATION_ID,
  ATTR_SESSION_ID,
} from "../otel/semantic-conventions.js";
import type { ExactSpan } from "../projection/exact-span.js";
import { callerAttributes, metadataAttributes } from "../projection/to-attributes.js";
import { CommitQueue } from "./commit-queue.js";
import { finishOf, generationDraft, OpenGeneration, OpenGenerations } from "./generations.js";
import type { SpanStarter, SpanTarget } from "./input-types.js";
import { SessionSpan, type SpanDraft } from "./session-span.js";
import { parseToolCall, SessionTools, startedAt, toolDraft, toolRecord } from "./tool-calls.js";
import {
  type SessionTurn,
  SessionTurns,
  type TurnDescription,
  type TurnFailure,
  type TurnPorts,
} from "./turns.js";
import { copyAttributes, copyValue, finiteOr, member, textMember, toText } from "./untrusted-input.js";

const diagnostics = new Diagnostics("SessionTracer");

/** What a session is logged with. */
export type SessionLogPorts = Omit<TurnPorts, "onTurnStart">;

/** A session that starts or resumes. */
export interface LoggedSession {
  readonly id: string;
  /** The trace id of the first turn, where the ids of turns can be chosen. */
  readonly traceId: string;
  readonly metadata: SessionMetadata;
  readonly handles: readonly SessionHandle[];
  /** The session that started this one, and a link to the span that was running in it then. */
  readonly parent: { readonly sessionId: string; readonly link: Link | undefined } | undefined;
}

/** How a session ends. */
export type Closing =
  | { readonly type: "end"; readonly error: string | undefined }
  | { readonly type: "crash"; readonly reason: string };

const maxUserMessageChars = 4_000;

export class SessionLog {
  readonly id: string;
  readonly handles: readonly SessionHandle[];
  #metadata: SessionMetadata;
  readonly #tracer: SpanStarter;
  readonly #parentSessionId: string | undefined;
  readonly #turns: SessionTurns;
  readonly #generations = new OpenGenerations();
  readonly #tools: SessionTools;
  readonly #queue = new CommitQueue((span) => this.#changed(span));
  /** Attributes that the host set on the session: every turn gets them. */
  readonly #attributes: Record<string, unknown> = {};
  /** The open turn lacks some of them, and gets all at its end. */
  #hasNewAttributes = false;
  /** The prompt of a turn whose only span so far is the message with this prompt. */
  #prompt: string | undefined;
  /** The last answer of the turn. */
  #lastOutput: string | undefined;

  constructor(ports: SessionLogPorts, { id, traceId, metadata, handles, parent }: LoggedSession) {
    this.id = id;
    this.#metadata = metadata;
    this.handles = handles;
    this.#tracer = ports.tracer;
    this.#parentSessionId = parent?.sessionId;
    // One recorder has the session's document; another one may have opened the session anew.
    const histories = handles.map((handle) => handle.takeHistory());
    const history = histories.find(({ traceIds }) => traceIds.length > 0) ?? noHistory;
    this.#tools = new SessionTools(history);
    const onTurnStart = (turnTraceId: string) => {
      for (const handle of handles) handle.setTraceId(turnTraceId);
    };
    this.#turns = new SessionTurns(
      { ...ports, onTurnStart },
      { id, traceId, history, parentLink: parent?.link },
    );
    if (!parent) return;
    // Turns are not in the document: the session span names the parent session.
    const attributes = {
      [ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID]: parent.sessionId,
      ...(parent.link && { [ATTR_CRASH_SAFE_FILE_PARENT_SPAN_ID]: parent.link.context.spanId }),
    };
    for (const handle of handles) handle.update({ attributes });
  }

  get metadata(): SessionMetadata {
    return this.#metadata;
  }

  setMetadata(changes: SessionMetadata): void {
    if (Object.keys(changes).length === 0) return;
    this.#metadata = { ...this.#metadata, ...changes };
    for (const handle of this.handles) handle.update({ metadata: changes });
    this.#turns.current?.set(metadataAttributes(this.#metadata));
  }

  /** The prompt with which a session goes on is a message, which the host may log as well. */
  prompted(text: string, now: number, client: Context | undefined): void {
    this.userMessage(text, now, client);
    this.#prompt = text;
  }

  /** Ends the open turn and begins the next. */
  userMessage(text: string, now: number, client: Context | undefined): void {
    const isLogged = this.#prompt === text;
    this.#prompt = undefined;
    if (isLogged && !client) return;
    this.endTurn(now);
    const input = text.slice(0, maxUserMessageChars);
    this.#turns.open(now, input, this.#description(), client);
    if (isLogged) return;
    const cut = text.length - input.length;
    this.#instant({
      name: "user-message",
      kind: "user-message",
      startTime: now,
      endTime: now,
      status: "ok",
      input,
      ...(cut > 0 && { attributes: { cut } }),
    });
  }

  /** Begins a turn before its first span. */
  openTurn(now: number, client: Context): void {
    this.#turns.open(now, this.#metadata.prompt || undefined, this.#description(), client);
  }

  stepStart(part: unknown, now: number): void {
    const id = toText(member(part, "id") ?? "unknown");
    const messageId = textMember(part, "messageID");
    const draft = generationDraft(id, this.#metadata, this.#tools.takeResults(), now);
    const span = this.#start(undefined, draft);
    this.#generations.add(new OpenGeneration(span, id, messageId));
  }

  text(part: unknown): void {
    const given = member(part, "text");
    if (given === undefined || given === null) return;
    const text = toText(given);
    const generation = this.#generations.find(part);
    if (generation?.addText(text)) this.#changed(generation.span);
  }

  stepFinish(part: unknown, now: number): void {
    // Before the generation is looked up: a getter of the host may finish that generation.
    const finish = finishOf(part);
    const generation = this.#generations.find(part);
    if (generation) this.#finish(generation, now, finish);
  }

  toolCall(part: unknown, now: number): void {
    const reported = parseToolCall(part, now);
    if (!reported || this.#tools.hasEnded(reported)) return;
    const running = this.#tools.running(reported);
    const call = running ? startedAt(reported, running.record.startTime) : reported;
    const generation = this.#generations.find({ messageID: call.messageId });
    if (!running) generation?.addTool(call.name);
    const span = running ?? this.#start(generation?.span, toolDraft(call));
    if (running) {
      running.change(toolRecord(call));
      this.#changed(running);
    }
    if (call.isRunning) {
      this.#tools.start(call, span);
    } else {
      this.#queue.endTool(span);
      this.#tools.end(call, span);
    }
  }

  span(given: unknown, now: number): void {
    const startTime = finiteOr(member(given, "startTime"), now);
    const input = copyValue(member(given, "input"));
    const output = copyValue(member(given, "output"));
    const attributes = copyAttributes(member(given, "attributes"));
    this.#instant({
      name: toText(member(given, "name") ?? "unknown"),
      kind: "span",
      startTime,
      endTime: finiteOr(member(given, "endTime"), now),
      status: member(given, "status") === "error" ? "error" : "ok",
      ...(input !== undefined && { input }),
      ...(output !== undefined && { output }),
      ...(Object.keys(attributes).length > 0 && { attributes }),
    });
  }

  setAttributes(given: unknown, target: SpanTarget | undefined): void {
    const attributes = copyAttributes(given);
    if (Object.keys(attributes).length === 0) return;
    const { last } = this.#tools;
    const tool = last && (!last.hasEnded || this.#queue.isLast(last)) ? last : undefined;
    const generation = this.#generations.newest?.span;
    // Any other value counts as no target.
    const hasTarget = target === "tool" || target === "generation" || target === "session";
    const span = hasTarget ? { tool, generation, session: undefined }[target] : (tool ?? generation);
    if (span) {
      span.merge(attributes);
      for (const handle of this.handles) {
        if (handle.merged) handle.merged(span.ids, attributes);
        else handle.changed(span.ids.spanId);
      }
    } else if (target !== "tool" && target !== "generation") {
      mergeOwn(this.#attributes, attributes);
      this.#hasNewAttributes = true;
      for (const handle of this.handles) handle.update({ attributes });
    } else if (target === "tool" && last) {
      diagnostics.log(
        "warn",
        'setSpanAttributes("tool") came too late: the last tool span was already exported',
      );
    }
  }

  /** The context of the running tool, else of the newest open generation, else of the turn. */
  context(
    target: "tool" | "generation" | "turn" | undefined,
    callId: string | undefined,
    now: number,
  ): Context {
    const tool = callId === undefined ? this.#tools.newestRunning : this.#tools.runningAs(callId);
    const wanted = {
      tool: target === undefined || target === "tool" ? tool : undefined,
      generation: target === "turn" ? undefined : this.#generations.newest?.span,
    };
    return (wanted.tool ?? wanted.generation ?? this.#ensureTurn(now)).context;
  }

  /** Commits the spans in the queue whose generations have ended, and ends the turn. */
  endTurn(now: number, failure?: TurnFailure): void {
    this.#queue.endTurn();
    this.#prompt = undefined;
    const output = this.#lastOutput;
    this.#lastOutput = undefined;
    if (this.#hasNewAttributes) this.#turns.current?.set(callerAttributes(this.#attributes));
    this.#hasNewAttributes = false;
    this.#turns.end(now, output, failure);
  }

  /** Interrupts all open spans, and ends the turn. */
  close(closing: Closing, now: number): void {
    const cut = (kind: ExactSpan["kind"]): Partial<ExactSpan> => ({
      status: "error",
      statusMessage: closing.type === "crash" ? closing.reason : endMessage(kind),
      interrupted: true,
    });
    for (const generation of this.#generations.all()) this.#finish(generation, now, cut("generation"));
    for (const call of this.#tools.allRunning()) {
      const { startTime, tool } = call.record;
      call.change({
        endTime: now,
        ...cut("tool"),
        tool: { ...tool, durationMs: finiteOr(now - startTime, 0) },
      });
      this.#queue.endTool(call);
    }
    const message = closing.type === "crash" ? closing.reason : closing.error;
    this.endTurn(now, message ? { message, isInterrupted: closing.type === "crash" } : undefined);
  }

  #finish(generation: OpenGeneration, now: number, finish: Partial<ExactSpan>): void {
    this.#generations.remove(generation);
    generation.span.change(generation.ended(now, finish));
    this.#lastOutput = generation.output ?? this.#lastOutput;
    this.#queue.end(generation.span);
  }

  #instant(record: ExactSpan): void {
    const draft = { name: record.name, kind: SpanKind.INTERNAL, attributes: {}, record };
    this.#queue.end(this.#start(undefined, draft));
  }

  /** `parent`: `undefined` for a span directly under the turn. */
  #start(parent: SessionSpan | undefined, draft: SpanDraft): SessionSpan {
    const { name, kind, record } = draft;
    this.#prompt = undefined;
    const turn = this.#ensureTurn(record.startTime);
    // The draft is not shared: its attributes may be changed.
    const attributes: Attributes = Object.assign(draft.attributes, this.#identity());
    attributes[ATTR_CRASH_SAFE_FILE_KIND] = record.kind;
    if (!parent) attributes[ATTR_CRASH_SAFE_FILE_TURN_INDEX] = turn.index;
    const { context } = parent ?? turn;
    const opening = { tracer: this.#tracer, parent: context, name, kind, record, attributes };
    return new SessionSpan(opening, parent);
  }

  #ensureTurn(startTime: number): SessionTurn {
    return (
      this.#turns.current ??
      this.#turns.open(startTime, this.#metadata.prompt || undefined, this.#description())
    );
  }

  #description(): TurnDescription {
    const { agent } = this.#metadata;
    const attributes = {
      ...callerAttributes(this.#attributes),
      ...metadataAttributes(this.#metadata),
      ...this.#identity(),
    };
    return { agent: agent || undefined, attributes };
  }

  #identity(): Attributes {
    const identity: Attributes = { [ATTR_SESSION_ID]: this.id, [ATTR_GEN_AI_CONVERSATION_ID]: this.id };
    const { agent } = this.#metadata;
    if (agent) identity[ATTR_GEN_AI_AGENT_NAME] = agent;
    if (this.#parentSessionId !== undefined)
      identity[ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID] = this.#parentSessionId;
    return identity;
  }

  #changed(span: SessionSpan): void {
    const { spanId, traceId } = span.ids;
    for (const handle of this.handles) handle.changed(spanId, traceId);
  }
}
