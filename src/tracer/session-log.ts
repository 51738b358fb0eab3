/**
 * One open session of a tracer: what is logged becomes spans of its turns, and facts for the keepers of documents.
 */
import { type Attributes, type Context, type Link, SpanKind, type Tracer } from "@opentelemetry/api";
import type { RecordedSession } from "../exporter/session-recorder.js";
import { noHistory } from "../format/history.js";
import type { SessionMetadata } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_CONVERSATION_ID,
  ATTR_SESSION_ID,
} from "../otel/semantic-conventions.js";
import { report } from "../processor/span-loss.js";
import type { SpanRecord } from "../projection/attached-record.js";
import { callerAttributes } from "../projection/to-attributes.js";
import { CommitQueue } from "./commit-queue.js";
import { finishOf, generationDraft, OpenGeneration, OpenGenerations } from "./generations.js";
import type { SpanTarget } from "./input-types.js";
import { metadataAttributes } from "./metadata.js";
import { SessionSpan, type SpanDraft } from "./session-span.js";
import { SessionTools } from "./session-tools.js";
import type { SessionTurn, TurnFailure } from "./session-turn.js";
import { SessionTurns, type TurnFacts, type TurnPorts } from "./session-turns.js";
import { readToolCall, sinceStart, summaryOf, toolDraft, toolRecord } from "./tool-call.js";
import { copyAttributes, copyValue, finiteOr, member, textMember, textOf } from "./untrusted-input.js";

/** What a session is logged with. */
export type SessionLogPorts = Omit<TurnPorts, "onTurnStart">;

/** A session that starts, or goes on. */
export interface LoggedSession {
  readonly id: string;
  /** Of the first turn, where that can be chosen. */
  readonly traceId: string;
  readonly metadata: SessionMetadata;
  readonly recorded: readonly RecordedSession[];
  /** The session that started this one, and what ran in it then. */
  readonly parent: { readonly sessionId: string; readonly link: Link | undefined } | undefined;
}

/** How all that is open ends. */
export type Closing =
  | { readonly type: "end"; readonly error: string | undefined }
  | { readonly type: "crash"; readonly reason: string };

const maxUserMessageChars = 4_000;

export class SessionLog {
  readonly id: string;
  readonly recorded: readonly RecordedSession[];
  metadata: SessionMetadata;
  readonly #tracer: Tracer;
  readonly #parentSessionId: string | undefined;
  readonly #turns: SessionTurns;
  readonly #generations = new OpenGenerations();
  readonly #tools: SessionTools;
  readonly #queue = new CommitQueue((span) => this.#changed(span));
  /** Set on the session: every turn has them. */
  #attributes: Record<string, unknown> = {};
  /** The last answer of the turn. */
  #lastOutput: string | undefined;

