/** How the context of a session grew: what each of its model calls read, and where a compaction came before. */
import { contextOf, type Node } from "./analysis.js";

/** A model call with a known context. */
export interface ContextCall {
  readonly node: Node;
  readonly contextTokens: number;
  /** The context was compacted before this call. */
  readonly isCompacted: boolean;
}

/** A context that shrinks by more than this part was compacted, or began anew. */
const compactionPart = 0.4;
/** Smaller contexts vary by themselves: a subagent, a title. */
const fewestCompacted = 2_000;

/** `nodes` are in order of start. A subagent, which a tool runs, has a context of its own, and is left out. */
export function contextCalls(nodes: readonly Node[]): ContextCall[] {
  const calls: ContextCall[] = [];
  for (const node of nodes) {
    const contextTokens = contextOf(node.span);
    if (node.span.kind !== "generation" || contextTokens === 0 || isInTool(node.parent)) continue;
    const before = calls.at(-1)?.contextTokens ?? 0;
    const isCompacted = before >= fewestCompacted && contextTokens < before * (1 - compactionPart);
    calls.push({ node, contextTokens, isCompacted });
  }
  return calls;
}

function isInTool(node: Node | undefined): boolean {
  for (let at = node; at; at = at.parent) if (at.span.kind === "tool") return true;
  return false;
}

/** A column of a chart: one call, or some that follow each other. */
interface ContextColumn {
  /** Number of the row of its first call. */
  readonly n: number;
  readonly largest: number;
  readonly isCompacted: boolean;
}

/** The growth of the context as a chart of some columns. */
export interface ContextChart {
  readonly calls: number;
  readonly compactions: number;
  readonly largest: number;
  readonly last: number;
  readonly columns: readonly ContextColumn[];
}

/** A screen has no more columns. */
const mostColumns = 160;

/** `undefined` for fewer than two calls: nothing grew. */
export function contextChart(
  calls: readonly ContextCall[],
  numberOf: (node: Node) => number,
): ContextChart | undefined {
  if (calls.length < 2) return undefined;
  const columns = Math.min(calls.length, mostColumns);
  const startOf = (column: number) => Math.floor((column * calls.length) / columns);
  return {
    calls: calls.length,
    compactions: calls.filter(({ isCompacted }) => isCompacted).length,
    largest: largestOf(calls),
    last: calls.at(-1)?.contextTokens ?? 0,
    columns: Array.from({ length: columns }, (_, column) => {
      const part = calls.slice(startOf(column), startOf(column + 1));
      return {
        n: numberOf((part[0] as ContextCall).node),
        largest: largestOf(part),
        isCompacted: part.some(({ isCompacted }) => isCompacted),
      };
    }),
  };
}

const largestOf = (calls: readonly ContextCall[]): number =>
  calls.reduce((most, { contextTokens }) => Math.max(most, contextTokens), 0);
