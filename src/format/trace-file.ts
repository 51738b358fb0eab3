/**
 * The trace document, version 2: what `<sessionId>.json` holds.
 *
 * Times are epoch milliseconds in spans and ISO 8601 strings in the document. Members that are
 * `undefined` are absent from the file.
 */

/** What a session is doing, or how it ended. `crashed` outranks `error`, which outranks `completed`. */
export type SessionStatus = "running" | "completed" | "error" | "crashed";

/** What a span stands for. `session` is the root: a document has exactly one. */
export type SpanKind = "session" | "generation" | "tool" | "text" | "user-message" | "span";

/** Five disjoint counts. Unlike the GenAI conventions, `input` does not include cached tokens. */
export interface TokenCounts {
  input: number;
  output: number;
  reasoning: number;
  cacheRead: number;
  cacheWrite: number;
}

/** The counts of one generation, with their sum. */
export interface TokenUsage extends TokenCounts {
  total: number;
}

/** The model that answered a generation. */
export interface SpanModel {
  modelId?: string;
  providerId?: string;
  variant?: string;
}

/** One span of a session. Children may come before their parents: order is order of completion. */
export interface TraceSpan {
  /** 16 hex digits for OpenTelemetry spans; any string in documents of other writers. */
  spanId: string;
  /** `null` only for the session span. */
  parentSpanId: string | null;
  name: string;
  kind: SpanKind;
  /** Epoch milliseconds. */
  startTime: number;
  /** Epoch milliseconds; absent while the span is open. */
  endTime?: number;
  status: "ok" | "error";
  /** What went wrong. */
  statusMessage?: string;
  /** Closed by a crash, by recovery or by a resume, not by the program. Not a failure of the tool or model. */
  interrupted?: true;
  model?: SpanModel;
  /** Why the model stopped, in its own word. */
  finishReason?: string;
  /** In the currency of whoever counts; dollars by custom. */
  cost?: number;
  tokens?: TokenUsage;
  tool?: { callId?: string; durationMs?: number };
  input?: unknown;
  output?: unknown;
  /** What no member stands for. */
  attributes?: Record<string, unknown>;
  /** Only where it differs from the document's. */
  traceId?: string;
}

/** What is known about the session as a whole. */
export interface SessionMetadata {
  title?: string;
  /** `<provider>/<model>`. */
  model?: string;
  providerId?: string;
  agent?: string;
  variant?: string;
  /** What the session began with. */
  prompt?: string;
  userId?: string;
  /** Of the deployment: `production`, for example. */
  environment?: string;
  /** Of the program. */
  version?: string;
  tags?: string[];
  /** The model that a chat front end names. */
  owuiModel?: string;
}

/** A tool called again and again with the same input. */
export interface ToolLoop {
  tool: string;
  /** Of the input's JSON, in hex digits. */
  inputHash?: string;
  count: number;
  /** For people. */
  description: string;
}

/** What loops compare of a tool call. */
export interface ToolCallKey {
  tool: string;
  /** Hash of the input's JSON, in hex digits; empty where no input was recorded. */
  inputHash: string;
}

/** @deprecated The name of {@link ToolCallKey} in 0.1.0. */
export type ToolCall = ToolCallKey;

/** How often a tool was called, and its summed duration in milliseconds. */
export interface ToolUse {
  name: string;
  count: number;
  /** Milliseconds. */
  totalDuration: number;
}

/** Totals over every span the session ever had, also those a cap left out. */
export interface SessionSummary {
  totalTokens: number;
  /** As in the spans. */
  totalCost: number;
  totalToolCalls: number;
  totalGenerations: number;
  /** Milliseconds from start to end, or to "as of" in a running document. */
  duration: number;
  status: SessionStatus;
  /** Why it failed or crashed. */
  error?: string;
  /** Running, but no generation is open. */
  idle?: true;
  tokens: TokenCounts;
  loops?: ToolLoop[];
  /** The session in a sentence or two, once it has ended. */
  narrative?: string;
  /** The ten that were called most, once it has ended. */
  topTools?: ToolUse[];
}

/** How the file is laid out, for writers and listings; other readers may ignore it. */
export interface TraceLayout {
  v: 1;
  /** Set when recovery, not the program, closed the session. */
  recovered?: true;
  /** Uses of every tool (bounded), so that a resumed session counts on exactly. */
  tools?: ToolUse[];
  /** The last ten tool calls, so that a resumed session goes on finding loops. */
  calls?: ToolCallKey[];
  /** Byte offset at which the last line, with open spans and totals, begins. */
  tailStart: number;
}

/** A whole trace document. */
export interface TraceFile {
  version: 2;
  /** The raw session id. */
  id?: string;
  traceId: string;
  /** The session id as the file name has it. */
  sessionId: string;
  startedAt: string;
  /** When the session ended; in a running document, when it was last written. */
  endedAt: string;
  metadata: SessionMetadata;
  /** In order of completion, open spans last. */
  spans: TraceSpan[];
  summary: SessionSummary;
  layout?: TraceLayout;
}
