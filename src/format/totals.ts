/**
 * What a session has used so far: counters true to every span it ever had, also those a cap left out.
 */

import { ToolLoops, type ToolLoopsRecord } from "./tool-loops.js";
import type { TokenCounts, ToolCall, ToolLoop, ToolUse, TraceSpan } from "./trace-file.js";
import { finite } from "./validate.js";

/** Tools counted one by one; a session that calls more kinds than that counts the rest in its totals only. */
const maxTools = 1_000;

/** Running totals of one session. */
export class Totals {
  spans = 0;
  cost = 0;
  totalTokens = 0;
  toolCalls = 0;
  generations = 0;
  /** Epoch milliseconds: the earliest start and the latest end. */
  firstStart = 0;
  lastEnd = 0;
  readonly tokens: TokenCounts = { input: 0, output: 0, reasoning: 0, cacheRead: 0, cacheWrite: 0 };
  readonly #tools = new Map<string, ToolUse>();
  readonly #loops = new ToolLoops();

  /** These totals and further spans, as others: for spans that have ended and have no line yet. */
  with(spans: readonly TraceSpan[]): Totals {
    const totals = new Totals();
    totals.merge(this.record());
    for (const span of spans) totals.add(span);
    return totals;
  }

  /** Counts a span that has ended; spans come in order of completion. */
  add(span: TraceSpan): void {
    this.spans++;
    this.#spread(finite(span.startTime), finite(span.endTime));
    this.cost += finite(span.cost);
    if (span.tokens) this.#addTokens(span.tokens, finite(span.tokens.total));
    if (span.kind === "generation") this.generations++;
    if (span.kind === "tool") {
      this.toolCalls++;
      const elapsed = finite(span.endTime) - finite(span.startTime);
      const name = typeof span.name === "string" ? span.name : "unknown";
      this.#addTool(name, 1, finite(span.tool?.durationMs ?? elapsed));
      this.#loops.add(name, span.input);
    }
  }

  /** Adds what another count has seen after this one. */
  merge(other: TotalsRecord): void {
    this.spans += finite(other.spans);
    this.#spread(finite(other.firstStart), finite(other.lastEnd));
    this.cost += finite(other.cost);
    this.toolCalls += finite(other.toolCalls);
    this.generations += finite(other.generations);
    this.#addTokens(other.tokens ?? {}, finite(other.totalTokens));
    for (const tool of Array.isArray(other.tools) ? other.tools : []) {
      if (typeof tool?.name === "string")
        this.#addTool(tool.name, finite(tool.count), finite(tool.totalDuration));
    }
    this.#loops.merge(other);
  }

  /** The ten tools called most. */
  topTools(): ToolUse[] {
    return this.tools()
      .sort((a, b) => b.count - a.count)
      .slice(0, 10);
  }

  /** Every tool, in order of first use. */
  tools(): ToolUse[] {
    return [...this.#tools.values()].map((tool) => ({ ...tool }));
  }

  /** How many kinds of tools were called, as far as they are counted one by one. */
  get distinctTools(): number {
    return this.#tools.size;
  }

  /** Tools called again and again with the same input. */
  loops(): ToolLoop[] {
    return this.#loops.loops();
  }

  /** The last tool calls: what a loop that goes on is told by. */
  calls(): ToolCall[] {
    return this.#loops.calls();
  }

  /** As plain data. */
  record(): TotalsRecord {
    return {
      spans: this.spans,
      firstStart: this.firstStart,
      lastEnd: this.lastEnd,
      cost: this.cost,
      totalTokens: this.totalTokens,
      toolCalls: this.toolCalls,
      generations: this.generations,
      tokens: { ...this.tokens },
      tools: this.tools(),
      ...this.#loops.record(),
    };
  }

  #spread(start: number, end: number): void {
    if (start > 0) this.firstStart = this.firstStart > 0 ? Math.min(this.firstStart, start) : start;
    this.lastEnd = Math.max(this.lastEnd, end);
  }

  #addTokens(tokens: Partial<TokenCounts>, total: number): void {
    this.totalTokens += total;
    this.tokens.input += finite(tokens.input);
    this.tokens.output += finite(tokens.output);
    this.tokens.reasoning += finite(tokens.reasoning);
    this.tokens.cacheRead += finite(tokens.cacheRead);
    this.tokens.cacheWrite += finite(tokens.cacheWrite);
  }

  #addTool(name: string, count: number, totalDuration: number): void {
    const known = this.#tools.get(name);
    if (known) {
      known.count += count;
      known.totalDuration += totalDuration;
    } else if (this.#tools.size < maxTools) {
      this.#tools.set(name, { name, count, totalDuration });
    }
  }
}

/** Totals as they stand in a file. */
export interface TotalsRecord extends ToolLoopsRecord {
  readonly spans?: number;
  readonly firstStart?: number;
  readonly lastEnd?: number;
  readonly cost?: number;
  readonly totalTokens?: number;
  readonly toolCalls?: number;
  readonly generations?: number;
  readonly tokens?: Partial<TokenCounts>;
  readonly tools?: readonly ToolUse[];
}
