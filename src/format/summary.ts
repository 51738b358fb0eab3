/**
 * The summary of a document: what its session has used, its status, and how it ended in words.
 */

import { countSpan } from "./cap.js";
import { type Counter, type CounterName, counters } from "./counters.js";
import type { DocumentTail } from "./document.js";
import { finite } from "./json-value.js";
import { isOver } from "./session-end.js";
import { countsToJson, Totals } from "./totals.js";
import type { SessionSummary, TraceFile, TraceSpan } from "./trace-file.js";

/** What open spans add to counters. */
type StartedCounts = Readonly<Partial<Record<CounterName, number>>>;

/** The members of a summary that are no totals. `duration` in milliseconds. */
type SummaryState = Pick<SessionSummary, "duration" | "status" | "idle" | "reconstructed"> & {
  readonly lastActivityAt: string;
  readonly error: string | undefined;
  readonly detector: string | undefined;
};

/** What open spans add to the counters of a document: `undefined` for nothing. */
export function startedBy(open: readonly TraceSpan[]): StartedCounts | undefined {
  const started: Partial<Record<CounterName, number>> = {};
  for (const [name, { of, countsOpen }] of Object.entries<Counter>(counters)) {
    const count = countsOpen ? open.reduce((sum, span) => sum + finite(of(span)), 0) : 0;
    if (count > 0) started[name as CounterName] = count;
  }
  return Object.keys(started).length > 0 ? started : undefined;
}

/** Makes the summary of a document. `totals` of ended spans. */
export function summarize(totals: Totals, state: SummaryState, started: StartedCounts = {}): SessionSummary {
  const topTools = totals.topTools();
  const loops = totals.loops();
  const summary: SessionSummary = {
    ...totals.counts,
    ...withStarted(totals, started),
    duration: Math.max(0, state.duration) || 0,
    status: state.status,
    ...(state.error !== undefined && { error: state.error }),
    ...(state.idle && { idle: true as const }),
    lastActivityAt: state.lastActivityAt,
    ...(state.detector !== undefined && { detector: state.detector }),
    ...(state.reconstructed && { reconstructed: true as const }),
    tokens: { ...totals.tokens },
    ...(loops.length > 0 && { loops }),
    ...(topTools.length > 0 && { topTools }),
  };
  if (isOver(summary)) summary.narrative = narrate(summary, totals.distinctTools);
  return summary;
}

const withStarted = (totals: Totals, started: StartedCounts): StartedCounts =>
  Object.fromEntries(
    Object.entries(started).map(([name, count]) => [name, totals.counts[name as CounterName] + count]),
  );

/** What the layout of a document holds so that a resumed session continues with exact totals. */
export function layoutOf(totals: Totals): DocumentTail["layout"] {
  const calls = totals.calls();
  return { v: 1, tools: totals.tools(), ...(calls.length > 0 && { calls }) };
}

/**
 * The totals of a document: those of its tail, or the sums over `spans` where another program wrote no totals. A
 * counter that the tail lacks is counted from `spans`, too.
 */
export function totalsOf(tail: DocumentTail | undefined, spans: readonly TraceSpan[]): Totals {
  const counted = new Totals();
  for (const span of spans) countSpan(span, counted);
  if (!tail || typeof tail.summary.totalToolCalls !== "number") return counted;
  const { summary, layout } = tail;
  const { counts } = counted;
  const totals = new Totals();
  totals.merge({
    ...countsToJson((name) => (summary[name] ?? counts[name]) - finite(layout.started?.[name])),
    ...(!layout.tools && { generations: endedGenerations(tail, counted) }),
    lastEnd: Date.parse(summary.lastActivityAt ?? ""),
    tokens: summary.tokens ?? counted.tokens,
    tools: layout.tools ?? summary.topTools ?? [],
    loops: summary.loops ?? [],
    calls: layout.calls ?? counted.calls(),
  });
  return totals;
}

/** Counters that a summary lacks: a version of this package without them wrote it. */
export const missingCounters = (summary: SessionSummary): CounterName[] =>
  (Object.keys(counters) as CounterName[]).filter((name) => typeof summary[name] !== "number");

/** The tracer before ours counts a generation when the generation starts; ours counts it when it ends. */
function endedGenerations({ spans, summary }: DocumentTail, counted: Totals): number {
  const open = spans.filter(({ kind, endTime }) => kind === "generation" && endTime === undefined).length;
  return Math.max(counted.counts.totalGenerations, (summary.totalGenerations || 0) - open);
}

/** The members of a summary that a narrative describes. */
export type Narrated = Pick<
  SessionSummary,
  "status" | "duration" | "totalGenerations" | "totalCost" | "topTools" | "loops"
>;

/**
 * `Completed in 2m5s. Made 3 LLM calls using 2 tools (bash, read). Total cost: $0.0123.` A session that has not ended
 * is described as if it completed now.
 *
 * @param distinctTools how many different tools were called; `topTools` names ten at most
 */
export function narrate(summary: Narrated, distinctTools: number): string {
  const { status, duration, totalGenerations, totalCost, topTools = [], loops = [] } = summary;
  const hasFailed = status === "error" || status === "crashed";
  const top = topTools.slice(0, 3).map(({ name }) => name);
  return [
    `${hasFailed ? "Failed after" : "Completed in"} ${formatDuration(duration)}`,
    totalGenerations > 0 && `. Made ${totalGenerations} LLM call${totalGenerations === 1 ? "" : "s"}`,
    distinctTools > 0 && ` using ${distinctTools} tools (${top.join(", ")})`,
    ".",
    loops.length > 0 && ` Warning: ${loops.length} loop(s) detected.`,
    ` Total cost: ${dollars(totalCost)}.`,
  ]
    .filter((part) => part !== false)
    .join("");
}

/** The narrative of a document in its present state, also of a session that is running. */
export function narrateDocument({ summary, layout }: Pick<TraceFile, "summary" | "layout">): string {
  return narrate(summary, layout?.tools?.length ?? summary.topTools?.length ?? 0);
}

/** The output of the session span of an ended session; `undefined` for a session that crashed or is running. */
export function rootOutput(
  summary: Pick<
    SessionSummary,
    "status" | "idle" | "error" | "totalGenerations" | "totalToolCalls" | "totalTokens" | "totalCost"
  >,
): string | undefined {
  const { status, idle, error, totalGenerations, totalToolCalls, totalTokens, totalCost } = summary;
  if (idle) return undefined;
  if (status !== "completed" && status !== "error") return undefined;
  if (status === "error" && error) return `Error: ${error}`;
  return `${totalGenerations} generations, ${totalToolCalls} tool calls, ${totalTokens} tokens, ${dollars(totalCost)}`;
}

const dollars = (cost: number): string => `$${cost.toFixed(4)}`;

/** `950ms`, `1.2s`, `2m5s`: never `60.0s`, and never `1000ms`. */
export function formatDuration(millis: number): string {
  const known = Number.isFinite(millis) ? Math.max(0, millis) : 0;
  if (known < 1_000) return `${Math.floor(known)}ms`;
  if (known < 60_000) return `${Math.min(59.9, known / 1_000).toFixed(1)}s`;
  const minutes = Math.floor(known / 60_000);
  return `${minutes}m${Math.floor((known % 60_000) / 1_000)}s`;
}
