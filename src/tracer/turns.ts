/**
 * The turns of a session, one after the other; at most one is open.
 *
 * A turn is the root of an OpenTelemetry trace, from a message of the user to the last answer. The session itself is
 * no span: a span that is open for hours reaches a backend only at its end, and never if the process is killed. Each
 * turn links to the turn before it instead.
 */
import {
  type Attributes,
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import type { SessionHistory } from "../format/history.js";
import { newTraceId, type TurnIds, turnSpanId } from "../otel/ids.js";
import {
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
} from "../otel/semantic-conventions.js";
import { setSessionId } from "../otel/session-context.js";
import { hrTimeOf } from "../otel/time.js";
import { attach, withAttachment } from "../projection/exact-span.js";
import { messageJson, unnamedError } from "../projection/to-attributes.js";
import type { SpanStarter } from "./input-types.js";

/** What turns are made with. */
export interface TurnPorts {
  readonly tracer: SpanStarter;
  /** Sets the ids of turns. Absent for a provider of the host. */
  readonly turnIds: TurnIds | undefined;
  /** Called when a turn has ended: a processor may now flush. */
  readonly onTurnEnd: () => void;
  /** Called when a turn has begun, with its trace id. */
  readonly onTurnStart: (traceId: string) => void;
}

/** The session, as a turn's span describes it. */
export interface TurnDescription {
  readonly agent: string | undefined;
  readonly attributes: Attributes;
}

/** Why a turn failed. */
export interface TurnFailure {
  readonly message: string;
  /** A crash ended the turn, not the program. */
  readonly isInterrupted: boolean;
}

export class SessionTurns {
  readonly #ports: TurnPorts;
  /** Holds the session's id for every span that starts in a turn. */
  readonly #base: Context;
  readonly #sessionId: string;
  readonly #parentLink: Link | undefined;
  #current: SessionTurn | undefined;
  #count: number;
  #last: Link | undefined;
  /** The trace id that the document has before the first turn begins. */
  #firstTraceId: string | undefined;

  constructor(
    ports: TurnPorts,
    session: { id: string; traceId: string; history: SessionHistory; parentLink: Link | undefined },
  ) {
    this.#ports = ports;
    this.#sessionId = session.id;
    this.#base = setSessionId(ROOT_CONTEXT, session.id);
    this.#parentLink = session.parentLink;
    const { traceIds } = session.history;
    this.#count = traceIds.length;
    this.#firstTraceId = this.#count === 0 ? session.traceId : undefined;
    const last = traceIds.at(-1);
    if (ports.turnIds && last && /^[0-9a-f]{32}$/.test(last))
      this.#last = { context: { traceId: last, spanId: turnSpanId(last), traceFlags: 1 } };
  }

  /** The open turn. */
  get current(): SessionTurn | undefined {
    return this.#current;
  }

  /** Begins a turn. `client`: the context of a client; its span, if it has one, becomes the parent of the turn. */
  open(
    startTime: number,
    input: string | undefined,
    { agent, attributes }: TurnDescription,
    client?: Context,
  ): SessionTurn {
    const { tracer, turnIds, onTurnStart } = this.#ports;
    const isChild = client !== undefined && trace.getSpanContext(client) !== undefined;
    if (!isChild) turnIds?.nextTurn(this.#firstTraceId ?? newTraceId());
    this.#firstTraceId = undefined;
    const turn = new SessionTurn({
      tracer,
      parent: isChild ? setSessionId(client, this.#sessionId) : this.#base,
      agent,
      index: ++this.#count,
      startTime,
      input,
      attributes,
      links: [this.#last, this.#parentLink].filter((link) => link !== undefined),
    });
    this.#current = turn;
    onTurnStart(turn.spanContext.traceId);
    return turn;
  }

  /** Ends the open turn. No effect without one. */
  end(endTime: number, output: string | undefined, failure: TurnFailure | undefined): void {
    const turn = this.#current;
    if (!turn) return;
    this.#current = undefined;
    this.#last = { context: turn.spanContext };
    turn.end(endTime, output, failure);
    this.#ports.onTurnEnd();
  }
}

interface TurnOpening extends TurnDescription {
  readonly tracer: SpanStarter;
  /** Holds the session's id, and the client's span where that is the parent. */
  readonly parent: Context;
  /** From 1. */
  readonly index: number;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** The user's message. */
  readonly input: string | undefined;
  readonly links: Link[];
}

export class SessionTurn {
  readonly index: number;
  readonly #otel: Span;
  readonly #parent: Context;
  readonly #startTime: number;

  constructor({ tracer, parent, agent, index, startTime, input, attributes, links }: TurnOpening) {
    this.index = index;
    this.#parent = parent;
    this.#startTime = startTime;
    const turn = { type: "turn" } as const;
    const options = {
      startTime: hrTimeOf(startTime),
      links,
      attributes: {
        ...attributes,
        [ATTR_GEN_AI_OPERATION_NAME]: "invoke_agent",
        [ATTR_CRASH_SAFE_FILE_KIND]: "turn",
        [ATTR_CRASH_SAFE_FILE_TURN_INDEX]: index,
        ...(input !== undefined && { [ATTR_GEN_AI_INPUT_MESSAGES]: messageJson("user", input) }),
      },
    };
    const name = agent === undefined ? "invoke_agent" : `invoke_agent ${agent}`;
    this.#otel = tracer.startSpan(name, options, withAttachment(parent, turn));
    attach(this.#otel, turn);
  }

  get spanContext(): SpanContext {
    return this.#otel.spanContext();
  }

  /** The context for spans that start in the turn. */
  get context(): Context {
    return trace.setSpan(this.#parent, this.#otel);
  }

  set(attributes: Attributes): void {
    this.#otel.setAttributes(attributes);
  }

  /** `output`: the last answer. */
  end(endTime: number, output: string | undefined, failure: TurnFailure | undefined): void {
    if (output !== undefined)
      this.#otel.setAttribute(ATTR_GEN_AI_OUTPUT_MESSAGES, messageJson("assistant", output));
    if (failure) {
      this.#otel.setAttribute(ATTR_ERROR_TYPE, unnamedError);
      if (failure.isInterrupted) this.#otel.setAttribute(ATTR_CRASH_SAFE_FILE_INTERRUPTED, true);
      this.#otel.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
    }
    this.#otel.end(hrTimeOf(Math.max(endTime, this.#startTime)));
  }
}
