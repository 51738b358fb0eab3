/** Trace documents as callers of altimate-code pass them. */
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";

export const startedAt = Date.UTC(2026, 0, 2, 3, 4, 5);

/** The session's own span, id `root`. */
export const rootSpan = (over: Partial<TraceSpan> = {}): TraceSpan => ({
  spanId: "root",
  parentSpanId: null,
  name: "ses_1",
  kind: "session",
  startTime: startedAt,
  endTime: startedAt + 1_000,
  status: "ok",
  ...over,
});

/** A tool call. `n` orders it. */
export const toolSpan = (n: number, over: Partial<TraceSpan> = {}): TraceSpan => ({
  spanId: `tool${n}`,
  parentSpanId: "root",
  name: "bash",
  kind: "tool",
  startTime: startedAt + n,
  endTime: startedAt + n + 1,
  status: "ok",
  ...over,
});

export const toolSpans = (count: number): TraceSpan[] => Array.from({ length: count }, (_, n) => toolSpan(n));

/** A settled document of session `id`. */
export function documentOf(id: string, over: Partial<TraceFile> = {}): TraceFile {
  const spans = [rootSpan({ name: id }), ...toolSpans(3)];
  return {
    version: 2,
    id,
    traceId: "0af7651916cd43dd8448eb211c80319c",
    sessionId: id,
    startedAt: new Date(startedAt).toISOString(),
    endedAt: new Date(startedAt + 1_000).toISOString(),
    metadata: { title: `title of ${id}` },
    spans,
    summary: {
      totalTokens: 0,
      totalCost: 0,
      totalToolCalls: 3,
      totalGenerations: 0,
      duration: 1_000,
      status: "completed",
      tokens: { input: 0, output: 0, reasoning: 0, cacheRead: 0, cacheWrite: 0 },
    },
    ...over,
  };
}
