/** Signs, words and colours of the states of sessions and spans. A colour is never the only sign. */
import type { SpanState } from "./analysis.js";
import type { SessionState } from "./session-catalog.js";
import type { Terminal } from "./terminal.js";

/** Beside the words: a glance down a column finds what needs attention. */
export const stateSigns: Readonly<Record<SessionState, string>> = {
  running: "▶",
  idle: "◦",
  completed: "✓",
  error: "✗",
  crashed: "✗",
  damaged: "?",
};

export function stateStyle(state: SessionState, { colors }: Terminal): (text: string) => string {
  if (state === "running") return colors.cyan;
  if (state === "completed") return colors.green;
  if (state === "idle") return colors.dim;
  return state === "damaged" ? colors.yellow : colors.red;
}

export const spanWords: Readonly<Record<SpanState, string>> = {
  ok: "ok",
  failed: "failed",
  running: "running",
  cut: "interrupted",
};

export const spanSign = (state: SpanState): string =>
  ({ ok: " ", failed: "✗", running: "▶", cut: "!" })[state];

export function spanStyle(state: SpanState, { colors }: Terminal): (text: string) => string {
  if (state === "failed") return colors.red;
  if (state === "cut") return colors.yellow;
  return state === "running" ? colors.cyan : (text) => text;
}
