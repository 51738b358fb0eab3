/**
 * The trace document, version 2: what `<sessionId>.json` holds.
 *
 * Times of spans are epoch milliseconds, other times are ISO 8601 strings. Members that are `undefined` are absent from
 * the file.
 */

/**
 * The state of a session, or how it ended. `running`: work is under way (see `SessionSummary.status`). `crashed` outranks
 * `error`, which outranks `completed`.
 */
export type SessionStatus = "running" | "completed" | "error" | "crashed";

/** What a span represents. `session` is the root: a document has exactly one. */
export type SpanKind = "session" | "generation" | "embedding" | "tool" | "text" | "user-message" | "span";

/** Five disjoint counts. Unlike the GenAI conventions, `input` does not include cached tokens. */
export interface TokenCounts {
  /** Tokens of the prompt that no cache had. */
  input: number;
  /** Tokens of the answer, without reasoning. */
  output: number;
  /** Tokens that the model thought with. */
  reasoning: number;
  /** Tokens of the prompt that came from a cache. */
  cacheRead: number;
  /** Tokens of the prompt that went into a cache. */
  cacheWrite: number;
}

/** The counts of one generation, with their sum. */
export interface TokenUsage extends TokenCounts {
  /** The sum of the five counts. */
  total: number;
}

/** The model that answered a generation. */
export interface SpanModel {
  /** The name of the model, as its provider gives it. */
  modelId?: string;
  /** `openai`, `anthropic` and the like. */
  providerId?: string;
  /** A variant of the model that the program chose, such as a level of effort. */
  variant?: string;
}

/** How a replay makes attributes that a span has in another form. Texts refer to texts of the span. */
export interface OriginalAttributes {
  /** JSON pointers (RFC 6901) into the span. */
  at?: string[];
  /** By the key of the attribute. */
  values: Record<string, OriginalValue>;
  /** By the position of the event in `otel.events`. */
  events?: Record<string, Record<string, OriginalValue>>;
}

/**
 * `null`: no attribute. A list: parts of a text. `at`: the value at a pointer. `json`: the value of that JSON. `number`: not
 * finite. `isBytes`: the bytes of base64.
 */
export type OriginalValue =
  | null
  | string
  | number
  | boolean
  | OriginalPart[]
  | { at: number }
  | { list: OriginalValue[] }
  | { json: OriginalPart[] }
  | { number: string }
  | { isBytes: true };

/** A text; the JSON of the value at a pointer; the text at a pointer; a text in JSON. */
export type OriginalPart = string | number | [number] | { json: OriginalPart[] };

/** One span of a session. Children may come before their parents: order is order of completion. */
export interface TraceSpan {
  /** 16 hex digits for OpenTelemetry spans; any string in documents of other programs. */
  spanId: string;
  /** `null` only for the session span. */
  parentSpanId: string | null;
  /** As the instrumentation named it; of a tool call, the name of the tool. */
  name: string;
  /** What the span represents. */
  kind: SpanKind;
  /** Epoch milliseconds. */
  startTime: number;
  /** Epoch milliseconds; absent while the span is open. */
  endTime?: number;
  /** `error` only if the work failed. */
  status: "ok" | "error";
  /** What went wrong. */
  statusMessage?: string;
  /** A crash, a recovery, a resume or the end of the session closed the span, not the program: the tool or model did not fail. */
  interrupted?: true;
  /** Of a generation or an embedding. */
  model?: SpanModel;
  /** Why the model stopped, in the provider's word. */
  finishReason?: string;
  /** In the currency of the program that set it; usually dollars. */
  cost?: number;
  /** Of a generation or an embedding. */
  tokens?: TokenUsage;
  /** Of a tool call: the id that the model gave the call, and its duration in milliseconds. */
  tool?: { callId?: string; durationMs?: number };
  /** What a generation or a tool was given: messages, a text, or arguments. */
  input?: unknown;
  /** What a generation or a tool returned. */
  output?: unknown;
  /** All attributes that are not one of the other members. */
  attributes?: Record<string, unknown>;
  /** The attributes as the instrumentation set them, for a replay; absent if `attributes` has all of them. */
  original?: OriginalAttributes;
  /** The parent in another process or session, or in none: then the span stands under the session span. */
  remoteParentSpanId?: string;
  /** `tracestate` of the span's context, where it has one (W3C Trace Context). */
  traceState?: string;
  /** Key in `resources` of the document: what produced the span. Absent in documents of 0.1.0. */
  resource?: string;
  /** Key in `scopes` of the document: the instrumentation scope, where it has more than a name and a version. */
  scope?: string;
  /** Present only if it differs from the document's. */
  traceId?: string;
}