  constructor(ports: SessionLogPorts, { id, traceId, metadata, recorded, parent }: LoggedSession) {
    this.id = id;
    this.metadata = metadata;
    this.recorded = recorded;
    this.#tracer = ports.tracer;
    this.#parentSessionId = parent?.sessionId;
    const history = recorded[0]?.takeHistory() ?? noHistory;
    this.#tools = new SessionTools(history);
    const onTurnStart = (turnTraceId: string) => {
      for (const session of recorded) session.setTraceId(turnTraceId);
    };
    this.#turns = new SessionTurns(
      { ...ports, onTurnStart },
      { id, traceId, history, parentLink: parent?.link },
    );
  }

  setMetadata(changes: SessionMetadata): void {
    if (Object.keys(changes).length === 0) return;
    this.metadata = { ...this.metadata, ...changes };
    for (const session of this.recorded) session.update({ metadata: changes });
    this.#turns.current?.set(metadataAttributes(this.metadata));
  }

  /** Begins a turn. */
  userMessage(text: string, now: number, client: Context | undefined): void {
    this.endTurn(now);
    const input = text.slice(0, maxUserMessageChars);
    this.#turns.open(now, input, this.#facts(), client);
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

  /** Begins a turn before anything is logged in it. */
  openTurn(now: number, client: Context): void {
    this.#turns.open(now, this.metadata.prompt, this.#facts(), client);
  }

  stepStart(part: unknown, now: number): void {
    const id = textOf(member(part, "id") ?? "unknown");
    const messageId = textMember(part, "messageID");
    const draft = generationDraft(id, this.metadata, this.#tools.takeResults(), now);
    const span = this.#start(undefined, draft);
    this.#generations.add(new OpenGeneration(span, id, messageId));
  }

  text(part: unknown): void {
    const given = member(part, "text");
    if (given === undefined || given === null) return;
    const text = textOf(given);
    const generation = this.#generations.find(part);
    if (generation?.addText(text)) this.#changed(generation.span);
  }

  stepFinish(part: unknown, now: number): void {
    // First: a getter of the host may finish a step.
    const finish = finishOf(part);
    const generation = this.#generations.find(part);
    if (generation) this.#finish(generation, now, finish);
  }

  toolCall(part: unknown, now: number): void {
    const told = readToolCall(part, now);
    if (!told || this.#tools.isKnown(told)) return;
    const running = this.#tools.running(told.callId);
    const call = running ? sinceStart(told, running.record.startTime) : told;
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
      this.#queue.hold(span);
      this.#tools.end(call, span, summaryOf(call));
    }
  }

  span(given: unknown, now: number): void {
    const startTime = finiteOr(member(given, "startTime"), now);
    const input = copyValue(member(given, "input"));
    const output = copyValue(member(given, "output"));
    const attributes = copyAttributes(member(given, "attributes"));
    this.#instant({
      name: textOf(member(given, "name") ?? "unknown"),
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
    // Once it is handed out, nothing reaches it any more.
    const tool = last && (last.record.endTime === undefined || this.#queue.has(last)) ? last : undefined;
    const generation = this.#generations.newest?.span;
    // Anything else is no target.
    const isOne = target === "tool" || target === "generation" || target === "session";
    const span = isOne ? { tool, generation, session: undefined }[target] : (tool ?? generation);
    if (span) {
      span.change({ attributes: { ...span.record.attributes, ...attributes } });
      this.#changed(span);
    } else if (target !== "tool" && target !== "generation") {
      this.#attributes = { ...this.#attributes, ...attributes };
      for (const session of this.recorded) session.update({ attributes });
      this.#turns.current?.set(callerAttributes(this.#attributes));
    } else if (target === "tool" && last) {
      report("warn", "dropped attributes: the last tool call was handed out before they came");
    }
  }

  /** The context of what runs: a tool, else a generation, else the turn. */
  context(
    target: "tool" | "generation" | "turn" | undefined,
    callId: string | undefined,
    now: number,
  ): Context {
    const tool = callId === undefined ? this.#tools.newestRunning : this.#tools.running(callId);
    const wanted = {
      tool: target === undefined || target === "tool" ? tool : undefined,
      generation: target === "turn" ? undefined : this.#generations.newest?.span,
    };
    return (wanted.tool ?? wanted.generation ?? this.#ensureTurn(now)).context;
  }

  /** Hands out what waits, and ends the turn. */
  endTurn(now: number, failure?: TurnFailure): void {
    this.#queue.flush();
    const output = this.#lastOutput;
    this.#lastOutput = undefined;
    this.#turns.end(now, output, failure);
  }

  /** Ends all that is open. */
  close(closing: Closing, now: number): void {
    const isInterrupted = closing.type === "crash";
    const how: Partial<SpanRecord> = isInterrupted
      ? { status: "error", statusMessage: closing.reason, interrupted: true }
      : {};
    for (const tool of this.#tools.allRunning()) {
      const { startTime, tool: known } = tool.record;
      tool.change({ endTime: now, ...how, tool: { ...known, durationMs: finiteOr(now - startTime, 0) } });
      this.#queue.flush();
      tool.commit();
    }
    for (const generation of this.#generations.all()) this.#finish(generation, now, how);
    const message = closing.type === "crash" ? closing.reason : closing.error;
    this.endTurn(now, message ? { message, isInterrupted } : undefined);
  }

  #finish(generation: OpenGeneration, now: number, finish: Partial<SpanRecord>): void {
    this.#generations.remove(generation);
    generation.span.change(generation.ended(now, finish));
    this.#lastOutput = generation.output ?? this.#lastOutput;
    this.#queue.end(generation.span);
  }

  #instant(record: SpanRecord): void {
    const draft = { name: record.name, kind: SpanKind.INTERNAL, attributes: {}, record };
    this.#queue.end(this.#start(undefined, draft));
  }

  /** `parent`: absent for what stands directly under the turn. */
  #start(parent: SessionSpan | undefined, draft: SpanDraft): SessionSpan {
    const { name, kind, record } = draft;
    const turn = this.#ensureTurn(record.startTime);
    // The draft is ours: what its session says goes on the same object.
    const attributes: Attributes = Object.assign(draft.attributes, this.#identity());
    attributes[ATTR_CRASH_SAFE_FILE_KIND] = record.kind;
    if (!parent) attributes[ATTR_CRASH_SAFE_FILE_TURN_INDEX] = turn.index;
    const { context } = parent ?? turn;
    return new SessionSpan({ tracer: this.#tracer, parent: context, name, kind, record, attributes });
  }

  #ensureTurn(startTime: number): SessionTurn {
    return this.#turns.current ?? this.#turns.open(startTime, this.metadata.prompt, this.#facts());
  }

  #facts(): TurnFacts {
    const { agent } = this.metadata;
    const attributes = {
      ...callerAttributes(this.#attributes),
      ...metadataAttributes(this.metadata),
      ...this.#identity(),
    };
    return { agent, attributes };
  }

  #identity(): Attributes {
    const identity: Attributes = { [ATTR_SESSION_ID]: this.id, [ATTR_GEN_AI_CONVERSATION_ID]: this.id };
    const { agent } = this.metadata;
    if (agent !== undefined) identity[ATTR_GEN_AI_AGENT_NAME] = agent;
    if (this.#parentSessionId !== undefined)
      identity[ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID] = this.#parentSessionId;
    return identity;
  }

  #changed(span: SessionSpan): void {
    for (const session of this.recorded) session.changed(span.spanId);
  }
}
