/** What the benches share: real spans, a directory, medians. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "opentelemetry-exporter-crash-safe-file";

const words = "the agent reads a file, thinks about it, and writes down what it found; ";

/** Text of a length, different for each number, so that nothing is cached or compressed away. */
export const text = (bytes, number) =>
  `${number} ${words.repeat(Math.ceil(bytes / words.length))}`.slice(0, bytes);

/** Attributes of a tool call of some 5 KB, as the GenAI conventions name them. */
export const toolCall = (sessionId, number) => ({
  "session.id": sessionId,
  "gen_ai.operation.name": "execute_tool",
  "gen_ai.tool.name": ["bash", "read", "grep", "edit"][number % 4],
  "gen_ai.tool.type": "function",
  "gen_ai.tool.call.id": `call_${number}`,
  "gen_ai.tool.call.arguments": JSON.stringify({ path: `src/file-${number}.ts`, note: text(300, number) }),
  "gen_ai.tool.call.result": text(4_300, number),
  "agent.step": number,
  "agent.retry": false,
  "agent.workspace": "/workspace/project",
});

/** Ended spans that no processor has seen yet. */
export function endedSpans(count, sessionId, from = 0) {
  const tracer = new BasicTracerProvider().getTracer("bench");
  return Array.from({ length: count }, (_, index) => {
    const span = tracer.startSpan("execute_tool", { attributes: toolCall(sessionId, from + index) });
    span.end();
    return span;
  });
}

/** A processor over a file exporter on a directory of its own. */
export function openTrace(options = {}, ports = undefined) {
  const dir = mkdtempSync(join(tmpdir(), "crash-safe-bench-"));
  const exporter = new CrashSafeFileSpanExporter({ dir, ...options }, ports);
  const processor = new CrashSafeSpanProcessor(exporter);
  return { dir, exporter, processor, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

export const median = (values) => quantile(values, 0.5);

/** One row of the report, for the parent. */
export function row(what, measured, limit, detail = "") {
  process.stdout.write(`${JSON.stringify({ what, measured, limit, detail })}\n`);
}

/** Fills a session with spans of 5 KB, without keeping them. */
export async function fill(processor, sessionId, spans, from = 0) {
  for (let done = 0; done < spans; done += 500) {
    for (const span of endedSpans(Math.min(500, spans - done), sessionId, from + done)) processor.onEnd(span);
    await new Promise(setImmediate);
  }
}