/** A resource of OpenTelemetry: the program and the machine that produced spans. */
export interface ResourceRecord {
  /** `service.name`, `host.name` and the like. */
  attributes: Record<string, unknown>;
  /** The version of the conventions that the attributes follow. */
  schemaUrl?: string;
}

/** An instrumentation scope of OpenTelemetry: the library that produced spans. */
export interface ScopeRecord {
  /** The package that made the spans. */
  name: string;
  /** The version of that package. */
  version?: string;
  /** The version of the conventions that its attributes follow. */
  schemaUrl?: string;
  /** Attributes of the scope itself. */
  attributes?: Record<string, unknown>;
}

/** Facts about the session as a whole. */
export interface SessionMetadata {
  /** A title for people. */
  title?: string;
  /** `<provider>/<model>`. */
  model?: string;
  /** The provider of the model. */
  providerId?: string;
  /** The name of the agent. */
  agent?: string;
  /** The variant of the model. */
  variant?: string;
  /** The user's first words. */
  prompt?: string;
  /** The user whose session it is. */
  userId?: string;
  /** The deployment environment: `production`, for example. */
  environment?: string;
  /** The version of the program. */
  version?: string;
  /** Labels of the program. */
  tags?: string[];
  /** The model name of a chat front end. */
  owuiModel?: string;
}

/** A tool that was called repeatedly with the same input. */
export interface ToolLoop {
  /** The name of the tool. */
  tool: string;
  /** Hash of the input's JSON, in hex digits. */
  inputHash?: string;
  /** Calls with that input. */
  count: number;
  /** For people. */
  description: string;
}

/** What loops compare of a tool call. */
export interface ToolCallKey {
  /** The name of the tool. */
  tool: string;
  /** Hash of the input's JSON, in hex digits; empty where no input was recorded. */
  inputHash: string;
}

/** @deprecated The name of {@link ToolCallKey} in 0.1.0. */
export type ToolCall = ToolCallKey;

/** How often a tool was called, and for how long in total. */
export interface ToolUse {
  /** The name of the tool. */
  name: string;
  /** Calls. */
  count: number;
  /** Milliseconds. */
  totalDuration: number;
}

