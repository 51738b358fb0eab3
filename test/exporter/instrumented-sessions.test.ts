/** Sessions of the real Vercel AI SDK: its metadata names the document, and an embedding is no model call. */
import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { embed, generateText } from "ai";
import { MockEmbeddingModelV3, MockLanguageModelV3 } from "ai/test";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../src/index.js";
import { Stage } from "../support/session-stage.js";

beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterAll(() => context.disable());

let stage: Stage;
let provider: BasicTracerProvider;
beforeEach(() => {
  stage = new Stage();
  const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir });
  provider = new BasicTracerProvider({ spanProcessors: [new CrashSafeSpanProcessor(exporter)] });
});
afterEach(async () => {
  await provider.shutdown();
  stage.remove();
});

const telemetry = (metadata: Record<string, string>) => ({
  experimental_telemetry: { isEnabled: true, metadata, tracer: provider.getTracer("ai") },
});

const model = new MockLanguageModelV3({
  doGenerate: async () => ({
    content: [{ type: "text", text: "Sunny." }],
    finishReason: { unified: "stop", raw: "stop" },
    usage: {
      inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 2, text: 2, reasoning: 0 },
    },
    warnings: [],
  }),
});

test.each(["sessionId", "session_id", "threadId", "conversationId"])(
  "the metadata %s of the AI SDK names one document with all spans",
  async (key) => {
    for (const prompt of ["Weather?", "And tomorrow?"])
      await generateText({ model, prompt, ...telemetry({ [key]: "ses_1" }) });
    await provider.shutdown();
    expect(stage.files).toEqual(["ses_1.json"]);
    const { spans, summary } = stage.document("ses_1");
    expect(spans.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
      "generation ai.generateText.doGenerate",
      "span ai.generateText",
      "generation ai.generateText.doGenerate",
      "span ai.generateText",
      "session ses_1",
    ]);
    expect(summary).toMatchObject({ status: "completed", totalGenerations: 2, totalTokens: 10, turns: 2 });
  },
);

test("an embedding counts its tokens, and is not a model call of the summary", async () => {
  const embedding = new MockEmbeddingModelV3({
    doEmbed: async () => ({ embeddings: [[0.25, 0.5]], usage: { tokens: 7 }, warnings: [] }),
  });
  await embed({ model: embedding, value: "sun", ...telemetry({ sessionId: "ses_1" }) });
  await provider.shutdown();
  const { spans, summary } = stage.document("ses_1");
  expect(spans.map(({ kind }) => kind)).toEqual(["embedding", "span", "session"]);
  expect(spans[0]).toMatchObject({ input: ["sun"], output: [[0.25, 0.5]], tokens: { input: 7, total: 7 } });
  expect(summary).toMatchObject({ status: "completed", totalGenerations: 0, totalTokens: 7 });
  expect(summary.narrative).not.toContain("LLM call");
});
