/**
 * One turn of a session: the root of an OpenTelemetry trace, from what the user says to the last answer to it.
 *
 * A span that is open for hours reaches a backend only at its end, and never when the process is killed. So the
 * session is no OpenTelemetry span; its turns are, each linked to the one before.
 */
import {
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanContext,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import {
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
} from "../otel/semantic-conventions.js";
import { attach, withAttachment } from "../projection/attached-record.js";
import { messageOf } from "../projection/to-attributes.js";
import { hrTimeOf } from "./session-span.js";

/** What a turn begins with. */
export interface TurnOpening {
  readonly tracer: Tracer;
  /** Holds the session, and a client's span where that is the parent. */
  readonly parent: Context;
  readonly agent: string | undefined;
  /** From 1. */
  readonly index: number;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** What the user said. */
  readonly input: string | undefined;
  readonly attributes: Attributes;
  readonly links: Link[];
}

/** Why a turn ended before its time. */
export interface TurnFailure {
  readonly message: string;
  /** By a crash, not by the program. */
  readonly isInterrupted: boolean;
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
        ...(input !== undefined && { [ATTR_GEN_AI_INPUT_MESSAGES]: messageOf("user", input) }),
      },
    };
    const name = agent === undefined ? "invoke_agent" : `invoke_agent ${agent}`;
    this.#otel = tracer.startSpan(name, options, withAttachment(parent, turn));
    attach(this.#otel, turn);
  }

  get spanContext(): SpanContext {
    return this.#otel.spanContext();
  }

  /** For what runs in it. */
  get context(): Context {
    return trace.setSpan(this.#parent, this.#otel);
  }

  /** Something of the session as a whole became known. */
  set(attributes: Attributes): void {
    this.#otel.setAttributes(attributes);
  }

  /** `output`: the last answer. */
  end(endTime: number, output: string | undefined, failure: TurnFailure | undefined): void {
    if (output !== undefined)
      this.#otel.setAttribute(ATTR_GEN_AI_OUTPUT_MESSAGES, messageOf("assistant", output));
    if (failure) {
      this.#otel.setAttribute(ATTR_ERROR_TYPE, "_OTHER");
      if (failure.isInterrupted) this.#otel.setAttribute(ATTR_CRASH_SAFE_FILE_INTERRUPTED, true);
      this.#otel.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
    }
    this.#otel.end(hrTimeOf(Math.max(endTime, this.#startTime)));
  }
}
