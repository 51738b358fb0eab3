/**
 * The arguments of a session tracer's methods: parts of the messages of a host. The methods accept any other value; a
 * member that cannot be read counts as absent.
 */
import type { Context, Tracer } from "@opentelemetry/api";
import type { SessionStore } from "../exporter/session-store.js";
import type { TurnIds } from "../otel/ids.js";

/** A session that starts another session for a subagent: a `SessionTracer`. */
export interface ParentSession {
  /** The raw id; `undefined` before the first start. */
  readonly sessionId: string | undefined;
  /** Whether that session is still open. */
  readonly isOpen: boolean;
  /** A context with the running span. */
  context(): Context;
}

/** Options of a new session. */
export interface StartTraceOptions {
  /** Name of the session span; the session id by default. */
  readonly instance_id?: string;
  /** Title of the session, for people. */
  readonly title?: string;
  /** Model as `<provider>/<model>`. */
  readonly model?: string;
  /** Provider of the model. */
  readonly providerId?: string;
  /** Name of the agent, also on the span of every turn. */
  readonly agent?: string;
  /** Variant of the model. */
  readonly variant?: string;
  /** First prompt, also the input of the session span. */
  readonly prompt?: string;
  /** Attribute `user.id`. */
  readonly userId?: string;
  /** Attribute `deployment.environment.name`. */
  readonly environment?: string;
  /** Attribute `service.version`. */
  readonly version?: string;
  /** Tags to find the session by. */
  readonly tags?: readonly string[];
  /** W3C trace context of a client: the parent of the first turn. */
  readonly traceparent?: string;
  /** The `tracestate` of that client. */
  readonly tracestate?: string;
  /** The session that starts this one for a subagent: the turns link to the span that runs there now. */
  readonly parent?: ParentSession;
}

/** Metadata in an assistant's message. */
export interface AssistantInfo {
  /** Model without the provider. */
  readonly modelID?: string;
  /** Provider of the model. */
  readonly providerID?: string;
  /** Name of the agent; ignored if the session has one. */
  readonly agent?: string;
  /** Variant of the model. */
  readonly variant?: string;
}

/** Metadata from a chat front end. */
export interface OwuiContext {
  /** User: an e-mail address, which is never a tag. */
  readonly userId?: string;
  /** Model, also added to the tags, and the model of a session that has none. */
  readonly modelId?: string;
  /** Name of the agent, also added to the tags if there is a model. */
  readonly agent?: string;
}

/** Options of a user's message. */
export interface UserMessageOptions {
  /** W3C trace context of the client that sent the message: the parent of the turn. */
  readonly traceparent?: string;
  /** The `tracestate` of that client. */
  readonly tracestate?: string;
}

/** A call of a model begins. */
export interface StepStartPart {
  /** Id of the generation, which its texts and its finish may repeat. */
  readonly id?: string;
  /** Id of the message with the answer, which texts, tool calls and finish may repeat. */
  readonly messageID?: string;
}

/** Text of a model. */
export interface TextPart {
  /** What the model wrote. */
  readonly text?: string;
  /** The id of the step. */
  readonly id?: string;
  /** The message that the text belongs to. */
  readonly messageID?: string;
}

/** A model has answered. */
export interface StepFinishPart {
  /** The id of the step. */
  readonly id?: string;
  /** The message that the step belongs to. */
  readonly messageID?: string;
  /** Why the model stopped. */
  readonly reason?: string;
  /** In the currency of the program. */
  readonly cost?: number;
  /** Disjoint counts: `input` excludes cached tokens, and `output` excludes tokens of reasoning. */
  readonly tokens?: {
    readonly input?: number;
    readonly output?: number;
    readonly reasoning?: number;
    readonly cache?: { readonly read?: number; readonly write?: number };
  };
}

/** The state of a tool call. */
export interface ToolCallPart {
  /** Name of the tool. */
  readonly tool?: string;
  /** Id of the call. A repeated report of an ended call, of the same tool and with the same start, is ignored. */
  readonly callID?: string;
  /** The message that asked for the call. */
  readonly messageID?: string;
  /** How far the call is, and what it was given and returned. */
  readonly state: {
    /** `pending`, `running` or `error`; any other value: the call has succeeded. */
    readonly status?: string;
    readonly input?: unknown;
    readonly output?: unknown;
    readonly error?: unknown;
    /** Epoch milliseconds. */
    readonly time?: { readonly start?: number; readonly end?: number };
  };
}

/** An operation of the host that has ended. */
export interface CustomSpan {
  /** The name of the operation. */
  readonly name: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** Epoch milliseconds. */
  readonly endTime: number;
  /** `error` if the operation failed. */
  readonly status?: "ok" | "error";
  /** What the operation was given. */
  readonly input?: unknown;
  /** What the operation returned. */
  readonly output?: unknown;
  /** Any other attributes. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** W3C trace context, as headers. */
export interface TraceHeaders {
  /** The header of that name (W3C Trace Context). */
  readonly traceparent: string;
  /** The header of that name (W3C Trace Context). */
  readonly tracestate?: string;
}

/** Target of attributes. The default is the first of these that exists. */
export type SpanTarget = "tool" | "generation" | "session";

/** The part of a tracer of OpenTelemetry that a session tracer uses. */
export type SpanStarter = Pick<Tracer, "startSpan">;

/** Ports of a session tracer. */
export interface SessionTracerPorts {
  /** The tracer of the SDK that makes the spans. */
  readonly tracer: SpanStarter;
  /** Stores of documents; empty where spans only go to a backend. */
  readonly recorders: readonly SessionStore[];
  /** A turn has ended: its spans may be sent to a backend. */
  readonly onTurnEnd?: () => void;
  /** Sets the ids of turns. Absent for a provider of the host. */
  readonly turnIds?: TurnIds | undefined;
  /** A session has started or resumed. */
  readonly onSessionStart?: (sessionId: string) => void;
  /** A session has ended or crashed. */
  readonly onSessionEnd?: (sessionId: string) => void;
}
