/**
 * The turns of a replayed session. The document does not hold the root spans of turns: they are built from the spans of
 * their traces.
 *
 * A trace is a turn if a session tracer recorded a span in it. Spans directly under the session were directly under the
 * turn there. In traces that only instrumentations recorded, such spans were roots and remain roots.
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
import { UNSET_STATUS } from "../projection/read-span.js";
import {
  callerAttributes,
  messageJson,
  metadataAttributes,
  unnamedError,
} from "../projection/to-attributes.js";
import { isInstrumented } from "./foreign-span.js";
import {
  errorStatus,
  type ReplayedSession,
  readableSpan,
  type TurnPlace,
  traceIdOf,
} from "./replayed-span.js";

interface Turn extends TurnPlace {
  /** The trace id that a backend gets. */
  readonly traceId: string;
  readonly previous: Turn | undefined;
  /** Position of the turn's last span among the spans of the session, from 0. */
  last: number;
}

/** What the root of a turn needs from the spans of the turn. */
interface TurnSummary {
  /** Time of the user's message. Times in epoch milliseconds. */
  asked: number | undefined;
  first: number;
  last: number;
  input: unknown;
  output: string | undefined;
  interrupted: ReadableSpan | undefined;
  lastSpan: TraceSpan;
}

export class ReplayedTurns {
  readonly #session: ReplayedSession;
  readonly #turns = new Map<string, Turn>();
  /** Summaries of turns whose last span was not reached yet: memory does not grow with the session. */
  readonly #summaries = new Map<string, TurnSummary>();
  #newest: Turn | undefined;

  constructor(session: ReplayedSession) {
    this.#session = session;
  }

  /** First pass, in the order of the document: finds which traces are turns, and their last spans. */
  survey(span: TraceSpan, position: number): void {
    const id = traceIdOf(span, this.#session);
    let turn = this.#turns.get(id);
    if (!turn && !isInstrumented(span)) {
      const traceId = this.#session.ids.traceId(id);
      const index = this.#turns.size + 1;
      turn = { index, traceId, spanId: turnSpanId(traceId), previous: this.#newest, last: position };
      this.#turns.set(id, turn);
      this.#newest = turn;
    }
    if (turn) turn.last = position;
  }

  /** The turn that a span belongs to. */
  of(span: TraceSpan): TurnPlace | undefined {
    return this.#turns.get(traceIdOf(span, this.#session));
  }

  /** Second pass: adds a sent span to its turn. Returns the root of the turn if the span is its last one. */
  pass(span: TraceSpan, sent: ReadableSpan, position: number): ReadableSpan | undefined {
    const id = traceIdOf(span, this.#session);
    const turn = this.#turns.get(id);
    if (!turn) return undefined;
    const facts = this.#summaries.get(id) ?? emptySummary(span);
    this.#summaries.set(id, facts);
    learn(facts, span, sent);
    if (position < turn.last) return undefined;
    this.#summaries.delete(id);
    return this.#root(turn, facts);
  }

  #root(turn: Turn, { asked, first, last, input, output, interrupted, lastSpan }: TurnSummary): ReadableSpan {
    const { id, metadata, root, origins, endedAt } = this.#session;
    // Times of tool calls come from hosts. A turn begins with its message, and ends with its session at the latest.
    const latest = endedAt + endSlackMillis;
    const start = asked ?? Math.min(first, latest);
    const end = Math.max(start, Math.min(last, latest));
    const { agent, prompt } = metadata;
    const message = input ?? (turn.index === 1 ? prompt : undefined);
    const attributes: Attributes = {
      ...callerAttributes(root?.attributes ?? {}),
      ...metadataAttributes(metadata),
      [ATTR_SESSION_ID]: id,
      [ATTR_GEN_AI_CONVERSATION_ID]: id,
      [ATTR_GEN_AI_OPERATION_NAME]: "invoke_agent",
      [ATTR_CRASH_SAFE_FILE_KIND]: "turn",
      [ATTR_CRASH_SAFE_FILE_TURN_INDEX]: turn.index,
      ...(message !== undefined && { [ATTR_GEN_AI_INPUT_MESSAGES]: messageJson("user", message) }),
      ...(output !== undefined && { [ATTR_GEN_AI_OUTPUT_MESSAGES]: messageJson("assistant", output) }),
      ...(interrupted && { [ATTR_CRASH_SAFE_FILE_INTERRUPTED]: true, [ATTR_ERROR_TYPE]: unnamedError }),
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
        status: interrupted ? errorStatus(interrupted.status.message) : { code: UNSET_STATUS },
        attributes,
        events: [],
        links: previous ? [linkTo(previous)] : [],
        scope: { name: SESSION_SCOPE },
        dropped: { attributes: 0, events: 0, links: 0 },
      },
      origins.resource(lastSpan),
    );
  }
}

/** The end of a crashed session comes from file times, which may be some milliseconds early. */
const endSlackMillis = 1_000;

const emptySummary = (lastSpan: TraceSpan): TurnSummary => ({
  lastSpan,
  asked: undefined,
  first: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
  input: undefined,
  output: undefined,
  interrupted: undefined,
});

function learn(facts: TurnSummary, span: TraceSpan, sent: ReadableSpan): void {
  const start = millis(sent.startTime);
  facts.first = Math.min(facts.first, start);
  facts.last = Math.max(facts.last, millis(sent.endTime));
  if (sent.attributes[ATTR_CRASH_SAFE_FILE_INTERRUPTED] === true) facts.interrupted = sent;
  if (isInstrumented(span)) return;
  facts.lastSpan = span;
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
