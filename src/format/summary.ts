/**
 * A document's summary: what its session has used, how it stands, and in words how it ended.
 */

import type { DocumentTail } from "./document.js";
import { elidedTotals } from "./marker.js";
import { narrate } from "./narrative.js";
import { Totals } from "./totals.js";
import type { SessionStatus, SessionSummary, TraceSpan } from "./trace-file.js";

/** The summary of a document. */
export function summarize(
  totals: Totals,
  state: { status: SessionStatus; error: string | undefined; duration: number; idle: boolean },
): SessionSummary {
  const topTools = totals.topTools();
  const loops = totals.loops();
  const summary: SessionSummary = {
    totalTokens: totals.totalTokens,
    totalCost: totals.cost,
    totalToolCalls: totals.toolCalls,
    totalGenerations: totals.generations,
    duration: Math.max(0, state.duration) || 0,
    status: state.status,
    ...(state.error !== undefined && { error: state.error }),
    ...(state.idle && { idle: true as const }),
    tokens: { ...totals.tokens },
    ...(loops.length > 0 && { loops }),
    ...(topTools.length > 0 && { topTools }),
  };
  if (state.status !== "running") summary.narrative = narrate(summary, totals.distinctTools);
  return summary;
}

/** What a document's layout keeps, so that a resumed session counts on exactly. */
export function layoutOf(totals: Totals): DocumentTail["layout"] {
  const calls = totals.calls();
  return { v: 1, tools: totals.tools(), ...(calls.length > 0 && { calls }) };
}

/** The totals of a document from its tail, or from its spans where another program left the totals out. */
export function totalsOf(tail: DocumentTail | undefined, spans: readonly TraceSpan[]): Totals {
  const counted = new Totals();
  for (const span of spans) {
    const standsFor = elidedTotals(span.attributes);
    if (standsFor) counted.merge(standsFor);
    else counted.add(span);
  }
  if (!tail || typeof tail.summary.totalToolCalls !== "number") return counted;
  const { summary, layout } = tail;
  const totals = new Totals();
  totals.merge({
    cost: summary.totalCost,
    totalTokens: summary.totalTokens,
    toolCalls: summary.totalToolCalls,
    generations: layout.tools ? summary.totalGenerations : endedGenerations(tail, counted),
    tokens: summary.tokens,
    tools: layout.tools ?? summary.topTools ?? [],
    loops: summary.loops ?? [],
    calls: layout.calls ?? counted.calls(),
  });
  return totals;
}

/** The tracer before ours counts a generation when it starts, ours when it ends. */
function endedGenerations({ spans, summary }: DocumentTail, counted: Totals): number {
  const open = spans.filter(({ kind, endTime }) => kind === "generation" && endTime === undefined).length;
  return Math.max(counted.generations, (summary.totalGenerations || 0) - open);
}
