/**
 * What hosts give a session tracer: the parts of their messages, as they are. Anything else is taken too; what cannot
 * be read counts as absent.
 */
import type { Context, Tracer } from "@opentelemetry/api";
import type { SessionStore } from "../exporter/session-store.js";
import type { TurnIds } from "../otel/ids.js";

/** A session that starts another for a subagent: a `SessionTracer`. */
export interface ParentSession {
  /** Its raw id, from its start on. */
  readonly sessionId: string | undefined;
  /** Whether it has not ended. */
  readonly isOpen: boolean;
  /** Of what runs in it. */
  context(): Context;
}

/** How a session starts. */
export interface StartTraceOptions {
  /** Name of the session span; the session id by default. */
  readonly instance_id?: string;
  /** For people. */
  readonly title?: string;
  /** `<provider>/<model>`. */
  readonly model?: string;
  /** Of the model. */
  readonly providerId?: string;
  /** Its name, on every turn's span too. */
  readonly agent?: string;
  /** Of the model. */
  readonly variant?: string;
  /** Also the input of the session span. */
  readonly prompt?: string;
  /** Attribute `user.id`. */
  readonly userId?: string;
  /** Attribute `deployment.environment.name`. */
  readonly environment?: string;
  /** Attribute `service.version`. */
  readonly version?: string;
  /** Words to find the session by. */
  readonly tags?: readonly string[];
  /** W3C trace context of a client: the parent of the first turn. */
  readonly traceparent?: string;
  /** What belongs to it. */
  readonly tracestate?: string;
  /** The session that starts this one for a subagent: its turns link to what runs there now. */
  readonly parent?: ParentSession;
}

/** What an assistant's message says of its session. */
export interface AssistantInfo {
  /** Without its provider. */
  readonly modelID?: string;
  /** Of the model. */
  readonly providerID?: string;
  /** Taken when none is known yet. */
  readonly agent?: string;
  /** Of the model. */
  readonly variant?: string;
}

/** What a chat front end says of its session. */
export interface OwuiContext {
  /** Added to the tags as well. */
  readonly userId?: string;
  /** Added to the tags as well; the model of the session when none is known yet. */
  readonly modelId?: string;
  /** The name of the agent. */
  readonly agent?: string;
}

/** Where a user's message comes from. */
export interface UserMessageOptions {
  /** W3C trace context of the client that sent it: the parent of the turn. */
  readonly traceparent?: string;
  /** What belongs to it. */
  readonly tracestate?: string;
}

/** A model is called. */
export interface StepStartPart {
  readonly id?: string;
  /** Of the message that the answer becomes: start, texts, tools and finish may share it. */
  readonly messageID?: string;
}

/** A model says something. */
export interface TextPart {
  readonly text?: string;
  readonly id?: string;
  readonly messageID?: string;
}

/** A model has answered. */
export interface StepFinishPart {
  readonly id?: string;
  readonly messageID?: string;
  /** Why the model stopped. */
  readonly reason?: string;
  readonly cost?: number;
  /** Disjoint counts: `input` does not include cached tokens, nor `output` those of reasoning. */
  readonly tokens?: {
    readonly input?: number;
    readonly output?: number;
    readonly reasoning?: number;
    readonly cache?: { readonly read?: number; readonly write?: number };
  };
}

/** A tool call, as it stands. */
export interface ToolCallPart {
  readonly tool?: string;
  /** Told again with the same start, a call is ignored. */
  readonly callID?: string;
  readonly messageID?: string;
  readonly state: {
    /** `pending`, `running`, `error`; anything else has ended well. */
    readonly status?: string;
    readonly input?: unknown;
    readonly output?: unknown;
    readonly error?: unknown;
    /** Epoch milliseconds. */
    readonly time?: { readonly start?: number; readonly end?: number };
  };
}

/** A span of the host's own. */
export interface CustomSpan {
  readonly name: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  readonly endTime: number;
  readonly status?: "ok" | "error";
  readonly input?: unknown;
  readonly output?: unknown;
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** W3C trace context, as headers. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** What attributes are set on, or what a context holds; by default the first of these that there is. */
export type SpanTarget = "tool" | "generation" | "session";

/** What a session tracer works with. */
export interface SessionTracerPorts {
  readonly tracer: Tracer;
  /** Those who keep documents; none where spans only go to a backend. */
  readonly recorders: readonly SessionStore[];
  /** A turn has ended: what hands spans to a backend may do it now. */
  readonly onTurnEnd?: () => void;
  /** Chooses the ids of turns, where the provider is ours. */
  readonly turnIds?: TurnIds | undefined;
  /** A session has started, or goes on. */
  readonly onSessionStart?: (sessionId: string) => void;
  /** A session has ended, however. */
  readonly onSessionEnd?: (sessionId: string) => void;
}
