/**
 * The turns of a replayed session. Their roots are no spans of the document: they are made anew from what is.
 *
 * A trace is a turn's when a session tracer recorded a span in it. What hung under the session there hung under the
 * turn. In other traces of the session, made by instrumentations alone, such spans are roots and stay it.
 */
import type { Attributes } from "@opentelemetry/api";
import type { TraceSpan } from "../format/trace-file.js";
import { turnSpanId } from "../otel/ids.js";
import {
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_CONVERSATION_ID,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
  ATTR_SESSION_ID,
  SESSION_SCOPE,
} from "../otel/semantic-conventions.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { callerAttributes, messageOf, metadataAttributes } from "../projection/to-attributes.js";
import { isForeign } from "./described-span.js";
import { nothingDropped, readableSpan } from "./readable-span.js";
import { type ReplayedSession, type TurnPlace, traceIdOf } from "./replayed-span.js";

interface Turn extends TurnPlace {
  /** As a backend knows it. */
  readonly traceId: string;
  readonly previous: Turn | undefined;
  /** Which of the session's spans is the last of it, counted from 0. */
  last: number;
}

/** What the spans of a turn say of it. */
interface TurnFacts {
  /** When the user spoke. Times in epoch milliseconds. */
  asked: number | undefined;
  first: number;
  last: number;
  input: unknown;
  output: string | undefined;
  interrupted: ReadableSpan | undefined;
}

export class ReplayedTurns {
  readonly #session: ReplayedSession;
  readonly #turns = new Map<string, Turn>();
  /** Of traces that are no turn's, as far as is known: the last span. */
  readonly #others = new Map<string, number>();
  /** Of turns whose last span was not reached: only these are held, so that memory does not grow with the session. */
  readonly #facts = new Map<string, TurnFacts>();
  #newest: Turn | undefined;

  constructor(session: ReplayedSession) {
    this.#session = session;
  }

  /** First pass: learns which traces are turns, and where they end. In the order of the document. */
  survey(span: TraceSpan, position: number): void {
    const id = traceIdOf(span, this.#session);
    let turn = this.#turns.get(id);
    if (!turn && !isForeign(span)) {
      const traceId = this.#session.ids.traceId(id);
      const index = this.#turns.size + 1;
      turn = { index, traceId, spanId: turnSpanId(traceId), previous: this.#newest, last: position };
      this.#turns.set(id, turn);
      this.#others.delete(id);
      this.#newest = turn;
    }
    if (turn) turn.last = position;
    else this.#others.set(id, position);
  }

  /** The turn that a span belongs to. */
  of(span: TraceSpan): TurnPlace | undefined {
    return this.#turns.get(traceIdOf(span, this.#session));
  }

  /** Second pass: takes a span as it is sent; the root of its turn where it is the last of it. */
  pass(span: TraceSpan, sent: ReadableSpan, position: number): ReadableSpan | undefined {
    const id = traceIdOf(span, this.#session);
    const turn = this.#turns.get(id);
    if (!turn) return undefined;
    const facts = this.#facts.get(id) ?? emptyFacts();
    this.#facts.set(id, facts);
    learn(facts, span, sent);
    if (position < turn.last) return undefined;
    this.#facts.delete(id);
    return this.#root(turn, facts);
  }

  #root(turn: Turn, { asked, first, last, input, output, interrupted }: TurnFacts): ReadableSpan {
    const { id, metadata, root, resource, endedAt } = this.#session;
    // Hosts give tools the times that they like; the turn began with the question, and ended with its session at last.
    const latest = endedAt + endSlackMillis;
    const start = asked ?? Math.min(first, latest);
    const end = Math.max(start, Math.min(last, latest));
    const { agent, prompt } = metadata;
    const said = input ?? (turn.index === 1 ? prompt : undefined);
    const attributes: Attributes = {
      ...callerAttributes(root?.attributes ?? {}),
      ...metadataAttributes(metadata),
      [ATTR_SESSION_ID]: id,
      [ATTR_GEN_AI_CONVERSATION_ID]: id,
      [ATTR_GEN_AI_OPERATION_NAME]: "invoke_agent",
      [ATTR_CRASH_SAFE_FILE_KIND]: "turn",
      [ATTR_CRASH_SAFE_FILE_TURN_INDEX]: turn.index,
      ...(said !== undefined && { [ATTR_GEN_AI_INPUT_MESSAGES]: messageOf("user", said) }),
      ...(output !== undefined && { [ATTR_GEN_AI_OUTPUT_MESSAGES]: messageOf("assistant", output) }),
      ...(interrupted && { [ATTR_CRASH_SAFE_FILE_INTERRUPTED]: true, [ATTR_ERROR_TYPE]: "_OTHER" }),
    };
    const { previous } = turn;
    return readableSpan(
      {
        name: agent === undefined ? "invoke_agent" : `invoke_agent ${agent}`,
        kind: 0,
        traceId: turn.traceId,
        spanId: turn.spanId,
        parentSpanId: undefined,
        startTime: start,
        endTime: end,
        error: interrupted && { message: interrupted.status.message },
        attributes,
        events: [],
        links: previous ? [linkTo(previous)] : [],
        scope: { name: SESSION_SCOPE },
        dropped: nothingDropped,
      },
      resource,
    );
  }
}

/** The end of a dead session is known from file times, which are some milliseconds behind. */
const endSlackMillis = 1_000;

const emptyFacts = (): TurnFacts => ({
  asked: undefined,
  first: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
  input: undefined,
  output: undefined,
  interrupted: undefined,
});

function learn(facts: TurnFacts, span: TraceSpan, sent: ReadableSpan): void {
  const start = millis(sent.startTime);
  facts.first = Math.min(facts.first, start);
  facts.last = Math.max(facts.last, millis(sent.endTime));
  if (sent.attributes[ATTR_CRASH_SAFE_FILE_INTERRUPTED] === true) facts.interrupted = sent;
  if (isForeign(span)) return;
  if (span.kind === "user-message") {
    facts.asked ??= start;
    facts.input ??= span.input;
  }
  if (span.kind === "generation" && typeof span.output === "string") facts.output = span.output;
}

const linkTo = ({ traceId, spanId }: Turn) => ({
  context: { traceId, spanId, traceFlags: 1 },
  attributes: {},
  droppedAttributesCount: 0,
});
