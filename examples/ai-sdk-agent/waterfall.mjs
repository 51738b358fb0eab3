// Prints a trace as a tree with bars on a time axis. As a program of its own:
//
//   node examples/ai-sdk-agent/waterfall.mjs <session>.json
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { readTrace } from "opentelemetry-exporter-crash-safe-file";

/** Colour where the terminal shows it. Node asks the terminal and NO_COLOR; Bun and older ones do not ask. */
export const paint = (style, text) => (process.env.NO_COLOR ? text : styleText(style, text));

export const screenWidth = () => Math.min(process.stdout.columns || Number(process.env.COLUMNS) || 80, 140);

const styles = { session: "bold", generation: "cyan", tool: "green" };
const timeWidth = 13;
const tokenWidth = 8;
/** How a bar ends, so that no colour is needed to tell. */
const ends = { ended: "━", running: "▶", interrupted: "✗", failed: "✗" };

/** The lines of a waterfall of `trace`, at most `width` columns wide. */
export function waterfall(trace, width = screenWidth()) {
  const rows = rowsOf(trace);
  const labelWidth = Math.min(Math.max(...rows.map(({ label }) => label.length)), Math.floor(width * 0.4));
  const barWidth = width - labelWidth - timeWidth - tokenWidth - 2;
  const start = Math.min(...trace.spans.map((span) => span.startTime));
  const end = Math.max(Date.parse(trace.endedAt), ...trace.spans.map((span) => span.endTime ?? 0));
  const axis = `0 s${duration(end - start).padStart(barWidth - 3)}`;
  const header = `${"".padEnd(labelWidth)}${"time".padStart(timeWidth)}${"tokens".padStart(tokenWidth)}  ${axis}`;
  const place = (time) => Math.round(((time - start) / (end - start || 1)) * (barWidth - 1));
  const lines = rows.map(({ span, label }) => {
    const { startTime, endTime = end } = span;
    const state = stateOf(span);
    // Of an interrupted span nobody knows when it stopped: its bar ends at its last sign of life.
    const time = state === "ended" || state === "failed" ? duration(endTime - startTime) : state;
    const tokens = span.tokens?.total.toLocaleString("en") ?? "";
    const bar = `${" ".repeat(place(startTime))}${"━".repeat(place(endTime) - place(startTime))}${ends[state]}`;
    const style = state === "interrupted" || state === "failed" ? "red" : (styles[span.kind] ?? "reset");
    const numbers = `${time.padStart(timeWidth)}${tokens.padStart(tokenWidth)}`;
    return `${paint(style, cell(label, labelWidth))}${numbers}  ${paint(style, bar)}`;
  });
  return [paint("dim", header), ...lines];
}

/** The session as a tree, children in order of start. */
function rowsOf({ spans }) {
  const children = new Map();
  for (const span of spans) {
    const siblings = children.get(span.parentSpanId);
    if (siblings) siblings.push(span);
    else children.set(span.parentSpanId, [span]);
  }
  const rows = [];
  const add = (span, indent, branch) => {
    rows.push({ span, label: `${indent}${branch}${nameOf(span)}` });
    const inner = [...(children.get(span.spanId) ?? [])].sort((a, b) => a.startTime - b.startTime);
    const below = branch === "" ? "" : `${indent}${branch === "└ " ? "  " : "│ "}`;
    for (const child of inner) add(child, below, child === inner.at(-1) ? "└ " : "├ ");
  };
  for (const root of children.get(null) ?? []) add(root, "", "");
  return rows;
}

function stateOf(span) {
  if (span.interrupted) return "interrupted";
  if (span.endTime === undefined) return "running";
  return span.status === "error" ? "failed" : "ended";
}

/** A generation is called by its model, which says more than the name of the library's function. */
function nameOf(span) {
  if (span.kind === "generation") return `model ${span.model?.modelId ?? span.name}`;
  if (span.kind === "tool") return `tool ${span.name}`;
  return span.name;
}

const cell = (text, width) => (text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width));

/** `12 ms`, `3.4 s`, `2 m 05 s`. */
export function duration(millis) {
  if (millis < 1000) return `${Math.round(millis)} ms`;
  if (millis < 60_000) return `${(millis / 1000).toFixed(1)} s`;
  const seconds = Math.round(millis / 1000);
  return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, "0")} s`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { trace } = await readTrace(process.argv[2] ?? "");
  console.log(`session ${trace.id ?? trace.sessionId}, ${trace.summary.status}`);
  for (const line of waterfall(trace)) console.log(line);
}
