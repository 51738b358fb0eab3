/** What sessions used: tokens, cost and time by model, day and tool; the growth of the context; loops and retries. */
import { isEndUnseen } from "../format/session-end.js";
import type { TokenCounts } from "../format/trace-file.js";
import { isoOrNull } from "../platform/epoch-time.js";
import { type Analysis, durationOf, modelOf, type RetryGroup } from "./analysis.js";
import { type ContextCall, contextCalls } from "./context-calls.js";

interface Amount {
  calls: number;
  errors: number;
  tokens: TokenCounts & { total: number };
  cost: number;
  durationMs: number;
}

interface ToolAmount {
  calls: number;
  errors: number;
  interrupted: number;
  durationMs: number;
  slowestMs: number;
  /** Calls whose end is not known. */
  unseen: number;
  /** Calls that ended, and their milliseconds. */
  ended: number;
  endedMs: number;
}

/** A model call of one session: what it read. */
export interface ContextPoint {
  /** `null` where the span has no time. */
  readonly at: string | null;
  readonly model: string;
  readonly contextTokens: number;
  /** The context was compacted before this call. */
  readonly isCompacted: boolean;
}

/** Sums over sessions. */
export class Usage {
  readonly #models = new Map<string, Amount>();
  readonly #days = new Map<string, Amount>();
  readonly #tools = new Map<string, ToolAmount>();
  readonly #retries: (RetryGroup & { readonly session: string })[] = [];
  readonly #loops: { readonly session: string; readonly tool: string; readonly count: number }[] = [];
  readonly #total = emptyAmount();
  /** Of the last session. */
  #nodes: Analysis["nodes"] = [];
  #sessions = 0;
  #elided = 0;
  #unreadable = 0;

  addUnreadable(): void {
    this.#unreadable++;
  }

  add(id: string, { nodes, to, loops, retries, elided, trace }: Analysis): void {
    this.#sessions++;
    this.#elided += elided;
    this.#total.cost += trace.summary.totalCost ?? 0;
    this.#total.tokens.total += trace.summary.totalTokens ?? 0;
    for (const { span, state } of nodes) {
      // A duration that is not known adds nothing.
      const durationMs = durationOf(span, to) || 0;
      if (span.kind === "tool") {
        const tool = entryOf(this.#tools, span.name, () => ({
          calls: 0,
          errors: 0,
          interrupted: 0,
          durationMs: 0,
          slowestMs: 0,
          unseen: 0,
          ended: 0,
          endedMs: 0,
        }));
        tool.calls++;
        if (state === "failed") tool.errors++;
        if (state === "cut") tool.interrupted++;
        if (state === "ok" || state === "failed") {
          tool.ended++;
          tool.endedMs += durationMs;
        }
        tool.durationMs += durationMs;
        if (isEndUnseen(span)) tool.unseen++;
        else tool.slowestMs = Math.max(tool.slowestMs, durationMs);
      }
      if (span.kind !== "generation" && span.kind !== "embedding") continue;
      const day = dayOf(span.startTime);
      const model = entryOf(this.#models, modelOf(span), emptyAmount);
      for (const amount of [model, entryOf(this.#days, day, emptyAmount), this.#total]) {
        // An embedding is no model call, but a call of its model.
        if (amount === model || span.kind === "generation") amount.calls++;
        addTo(amount, span, state === "failed", durationMs, amount === this.#total);
      }
    }
    this.#nodes = nodes;
    for (const { tool, count } of loops) this.#loops.push({ session: id, tool: String(tool), count });
    for (const retry of retries) this.#retries.push({ session: id, ...retry });
  }

  report(isSingle: boolean) {
    const byCost = ([, a]: [string, Amount], [, b]: [string, Amount]) =>
      b.cost - a.cost || b.tokens.total - a.tokens.total;
    return {
      sessions: this.#sessions,
      unreadable: this.#unreadable,
      elidedSpans: this.#elided,
      total: withRatio(this.#total),
      models: [...this.#models].sort(byCost).map(([model, amount]) => ({ model, ...withRatio(amount) })),
      days: [...this.#days]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([day, amount]) => ({ day, ...withRatio(amount) })),
      tools: [...this.#tools]
        .sort(([, a], [, b]) => b.durationMs - a.durationMs)
        .map(([tool, { ended, endedMs, unseen, slowestMs, ...use }]) => ({
          tool,
          ...use,
          ...(unseen > 0 && { isLeast: true as const }),
          slowestMs: unseen < use.calls ? slowestMs : null,
          // How long an interrupted call would have taken is not known.
          meanMs: ended > 0 ? endedMs / ended : null,
        })),
      loops: this.#loops,
      retries: this.#retries,
      ...(isSingle && { context: contextCalls(this.#nodes).map(contextPoint) }),
    };
  }
}

const contextPoint = ({ node: { span }, contextTokens, isCompacted }: ContextCall): ContextPoint => ({
  at: isoOrNull(span.startTime),
  model: modelOf(span),
  contextTokens,
  isCompacted,
});

const emptyAmount = (): Amount => ({
  calls: 0,
  errors: 0,
  tokens: { input: 0, output: 0, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: 0 },
  cost: 0,
  durationMs: 0,
});

function entryOf<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** `isTotal`: tokens and cost of the total are those of the summaries, which count elided spans as well. */
function addTo(
  amount: Amount,
  { tokens, cost }: { tokens?: TokenCounts & { total: number }; cost?: number },
  isError: boolean,
  durationMs: number,
  isTotal: boolean,
): void {
  if (isError) amount.errors++;
  amount.durationMs += durationMs;
  for (const part of ["input", "output", "reasoning", "cacheRead", "cacheWrite"] as const)
    amount.tokens[part] += tokens?.[part] || 0;
  if (isTotal) return;
  amount.tokens.total += tokens?.total || 0;
  amount.cost += cost || 0;
}

/** `cacheHitRatio`: the part of what models read that came from their cache; `null` where nothing was read. */
function withRatio(amount: Amount): Amount & { readonly cacheHitRatio: number | null } {
  const { input, cacheRead, cacheWrite } = amount.tokens;
  const read = input + cacheRead + cacheWrite;
  return { ...amount, cacheHitRatio: read > 0 ? cacheRead / read : null };
}

const dayOf = (millis: number): string => isoOrNull(millis)?.slice(0, 10) ?? "?";

export type UsageReport = ReturnType<Usage["report"]>;
