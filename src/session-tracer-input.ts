/**
 * What hosts give a session tracer: the parts of their messages, as they are. Anything else is taken too; what cannot
 * be read counts as absent.
 */
import type { Context, Tracer } from "@opentelemetry/api";
import type { SessionRecorder } from "./session-recorder.js";
import type { TurnIds } from "./turn-ids.js";

/** A session that starts another for a subagent: a `SessionTracer`. */
export interface ParentSession {
  readonly sessionId: string | undefined;
  readonly isOpen: boolean;
  /** Of what runs in it. */
  context(): Context;
}

/** How a session starts. */
export interface StartTraceOptions {
  /** Name of the session span; the session id by default. */
  readonly instance_id?: string;
  readonly title?: string;
  readonly model?: string;
  readonly providerId?: string;
  readonly agent?: string;
  readonly variant?: string;
  /** Also the input of the session span. */
  readonly prompt?: string;
  readonly userId?: string;
  readonly environment?: string;
  readonly version?: string;
  readonly tags?: readonly string[];
  /** W3C trace context of a client: the parent of the first turn. */
  readonly traceparent?: string;
  readonly tracestate?: string;
  /** The session that starts this one for a subagent: its turns link to what runs there now. */
  readonly parent?: ParentSession;
}

/** What an assistant's message says of its session. */
export interface AssistantInfo {
  readonly modelID?: string;
  readonly providerID?: string;
  readonly agent?: string;
  readonly variant?: string;
}

/** What a chat front end says of its session. */
export interface OwuiContext {
  readonly userId?: string;
  readonly modelId?: string;
  readonly agent?: string;
}

/** Where a user's message comes from. */
export interface UserMessageOptions {
  /** W3C trace context of the client that sent it: the parent of the turn. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** A model is called. */
export interface StepStartPart {
  readonly id?: string;
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
  readonly reason?: string;
  readonly cost?: number;
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
  readonly recorders: readonly SessionRecorder[];
  /** A turn has ended: what hands spans to a backend may do it now. */
  readonly onTurnEnd?: () => void;
  /** Chooses the ids of turns, where the provider is ours. */
  readonly turnIds?: TurnIds | undefined;
  /** A session has started, or goes on. */
  readonly onSessionStart?: (sessionId: string) => void;
  /** A session has ended, however. */
  readonly onSessionEnd?: (sessionId: string) => void;
}
