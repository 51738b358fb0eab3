/** A session whose only model call threw, through the AI SDK. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { generateText } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "failed-model-call-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("P14 counts the failed spans, of the call and of the agent, and one turn", async () => {
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("app");
  const model = new MockLanguageModelV3({
    doGenerate: async () => {
      throw new Error("model is down");
    },
  });
  const experimental_telemetry = { isEnabled: true, tracer, metadata: { sessionId: "s" } };
  const answer = generateText({ model, prompt: "Hello?", maxRetries: 0, experimental_telemetry });
  await expect(answer).rejects.toThrow("model is down");
  await processor.shutdown();
  const { summary } = JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));
  expect(summary).toMatchObject({
    status: "completed",
    errors: 2,
    turns: 1,
    totalGenerations: 1,
    interrupted: 0,
  });
});
