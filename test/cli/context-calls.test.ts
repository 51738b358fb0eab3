/** The growth of the context: whose calls count, and which call a column of the chart leads to. */
import { expect, test } from "vitest";
import { analyse, type Node } from "../../src/cli/analysis.js";
import { contextCalls, contextChart } from "../../src/cli/context-calls.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { documentOf, rootSpan, startedAt } from "../support/trace-documents.js";

function call(n: number, input: number, parent = rootSpan().spanId): TraceSpan {
  const tokens = { input, output: 1, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: input + 1 };
  const startTime = startedAt + n * 100;
  const of = { spanId: `call${n}`, parentSpanId: parent, startTime, endTime: startTime + 50 };
  return { ...of, kind: "generation", name: "chat", status: "ok", tokens };
}

const nodesOf = (spans: readonly TraceSpan[]): readonly Node[] =>
  analyse(documentOf("ses_1", { spans: [rootSpan(), ...spans] }) as TraceFile).nodes;

test("a subagent has a context of its own, and a context that shrinks was compacted", () => {
  const task = { ...call(2, 0), kind: "tool" as const, spanId: "task" };
  const nodes = nodesOf([call(1, 5_000), task, call(3, 300, "task"), call(4, 6_000), call(5, 1_000)]);
  const calls = contextCalls(nodes);
  expect(calls.map(({ node, isCompacted }) => [node.span.spanId, isCompacted])).toEqual([
    ["call1", false],
    ["call4", false],
    ["call5", true],
  ]);
  expect(contextChart(calls, (node) => nodes.indexOf(node))).toEqual({
    calls: 3,
    compactions: 1,
    largest: 6_000,
    last: 1_000,
    // The numbers of the calls that the columns stand for.
    columns: [
      { n: 0, largest: 5_000, isCompacted: false },
      { n: 3, largest: 6_000, isCompacted: false },
      { n: 4, largest: 1_000, isCompacted: true },
    ],
  });
});

test("a long session has a column for some calls each, and one call is no growth", () => {
  const nodes = nodesOf(Array.from({ length: 1_000 }, (_, n) => call(n, n + 1)));
  const chart = contextChart(contextCalls(nodes), (node) => nodes.indexOf(node));
  expect(chart?.columns).toHaveLength(160);
  expect(chart?.columns[1]).toEqual({ n: 6, largest: 12, isCompacted: false });
  expect(chart?.columns.at(-1)?.largest).toBe(1_000);
  expect(contextChart(contextCalls(nodes.slice(0, 1)), () => 0)).toBe(undefined);
});
