/** Counters of a document that the earlier tracer wrote, and spans that its cap left out. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { spanOf } from "../support/projection-span.js";

const id = "ses_foreign";
let dir: string;
let path: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "foreign-"));
  path = join(dir, `${id}.json`);
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

let spans = 0;
const traced = (name: string) => {
  const spanId = (0x2000_0000 + spans++).toString(16).padStart(16, "0");
  return spanOf({
    name,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    attributes: { "session.id": id, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name },
  });
};

/** Ends a session with these spans. */
async function record(...names: string[]): Promise<TraceFile> {
  const exporter = new CrashSafeFileSpanExporter({ dir });
  for (const name of names) exporter.recordEnd(traced(name));
  await exporter.shutdown();
  return JSON.parse(fs.readFileSync(path, "utf8"));
}

describe("D7 a document of the earlier tracer", () => {
  const used = { input: 1, output: 2, reasoning: 3, cacheRead: 4, cacheWrite: 5 };
  const tool = (n: number, input: unknown) => ({
    spanId: `0197-${n}`,
    parentSpanId: "0197-root",
    name: "bash",
    kind: "tool",
    startTime: 1_000 + n,
    endTime: 1_002 + n,
    status: "ok",
    input,
    tool: { durationMs: 2 },
  });
  const marker = {
    spanId: "0197-marker",
    parentSpanId: "0197-root",
    name: "… 7 spans elided …",
    kind: "span",
    startTime: 1_000,
    endTime: 1_000,
    status: "ok",
    attributes: { elided: 7, totalSpans: 12 },
  };
  const root = {
    ...marker,
    spanId: "0197-root",
    parentSpanId: null,
    name: id,
    kind: "session",
    attributes: {},
  };
  const old = (spans: readonly unknown[], rest: object) =>
    fs.writeFileSync(
      path,
      JSON.stringify(
        {
          version: 2,
          traceId: "0197",
          sessionId: id,
          startedAt: "2025-01-01T00:00:00.000Z",
          spans,
          metadata: {},
          ...rest,
        },
        null,
        2,
      ),
    );
  const loop = { tool: "read", inputHash: "old", count: 5, description: "read called 5 times" };
  /** Seven spans are left out: three calls of bash, two of read, a generation and a message. */
  const summary = {
    totalTokens: 115,
    totalCost: 0.5,
    totalToolCalls: 9,
    totalGenerations: 1,
    duration: 1,
    status: "completed",
    tokens: { ...used, input: 101 },
    topTools: [
      { name: "bash", count: 7, totalDuration: 100 },
      { name: "read", count: 2, totalDuration: 50 },
    ],
    loops: [loop],
  };
  const spans = [root, tool(1, "a"), tool(2, "b"), marker, tool(8, "same"), tool(9, "same")];

  it("continues its counters, loops and last calls, and its marker is added to the new marker", async () => {
    old(spans, { summary });
    const exporter = new CrashSafeFileSpanExporter({ dir, maxSpans: 10 });
    const again = traced("bash");
    exporter.recordEnd({
      ...again,
      attributes: { ...again.attributes, "gen_ai.tool.call.arguments": "same" },
    });
    await exporter.forceFlush();
    const counted = { totalToolCalls: 10, totalGenerations: 1, totalTokens: 115, totalCost: 0.5 };
    const isExact = (trace: TraceFile, calls: number) => {
      expect(trace.summary).toMatchObject({ ...counted, totalToolCalls: calls, tokens: summary.tokens });
      expect(trace.summary.topTools?.map(({ name, count }) => [name, count]).slice(0, 2)).toEqual([
        ["bash", 8],
        ["read", 2],
      ]);
      expect(trace.summary.loops).toMatchObject([
        { tool: "read", inputHash: "old", count: 5 },
        { tool: "bash", count: 3 },
      ]);
      const markers = trace.spans.filter(({ attributes }) => attributes?.elided !== undefined);
      const totalSpans = 13 + calls - 10;
      const elided = totalSpans - (trace.spans.length - 1);
      expect(markers).toMatchObject([{ attributes: { elided, totalSpans } }]);
    };
    const running = JSON.parse(fs.readFileSync(path, "utf8"));
    isExact(running, 10);
    // Recounted from lines.
    isExact((await readTrace(path)).trace, 10);
    for (const name of "cdefgh") exporter.recordEnd(traced(name));
    await exporter.shutdown();
    const ended: TraceFile = JSON.parse(fs.readFileSync(path, "utf8"));
    expect(ended.spans).toHaveLength(10);
    isExact(ended, 16);
  });

  it("is counted from its spans where it has no summary", async () => {
    old(
      spans.filter((span) => span !== marker),
      {},
    );
    const trace = await record("bash");
    expect(trace.summary).toMatchObject({ totalToolCalls: 5, topTools: [{ name: "bash", count: 5 }] });
  });

  it("P6 may have any value in its marker", async () => {
    for (const rest of [
      {},
      { summary: { totalToolCalls: 0, tokens: null, topTools: [null, 7], loops: 1 } },
    ]) {
      old([root, { ...marker, attributes: { elided: 7 } }, tool(1, null)], rest);
      const trace = await record("new");
      expect(trace.summary.totalToolCalls).toBeGreaterThan(0);
    }
  });
});