/** Totals over every span that the session ever had, also over spans that a cap left out. */
export interface SessionSummary {
  /** The sum of the totals of all generations. */
  totalTokens: number;
  /** In the currency of the spans. */
  totalCost: number;
  /** Started tool calls, open ones included. */
  totalToolCalls: number;
  /** Started generations, open ones included. */
  totalGenerations: number;
  /** Messages of the user, and calls of an agent by other instrumentations. Absent in documents of 0.1.0. */
  turns?: number;
  /** Spans that failed; interrupted spans did not fail. Absent in documents of 0.1.0. */
  errors?: number;
  /** Spans that a crash or an end of the session closed, not the program. Absent in documents of 0.1.0. */
  interrupted?: number;
  /** Milliseconds from the start to `endedAt`. */
  duration: number;
  /**
   * `running` while work is under way: a span is open, a message of the user has no answer yet, or the model waits for
   * tools. Else `completed`, with `idle` while a process still has the session. `error` when the session was ended with
   * an error; `crashed` when its process ended, or was about to, while work was under way.
   */
  status: SessionStatus;
  /** Why the session failed or crashed. */
  error?: string;
  /** Nothing is under way, and a process still has the session. */
  idle?: true;
  /** When a span last started or ended, ISO 8601. Absent in documents of 0.1.0. */
  lastActivityAt?: string;
  /**
   * What ended a process of the session while work was under way: the name of a signal or of an exception, `exit`,
   * `process gone` or `lease expired`. A completed session has it when another process went on after that.
   */
  detector?: string;
  /** Recovery wrote how the session crashed, after the process was gone. */
  reconstructed?: true;
  /** The sums of the five counts. */
  tokens: TokenCounts;
  /** Tools that were called at least three times with one input within ten calls. */
  loops?: ToolLoop[];
  /** The session in a few words, once it has ended. */
  narrative?: string;
  /** The ten tools that were called most. */
  topTools?: ToolUse[];
}

/** The layout of the file, for writers and listings. Other readers may ignore it. */
export interface TraceLayout {
  /** The version of the layout. */
  v: 1;
  /** Recovery closed the session, not the program. */
  recovered?: true;
  /** Uses of the first thousand tools: a resumed session continues with exact counts. */
  tools?: ToolUse[];
  /** The last ten tool calls: a resumed session finds loops that began before. */
  calls?: ToolCallKey[];
  /**
   * What open spans add to counters of the summary: a program that resumes the session counts these spans when they end.
   * Absent in documents of 0.1.0, whose counters leave open spans out.
   */
  started?: Partial<Record<string, number>>;
  /** What writers of the session wait for, by their tokens: work is under way, though no span is open. */
  awaits?: Record<string, "model" | "tools">;
  /**
   * The last spans that this session has given to other sessions: a writer that has an earlier document leaves them out.
   */
  moved?: readonly { readonly traceId: string; readonly spanId: string }[];
  /** When a writer ended the session in good order, ISO 8601, while the files of another writer showed no death. */
  left?: string;
  /**
   * The error with which a writer ended while others went on. The session ended without a writer that ended it in good order:
   * if it goes on, the error still waits for such an end.
   */
  pendingError?: string;
  /**
   * What ended writers that were under way while the session went on. Detectors, the last one last: of a writer that is gone
   * under the empty key, and of process hooks under the tokens of their writers, which take them back if their processes live.
   */
  lost?: Record<string, string>;
  /** When the document was ended, ISO 8601; present where `endedAt` is earlier: it is the last activity. */
  written?: string;
  /** No program named the session: it has the spans without a session of one run (`withoutSession: "process"`). */
  unnamed?: true;
  /** The token of the writer that takes this end back if its process lives on after a signal or an exception. */
  provisional?: string;
  /** Byte offset of the last line, which has open spans and totals. */
  tailStart: number;
}

/** A whole trace document. */
export interface TraceFile {
  /** The version of the document. */
  version: 2;
  /** The raw session id. */
  id?: string;
  /** The trace of every span that names no other one. */
  traceId: string;
  /** The session id in the form of the file name. */
  sessionId: string;
  /** When the session began. */
  startedAt: string;
  /** When the session ended; in a running document, when it was last written. */
  endedAt: string;
  /** Facts about the session as a whole. */
  metadata: SessionMetadata;
  /** In order of completion, but a generation comes before its tool calls; open spans are last. */
  spans: TraceSpan[];
  /** Totals, and how the session ended. */
  summary: SessionSummary;
  /** The resources of the spans, by the keys that `resource` of a span has. Absent in documents of 0.1.0. */
  resources?: Record<string, ResourceRecord>;
  /** The instrumentation scopes of the spans, by the keys that `scope` of a span has. */
  scopes?: Record<string, ScopeRecord>;
  /** For writers and listings; other readers may ignore it. */
  layout?: TraceLayout;
}
