import { describe, expect, it } from "vitest";
import {
  formatDuration,
  type Narrated,
  narrate,
  narrateDocument,
  rootOutput,
  summarize,
} from "../../src/format/summary.js";
import { Totals } from "../../src/format/totals.js";
import type { SessionSummary, ToolUse } from "../../src/format/trace-file.js";

const tools = (...names: string[]): ToolUse[] => names.map((name) => ({ name, count: 1, totalDuration: 0 }));
const loop = { tool: "bash", count: 3, description: "" };
const bare: Narrated = { status: "completed", duration: 950, totalGenerations: 0, totalCost: 0 };

describe("narrative", () => {
  it.each<[string, Partial<Narrated>, number]>([
    ["Completed in 950ms. Total cost: $0.0000.", {}, 0],
    ["Failed after 950ms. Total cost: $0.0000.", { status: "error" }, 0],
    ["Failed after 950ms. Total cost: $0.0000.", { status: "crashed" }, 0],
    ["Completed in 950ms. Total cost: $0.0000.", { status: "running" }, 0],
    ["Completed in 950ms. Made 1 LLM call. Total cost: $0.0000.", { totalGenerations: 1 }, 0],
    ["Completed in 950ms. Made 2 LLM calls. Total cost: $0.0000.", { totalGenerations: 2 }, 0],
    [
      "Completed in 950ms. Made 2 LLM calls using 1 tools (bash). Total cost: $0.0000.",
      { totalGenerations: 2, topTools: tools("bash") },
      1,
    ],
    ["Completed in 950ms using 2 tools (b, a). Total cost: $0.0000.", { topTools: tools("b", "a") }, 2],
    [
      "Completed in 950ms using 12 tools (d, c, b). Total cost: $0.0000.",
      { topTools: tools("d", "c", "b", "a") },
      12,
    ],
    [
      "Failed after 2m5s. Made 3 LLM calls using 1 tools (bash). Warning: 2 loop(s) detected. Total cost: $1.2346.",
      {
        status: "error",
        duration: 125_999,
        totalGenerations: 3,
        topTools: tools("bash"),
        loops: [loop, loop],
        totalCost: 1.23456,
      },
      1,
    ],
  ])("reads: %s", (text, summary, distinctTools) => {
    expect(narrate({ ...bare, ...summary }, distinctTools)).toBe(text);
  });

  it.each([
    [0, "0ms"],
    [-5, "0ms"],
    [Number.NaN, "0ms"],
    [Number.POSITIVE_INFINITY, "0ms"],
    [0.4, "0ms"],
    [950, "950ms"],
    [999, "999ms"],
    [999.9, "999ms"],
    [1_000, "1.0s"],
    [1_234, "1.2s"],
    [59_949, "59.9s"],
    [59_950, "59.9s"],
    [59_999.9, "59.9s"],
    [60_000, "1m0s"],
    [60_999, "1m0s"],
    [119_999, "1m59s"],
    [125_000, "2m5s"],
    [3_600_000, "60m0s"],
    [90_061_000, "1501m1s"],
  ])("writes %d ms as %s", (millis, text) => {
    expect(formatDuration(millis)).toBe(text);
  });

  it("of a running document counts the tools of its layout, or those that its summary names", () => {
    const summary = { ...bare, status: "running", topTools: tools("a", "b") } as SessionSummary;
    expect(narrateDocument({ summary })).toBe(
      "Completed in 950ms using 2 tools (a, b). Total cost: $0.0000.",
    );
    const layout = { v: 1 as const, tailStart: 0, tools: tools(..."abcdefghijkl") };
    expect(narrateDocument({ summary, layout })).toContain(" using 12 tools (a, b)");
  });

  it("is in the summary of an ended session, not of a running one", () => {
    const totals = new Totals();
    const tool = {
      spanId: "a",
      parentSpanId: null,
      kind: "tool",
      startTime: 1,
      endTime: 2,
      status: "ok",
    } as const;
    for (const name of "aaabcdefghijk") totals.add({ ...tool, name, input: {} });
    const lastActivityAt = "2026-01-01T00:00:00.000Z";
    const state = { error: undefined, detector: undefined, duration: 1_200, lastActivityAt };
    expect(summarize(totals, { ...state, status: "running" }).narrative).toBeUndefined();
    expect(summarize(totals, { ...state, status: "completed", idle: true }).narrative).toBeUndefined();
    expect(summarize(totals, { ...state, status: "completed" }).narrative).toBe(
      "Completed in 1.2s using 11 tools (a, b, c). Warning: 1 loop(s) detected. Total cost: $0.0000.",
    );
    for (const status of ["error", "crashed"] as const) {
      expect(summarize(totals, { ...state, status }).narrative).toMatch(/^Failed after 1.2s using 11 tools/);
    }
  });
});

describe("the session span's output", () => {
  const used = { totalGenerations: 2, totalToolCalls: 1, totalTokens: 1_234, totalCost: 0.01239 };
  it("contains what was used, or the error; nothing of a crash or a running session", () => {
    const counts = "2 generations, 1 tool calls, 1234 tokens, $0.0124";
    expect(rootOutput({ ...used, status: "completed" })).toBe(counts);
    expect(rootOutput({ ...used, status: "error", error: "boom" })).toBe("Error: boom");
    expect(rootOutput({ ...used, status: "error" })).toBe(counts);
    expect(rootOutput({ ...used, status: "crashed", error: "boom" })).toBeUndefined();
    expect(rootOutput({ ...used, status: "running", error: "boom" })).toBeUndefined();
    expect(rootOutput({ ...used, status: "completed", idle: true })).toBeUndefined();
  });
});
