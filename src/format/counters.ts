/**
 * The counters of a session's summary: sums over every span that the session ever had. This table drives counting,
 * merging, the totals of an elision marker, the summary, reading back, validation and the documents of the tracer
 * before ours. A new counter is one entry here and one member of `SessionSummary`; `test/promises/summary.test.ts`
 * then checks it.
 */
import { finite } from "./json-value.js";
import type { SessionSummary, TokenCounts, TraceSpan } from "./trace-file.js";

/** The names of the members of `T` that are numbers, optional members included. */
type NumberMember<T> = { [Name in keyof T]-?: NonNullable<T[Name]> extends number ? Name : never }[keyof T];

/** Every number of a summary is a counter, except the duration. A counter without an entry below is a type error. */
export type CounterName = Exclude<NumberMember<SessionSummary>, "duration">;

export interface Counter {
  /** The counter's name in the totals of an elision marker. */
  readonly json: string;
  /** What one ended span adds. A value that is not a finite number adds nothing. */
  readonly of: (span: TraceSpan) => unknown;
  /** Whether the summary of a running session counts open spans, too. */
  readonly countsOpen?: true;
}

export const counters = {
  totalTokens: { json: "totalTokens", of: (span) => span.tokens?.total },
  totalCost: { json: "cost", of: (span) => span.cost },
  totalToolCalls: { json: "toolCalls", of: (span) => (span.kind === "tool" ? 1 : 0), countsOpen: true },
  totalGenerations: {
    json: "generations",
    of: (span) => (span.kind === "generation" ? 1 : 0),
    countsOpen: true,
  },
  turns: { json: "turns", of: (span) => (beginsTurn(span) ? 1 : 0) },
  errors: { json: "errors", of: (span) => (span.status === "error" && !span.interrupted ? 1 : 0) },
  interrupted: { json: "interrupted", of: (span) => (span.interrupted ? 1 : 0) },
} as const satisfies Readonly<Record<CounterName, Counter>>;

/** The calls of the Vercel AI SDK that a program makes, not the calls to the model within them. */
const agentCalls: ReadonlySet<unknown> = new Set(
  ["generateText", "streamText", "generateObject", "streamObject"].map((name) => `ai.${name}`),
);

/** A message of the user; with other instrumentations, the call of an agent. */
export const beginsTurn = ({ kind, attributes }: TraceSpan): boolean =>
  kind === "user-message" ||
  (kind === "span" &&
    attributes !== undefined &&
    (attributes["gen_ai.operation.name"] === "invoke_agent" || agentCalls.has(attributes["ai.operationId"])));

/** `summary.tokens` of a session without spans. */
export const noTokens: Readonly<TokenCounts> = {
  input: 0,
  output: 0,
  reasoning: 0,
  cacheRead: 0,
  cacheWrite: 0,
};

/** The sum of each part; a part that is not a finite number counts as 0. */
export const sumOfTokens = (sum: Readonly<TokenCounts>, added: Partial<TokenCounts>): TokenCounts => ({
  input: sum.input + finite(added.input),
  output: sum.output + finite(added.output),
  reasoning: sum.reasoning + finite(added.reasoning),
  cacheRead: sum.cacheRead + finite(added.cacheRead),
  cacheWrite: sum.cacheWrite + finite(added.cacheWrite),
});
