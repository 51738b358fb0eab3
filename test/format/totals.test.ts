import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Totals } from "../../src/format/totals.js";
import type { TraceSpan } from "../../src/format/trace-file.js";

const count = fc.integer({ min: 0, max: 1_000_000 });
const used: fc.Arbitrary<TraceSpan> = fc.record({
  spanId: fc.uuid(),
  parentSpanId: fc.constant(null),
  name: fc.constantFrom("bash", "read", "__proto__", "constructor"),
  kind: fc.constantFrom("tool" as const, "generation" as const, "span" as const),
  startTime: count,
  endTime: count,
  status: fc.constant("ok" as const),
  cost: fc.integer({ min: 0, max: 1_000 }),
  tokens: fc.record({
    input: count,
    output: count,
    reasoning: count,
    cacheRead: count,
    cacheWrite: count,
    total: count,
  }),
});

const totalsOf = (spans: readonly TraceSpan[]): Totals => {
  const totals = new Totals();
  for (const span of spans) totals.add(span);
  return totals;
};

describe("totals", () => {
  it("P7 of two halves, merged through a file, are the totals of the whole", () => {
    fc.assert(
      fc.property(fc.array(used, { maxLength: 20 }), fc.nat({ max: 20 }), (spans, at) => {
        const merged = totalsOf(spans.slice(0, at));
        merged.merge(JSON.parse(JSON.stringify(totalsOf(spans.slice(at)).toJson())));
        expect(merged.toJson()).toEqual(totalsOf(spans).toJson());
      }),
    );
  });

  it("P6 count a value that is no finite number as 0", () => {
    const hostile = { ...span, cost: Number.NaN, tokens: { total: "5", input: null, output: Infinity } };
    const totals = totalsOf([hostile as unknown as TraceSpan, { ...span, kind: "tool", tool: {} }]);
    totals.merge({ cost: "1", totalTokens: {}, tools: [null, { name: 7 }, { name: "a" }] } as never);
    totals.merge({ tools: "none" } as never);
    expect(totals.toJson()).toMatchObject({ spans: 2, cost: 0, totalTokens: 0, toolCalls: 1 });
    expect(totals.tools()).toEqual([
      { name: "work", count: 1, totalDuration: 0 },
      { name: "a", count: 0, totalDuration: 0 },
    ]);
  });

  it("P8 keep a bounded number of tools, and count the calls of the remaining tools", () => {
    const spans = Array.from({ length: 1_500 }, (_, n) => ({
      ...span,
      kind: "tool" as const,
      name: `tool ${n}`,
    }));
    const totals = totalsOf(spans);
    expect(totals.tools()).toHaveLength(1_000);
    expect(totals.counts.totalToolCalls).toBe(1_500);
  });

  it("name the ten tools called most, in order of first use at equal counts", () => {
    const names = [..."abcdefghijkl", ..."klkl"];
    const top = totalsOf(names.map((name) => ({ ...span, kind: "tool", name }))).topTools();
    expect(top.map(({ name }) => name)).toEqual([..."klabcdefgh"]);
    expect(top[0]).toMatchObject({ name: "k", count: 3 });
  });
});

const span: TraceSpan = {
  spanId: "a",
  parentSpanId: null,
  name: "work",
  kind: "span",
  startTime: 0,
  status: "ok",
};
