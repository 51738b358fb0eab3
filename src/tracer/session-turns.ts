/**
 * The turns of a session, one after the other: at most one is open.
 */
import {
  type Attributes,
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { SessionHistory } from "../format/history.js";
import { newTraceId, type TurnIds, turnSpanId } from "../otel/ids.js";
import { setSessionId } from "../otel/session-context.js";
import { SessionTurn, type TurnFailure } from "./session-turn.js";

/** What turns are made with. */
export interface TurnPorts {
  readonly tracer: Tracer;
  /** Where the provider is ours: it chooses their ids. */
  readonly turnIds: TurnIds | undefined;
  /** A turn has ended: what hands spans to a backend may do it now. */
  readonly onTurnEnd: () => void;
  /** A turn has begun, in this trace. */
  readonly onTurnStart: (traceId: string) => void;
}

/** What a turn tells of its session. */
export interface TurnFacts {
  readonly agent: string | undefined;
  readonly attributes: Attributes;
}

export class SessionTurns {
  current: SessionTurn | undefined;
  readonly #ports: TurnPorts;
  /** Names the session to everything that starts in it. */
  readonly #base: Context;
  readonly #sessionId: string;
  readonly #parentLink: Link | undefined;
  #count: number;
  #last: Link | undefined;
  /** The trace that the document names already. */
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

  /** Begins a turn; `client`: where the caller's own span is its parent. */
  open(
    startTime: number,
    input: string | undefined,
    { agent, attributes }: TurnFacts,
    client?: Context,
  ): SessionTurn {
    const { tracer, turnIds, onTurnStart } = this.#ports;
    const isChild = client !== undefined && trace.getSpanContext(client) !== undefined;
    if (!isChild) turnIds?.nextTurn(this.#firstTraceId ?? newTraceId());
    this.#firstTraceId = undefined;
    this.current = new SessionTurn({
      tracer,
      parent: isChild ? setSessionId(client, this.#sessionId) : this.#base,
      agent,
      index: ++this.#count,
      startTime,
      input,
      attributes,
      links: [this.#last, this.#parentLink].filter((link) => link !== undefined),
    });
    onTurnStart(this.current.spanContext.traceId);
    return this.current;
  }

  /** Ends the open turn, if there is one. */
  end(endTime: number, output: string | undefined, failure: TurnFailure | undefined): void {
    const turn = this.current;
    if (!turn) return;
    this.current = undefined;
    this.#last = { context: turn.spanContext };
    turn.end(endTime, output, failure);
    this.#ports.onTurnEnd();
  }
}
