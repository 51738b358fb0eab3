/** The prompt of a session whose spans come from any instrumentation. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { SpanProcessor } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "session-prompt-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The root span of one turn, as an instrumentation with the GenAI conventions makes it. */
const turn = (text: string) => ({
  attributes: {
    "session.id": "ses_1",
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: text }] }]),
  },
});

const promptOf = () =>
  (JSON.parse(readFileSync(join(dir, "ses_1.json"), "utf8")) as TraceFile).metadata?.prompt;

test("the prompt of the first root stays, also after a resume", async () => {
  for (const turns of [["Find the bug", "Fix it"], ["Now test it"]]) {
    const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
    const provider = new BasicTracerProvider({ spanProcessors: [processor as SpanProcessor] as never });
    for (const text of turns) provider.getTracer("agent").startSpan("invoke_agent", turn(text)).end();
    await processor.shutdown();
    expect(promptOf()).toBe("Find the bug");
  }
});

test("a session tracer's prompt is not replaced by a root of another instrumentation", async () => {
  const tracing = createSessionTracing({ dir });
  const tracer = tracing.tracer("ses_1", { prompt: "Find the bug" });
  tracing.tracerProvider.getTracer("agent").startSpan("invoke_agent", turn("You are an agent")).end();
  await tracer.flush();
  expect(promptOf()).toBe("Find the bug");
  tracer.setPrompt("Find all bugs");
  await tracing.shutdown();
  expect(promptOf()).toBe("Find all bugs");
});
