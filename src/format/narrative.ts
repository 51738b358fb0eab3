/**
 * A session in a sentence: what its summary and its session span say once it has ended.
 */
import type { SessionSummary, TraceFile } from "./trace-file.js";

/** What a narrative tells of. */
export type Narrated = Pick<
  SessionSummary,
  "status" | "duration" | "totalGenerations" | "totalCost" | "topTools" | "loops"
>;

/**
 * `Completed in 2m5s. Made 3 LLM calls using 2 tools (bash, read). Total cost: $0.0123.` Of a session that has
 * not ended: as if it completed now.
 *
 * @param distinctTools how many kinds of tools were called; `topTools` names ten at most
 */
export function narrate(summary: Narrated, distinctTools: number): string {
  const { status, duration, totalGenerations, totalCost, topTools = [], loops = [] } = summary;
  const hasFailed = status === "error" || status === "crashed";
  const top = topTools.slice(0, 3).map(({ name }) => name);
  return [
    `${hasFailed ? "Failed after" : "Completed in"} ${formatDuration(duration)}`,
    totalGenerations > 0 && `. Made ${totalGenerations} LLM call${totalGenerations === 1 ? "" : "s"}`,
    distinctTools > 0 && ` using ${distinctTools} tools (${top.join(", ")})`,
    ".",
    loops.length > 0 && ` Warning: ${loops.length} loop(s) detected.`,
    ` Total cost: ${dollars(totalCost)}.`,
  ]
    .filter((part) => part !== false)
    .join("");
}

/** The narrative of a document as it stands, for those who are shown a session that still runs. */
export function narrateDocument({ summary, layout }: Pick<TraceFile, "summary" | "layout">): string {
  return narrate(summary, layout?.tools?.length ?? summary.topTools?.length ?? 0);
}

/** What the session span of an ended session says; nothing of one that crashed or still runs. */
export function rootOutput(
  summary: Pick<
    SessionSummary,
    "status" | "error" | "totalGenerations" | "totalToolCalls" | "totalTokens" | "totalCost"
  >,
): string | undefined {
  const { status, error, totalGenerations, totalToolCalls, totalTokens, totalCost } = summary;
  if (status !== "completed" && status !== "error") return undefined;
  if (status === "error" && error) return `Error: ${error}`;
  return `${totalGenerations} generations, ${totalToolCalls} tool calls, ${totalTokens} tokens, ${dollars(totalCost)}`;
}

const dollars = (cost: number): string => `$${cost.toFixed(4)}`;

/** `950ms`, `1.2s`, `2m5s`: never a minute of 60 seconds, nor a second of 1000 milliseconds. */
export function formatDuration(millis: number): string {
  const known = Number.isFinite(millis) ? Math.max(0, millis) : 0;
  if (known < 1_000) return `${Math.floor(known)}ms`;
  if (known < 60_000) return `${Math.min(59.9, known / 1_000).toFixed(1)}s`;
  const minutes = Math.floor(known / 60_000);
  return `${minutes}m${Math.floor((known % 60_000) / 1_000)}s`;
}
