/**
 * What a session has used: sums over every span that the session ever had, also over spans that a cap left out.
 */

import { type Counter, type CounterName, counters, noTokens, sumOfTokens } from "./counters.js";
import { finite } from "./json-value.js";
import { ToolLoops, type ToolLoopsJson } from "./tool-loops.js";
import type { TokenCounts, ToolCallKey, ToolLoop, ToolUse, TraceSpan } from "./trace-file.js";

/** Tools that are counted one by one. Calls of further tools count in `totalToolCalls` only. */
const maxTools = 1_000;

const names = Object.keys(counters) as CounterName[];
const jsonNames = names.map((name) => counters[name].json);
/** What a span adds to each counter. In arrays and by index: with keys, each span took 150 ns more. */
const additions: readonly Counter["of"][] = names.map((name) => counters[name].of);

type CountsJson = { readonly [Name in CounterName as (typeof counters)[Name]["json"]]: number };

/** Totals as an elision marker holds them. */
export interface TotalsJson extends CountsJson, ToolLoopsJson {
  readonly spans: number;
  /** Epoch milliseconds. */
  readonly firstStart: number;
  /** Epoch milliseconds. */
  readonly lastEnd: number;
  readonly tokens: TokenCounts;
  readonly tools: readonly ToolUse[];
}

/** Totals that were read from a file: an older version or another program may have left out any member. */
export type ReadTotals = Partial<Omit<TotalsJson, "tokens">> & { readonly tokens?: Partial<TokenCounts> };

/** The counters, with what `countOf` returns for them, under the names that {@link TotalsJson} has for them. */
export function countsToJson(countOf: (name: CounterName) => number): CountsJson {
  const counts = Object.fromEntries(names.map((name) => [counters[name].json, countOf(name)]));
  // The cost is first in the elision markers of 0.1.0.
  return { cost: countOf("totalCost"), ...counts } as CountsJson;
}

/** Running totals of one session. */
export class Totals {
  #spans = 0;
  #firstStart = 0;
  #lastEnd = 0;
  /** The counters, in the order of `names`. */
  readonly #counts: number[] = names.map(() => 0);
  #tokens = noTokens;
  readonly #tools = new Map<string, ToolUse>();
  readonly #loops: ToolLoops;

  /** `stated`: the loops and the last calls of spans that {@link add} gets without loops. */
  constructor(stated?: Pick<ToolLoopsJson, "loops" | "calls">) {
    this.#loops = new ToolLoops(stated);
  }

  /** How many spans were counted. */
  get spans(): number {
    return this.#spans;
  }

  /** The earliest start, in epoch milliseconds; 0 without a span. */
  get firstStart(): number {
    return this.#firstStart;
  }

  /** The latest end, in epoch milliseconds; 0 without a span. */
  get lastEnd(): number {
    return this.#lastEnd;
  }

  /** The counters under the names that a summary has for them. */
  get counts(): Record<CounterName, number> {
    return Object.fromEntries(names.map((name, at) => [name, this.#counts[at]])) as Record<
      CounterName,
      number
    >;
  }

  get tokens(): Readonly<TokenCounts> {
    return this.#tokens;
  }

  /** A copy that also counts `spans`: spans that have ended and have no line yet. */
  with(spans: readonly TraceSpan[]): Totals {
    const totals = new Totals();
    totals.merge(this.toJson());
    for (const span of spans) totals.add(span);
    return totals;
  }

  /** Replaces the counters of these names by those of `counted`, and takes the later last end. */
  setCounts(replaced: readonly CounterName[], counted: Totals): void {
    this.#lastEnd = Math.max(this.#lastEnd, counted.#lastEnd);
    for (const [at, name] of names.entries())
      if (replaced.includes(name)) this.#counts[at] = counted.#counts[at] as number;
  }

  /** Counts a span that has ended. Callers add spans in order of completion. */
  add(span: TraceSpan, findsLoops = true): void {
    this.#spans++;
    this.#spread(finite(span.startTime), finite(span.endTime));
    for (let at = 0; at < additions.length; at++) this.#add(at, (additions[at] as Counter["of"])(span));
    if (span.tokens) this.#tokens = sumOfTokens(this.#tokens, span.tokens);
    if (span.kind === "tool") {
      const elapsed = finite(span.endTime) - finite(span.startTime);
      const name = typeof span.name === "string" ? span.name : "unknown";
      this.#addTool(name, 1, finite(span.tool?.durationMs ?? elapsed));
      if (findsLoops) this.#loops.add(name, span.input);
    }
  }

  /** Adds totals of spans that ended after those counted here. */
  merge(other: ReadTotals, findsLoops = true): void {
    this.#spans += finite(other.spans);
    this.#spread(finite(other.firstStart), finite(other.lastEnd));
    for (const [at, json] of jsonNames.entries()) this.#add(at, other[json]);
    this.#tokens = sumOfTokens(this.#tokens, other.tokens ?? {});
    for (const tool of Array.isArray(other.tools) ? other.tools : []) {
      if (typeof tool?.name === "string")
        this.#addTool(tool.name, finite(tool.count), finite(tool.totalDuration));
    }
    if (findsLoops) this.#loops.merge(other);
  }

  /** Another run of the session begins: loops are found within one run. */
  beginRun(): void {
    this.#loops.beginRun();
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

  /** How many different tools were called, as far as tools are counted one by one. */
  get distinctTools(): number {
    return this.#tools.size;
  }

  /** Tools that were called repeatedly with the same input. */
  loops(): ToolLoop[] {
    return this.#loops.loops();
  }

  /** The last tool calls: a loop that continues after a resume is recognized by them. */
  calls(): ToolCallKey[] {
    return this.#loops.calls();
  }

  toJson(): TotalsJson {
    return {
      spans: this.#spans,
      firstStart: this.#firstStart,
      lastEnd: this.#lastEnd,
      ...countsToJson((name) => this.#counts[names.indexOf(name)] as number),
      tokens: { ...this.#tokens },
      tools: this.tools(),
      ...this.#loops.toJson(),
    };
  }

  #spread(start: number, end: number): void {
    if (start > 0) this.#firstStart = this.#firstStart > 0 ? Math.min(this.#firstStart, start) : start;
    this.#lastEnd = Math.max(this.#lastEnd, end);
  }

  #add(at: number, value: unknown): void {
    this.#counts[at] = (this.#counts[at] as number) + finite(value);
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
