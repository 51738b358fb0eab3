import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import {
  embed,
  generateObject,
  generateText,
  simulateReadableStream,
  stepCountIs,
  streamText,
  tool,
} from "ai";
import { MockEmbeddingModelV3, MockLanguageModelV3 } from "ai/test";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type ProjectedSpan, projectSpan } from "../../src/projection/project-span.js";
import { spanOf } from "../support/projection-span.js";

const usage = {
  inputTokens: { total: 100, noCache: 60, cacheRead: 30, cacheWrite: 10 },
  outputTokens: { total: 50, text: 35, reasoning: 15 },
};
const tokens = { input: 60, output: 35, reasoning: 15, cacheRead: 30, cacheWrite: 10, total: 150 };

/** A model that calls a tool first and then answers. */
function forecaster() {
  const callsTool = {
    content: [
      { type: "tool-call" as const, toolCallId: "call_1", toolName: "weather", input: '{"city":"Paris"}' },
    ],
    finishReason: { unified: "tool-calls" as const, raw: "tool_calls" },
  };
  const answers = {
    content: [{ type: "text" as const, text: "Sunny." }],
    finishReason: { unified: "stop" as const, raw: "stop" },
  };
  let calls = 0;
  return new MockLanguageModelV3({
    provider: "openai.chat",
    modelId: "gpt-4o",
    doGenerate: async () => ({
      ...(calls++ === 0 ? callsTool : answers),
      usage,
      warnings: [],
      response: { id: `chatcmpl-${calls}`, modelId: "gpt-4o-2024-08-06", timestamp: new Date(0) },
    }),
  });
}

function telemetry(provider: BasicTracerProvider) {
  return {
    isEnabled: true,
    functionId: "forecast",
    metadata: { userId: "u1" },
    tracer: provider.getTracer("ai", "6.0.0"),
  };
}

const weather = tool({
  description: "The weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => "sunny",
});

/** Runs the real SDK and projects its spans, in order of completion. */
async function record(
  run: (settings: ReturnType<typeof telemetry>) => Promise<unknown>,
): Promise<ProjectedSpan[]> {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  await run(telemetry(provider)).catch(() => {});
  return exporter.getFinishedSpans().map(projectSpan);
}

/** Values that differ from run to run, from the span itself. */
function varying({ span }: ProjectedSpan) {
  const { spanId, parentSpanId, traceId, startTime, endTime } = span;
  return { spanId, parentSpanId, traceId, startTime, endTime };
}

const everywhere = {
  "resource.name": "forecast",
  "ai.telemetry.functionId": "forecast",
  "ai.telemetry.metadata.userId": "u1",
  "otel.scope.name": "ai",
  "otel.scope.version": "6.0.0",
};

describe("Vercel AI SDK 6, live", () => {
  const manager = new AsyncLocalStorageContextManager();
  beforeAll(() => void context.setGlobalContextManager(manager.enable()));
  afterAll(() => context.disable());

  describe("generateText with a tool", () => {
    let first: ProjectedSpan, call: ProjectedSpan, second: ProjectedSpan, outer: ProjectedSpan;
    let all: ProjectedSpan[];
    beforeAll(async () => {
      all = await record((experimental_telemetry) =>
        generateText({
          model: forecaster(),
          system: "Be short.",
          prompt: "Weather in Paris?",
          tools: { weather },
          stopWhen: stepCountIs(3),
          experimental_telemetry,
        }),
      );
      [first, call, second, outer] = all as [ProjectedSpan, ProjectedSpan, ProjectedSpan, ProjectedSpan];
    });

    test("counts each model call once: the inner spans are generations, the outer is not", () => {
      expect(all.map(({ span }) => [span.name, span.kind, span.tokens?.total])).toEqual([
        ["ai.generateText.doGenerate", "generation", 150],
        ["weather", "tool", undefined],
        ["ai.generateText.doGenerate", "generation", 150],
        ["ai.generateText", "span", undefined],
      ]);
      expect(new Set(all.map(({ span }) => span.traceId)).size).toBe(1);
      expect([first, call, second].map(({ span }) => span.parentSpanId)).toEqual(
        Array.from({ length: 3 }, () => outer.span.spanId),
      );
      expect(outer.span.parentSpanId).toBeNull();
    });

    test("projects a generation that calls a tool", () => {
      const user = { role: "user", content: [{ type: "text", content: "Weather in Paris?" }] };
      const system = { role: "system", content: [{ type: "text", content: "Be short." }] };
      const asked = { type: "tool_call", id: "call_1", name: "weather", arguments: { city: "Paris" } };
      expect(first.span).toStrictEqual({
        ...varying(first),
        name: "ai.generateText.doGenerate",
        kind: "generation",
        status: "ok",
        model: { modelId: "gpt-4o-2024-08-06", providerId: "openai.chat" },
        finishReason: "tool_call",
        input: [system, user],
        output: [{ role: "assistant", content: [asked] }],
        tokens,
        attributes: {
          ...everywhere,
          "operation.name": "ai.generateText.doGenerate forecast",
          "ai.operationId": "ai.generateText.doGenerate",
          // The model that was requested is not the one that answered.
          "ai.model.id": "gpt-4o",
          "gen_ai.request.model": "gpt-4o",
          "ai.settings.maxRetries": 2,
          "ai.request.headers.user-agent": expect.stringMatching(/^ai\/6\./),
          "ai.prompt.tools": [expect.stringContaining('"name":"weather"')],
          "ai.prompt.toolChoice": '{"type":"auto"}',
          "ai.response.id": "chatcmpl-1",
          "ai.response.timestamp": "1970-01-01T00:00:00.000Z",
          "gen_ai.response.id": "chatcmpl-1",
          "gen_ai.response.finish_reasons": ["tool-calls"],
        },
      });
      expect(first.metadata).toStrictEqual({
        model: "openai.chat/gpt-4o",
        providerId: "openai.chat",
        userId: "u1",
      });
    });

    test("projects the tool under its own name, with its result as plain text", () => {
      const { startTime, endTime } = call.span;
      expect(call.span).toStrictEqual({
        ...varying(call),
        name: "weather",
        kind: "tool",
        status: "ok",
        tool: { callId: "call_1", durationMs: Math.round(((endTime ?? 0) - startTime) * 1000) / 1000 },
        input: { city: "Paris" },
        output: "sunny",
        attributes: {
          ...everywhere,
          "operation.name": "ai.toolCall forecast",
          "ai.operationId": "ai.toolCall",
          "otel.span_name": "ai.toolCall",
        },
      });
      expect(call.metadata).toStrictEqual({ userId: "u1" });
    });

    test("projects an answer as its text", () => {
      expect(second.span).toMatchObject({ finishReason: "stop", output: "Sunny." });
    });

    test("leaves the totals of the outer span among its attributes", () => {
      expect(outer.span).toStrictEqual({
        ...varying(outer),
        name: "ai.generateText",
        kind: "span",
        status: "ok",
        model: { modelId: "gpt-4o", providerId: "openai.chat" },
        input: { system: "Be short.", prompt: "Weather in Paris?" },
        output: "Sunny.",
        attributes: {
          ...everywhere,
          "operation.name": "ai.generateText forecast",
          "ai.operationId": "ai.generateText",
          "ai.settings.maxRetries": 2,
          "ai.request.headers.user-agent": expect.stringMatching(/^ai\/6\./),
          "ai.response.finishReason": "stop",
          "ai.usage.inputTokens": 200,
          "ai.usage.inputTokenDetails.noCacheTokens": 120,
          "ai.usage.inputTokenDetails.cacheReadTokens": 60,
          "ai.usage.inputTokenDetails.cacheWriteTokens": 20,
          "ai.usage.outputTokens": 100,
          "ai.usage.outputTokenDetails.textTokens": 70,
          "ai.usage.outputTokenDetails.reasoningTokens": 30,
          "ai.usage.totalTokens": 300,
          "ai.usage.reasoningTokens": 30,
          "ai.usage.cachedInputTokens": 60,
        },
      });
      expect(outer.metadata).toStrictEqual({
        model: "openai.chat/gpt-4o",
        providerId: "openai.chat",
        prompt: "Weather in Paris?",
        userId: "u1",
      });
    });
  });

  test("streamText: the doStream span is the generation", async () => {
    const model = new MockLanguageModelV3({
      doStream: async () => ({
        stream: simulateReadableStream({
          chunks: [
            { type: "text-start", id: "1" },
            { type: "text-delta", id: "1", delta: "Sun" },
            { type: "text-delta", id: "1", delta: "ny." },
            { type: "text-end", id: "1" },
            { type: "finish", finishReason: { unified: "stop", raw: "stop" }, usage },
          ],
        }),
      }),
    });
    const messages = [{ role: "user" as const, content: "Again?" }];
    const spans = await record(async (experimental_telemetry) => {
      const { textStream } = streamText({ model, messages, experimental_telemetry });
      for await (const _ of textStream);
    });
    expect(
      spans.map(({ span }) => [span.name, span.kind, span.output, span.tokens, span.finishReason]),
    ).toEqual([
      ["ai.streamText.doStream", "generation", "Sunny.", tokens, "stop"],
      ["ai.streamText", "span", "Sunny.", undefined, undefined],
    ]);
    expect(spans[0]?.span.attributes?.["otel.events"]).toMatchObject([
      { name: "ai.stream.firstChunk" },
      { name: "ai.stream.finish" },
    ]);
    expect(spans[1]?.metadata.prompt).toBe("Again?");
  });

  test("generateObject: the model wrote a text, and the program gets the object", async () => {
    const model = new MockLanguageModelV3({
      doGenerate: async () => ({
        content: [{ type: "text", text: '{"sky":"blue"}' }],
        finishReason: { unified: "stop", raw: "stop" },
        usage,
        warnings: [],
      }),
    });
    const spans = await record((experimental_telemetry) =>
      generateObject({
        model,
        schema: z.object({ sky: z.string() }),
        prompt: "Sky?",
        experimental_telemetry,
      }),
    );
    expect(spans.map(({ span }) => [span.name, span.kind, span.output])).toEqual([
      ["ai.generateObject.doGenerate", "generation", '{"sky":"blue"}'],
      ["ai.generateObject", "span", { sky: "blue" }],
    ]);
  });

  test("embed: the call counts its tokens, and its model is not the session's", async () => {
    const model = new MockEmbeddingModelV3({
      doEmbed: async () => ({ embeddings: [[0.25, 0.5]], usage: { tokens: 7 }, warnings: [] }),
    });
    const spans = await record((experimental_telemetry) =>
      embed({ model, value: "sun", experimental_telemetry }),
    );
    expect(spans.map(({ span }) => [span.name, span.kind, span.input, span.tokens?.total])).toEqual([
      ["ai.embed.doEmbed", "embedding", ["sun"], 7],
      ["ai.embed", "span", "sun", undefined],
    ]);
    expect(spans.map(({ metadata }) => metadata)).toEqual([{ userId: "u1" }, { userId: "u1" }]);
  });

  test("a failing model: status and message on both spans", async () => {
    const model = new MockLanguageModelV3({
      doGenerate: async () => {
        throw new Error("model is down");
      },
    });
    const spans = await record((experimental_telemetry) =>
      generateText({ model, prompt: "Hello?", maxRetries: 0, experimental_telemetry }),
    );
    expect(
      spans.map(({ span }) => [span.name, span.kind, span.status, span.statusMessage, span.tokens]),
    ).toEqual([
      ["ai.generateText.doGenerate", "generation", "error", "model is down", undefined],
      ["ai.generateText", "span", "error", "model is down", undefined],
    ]);
  });
});

describe("ai.* keys", () => {
  test("text and tool calls of one answer are kept together", () => {
    const attributes = {
      "ai.operationId": "ai.streamText.doStream",
      "ai.response.text": '{"not":"parsed"}',
      "ai.response.toolCalls": '[{"toolName":"weather"}]',
    };
    expect(projectSpan(spanOf({ attributes })).span.output).toStrictEqual([
      {
        role: "assistant",
        content: [
          { type: "text", content: '{"not":"parsed"}' },
          { type: "tool_call", name: "weather" },
        ],
      },
    ]);
  });

  test("usage of major 4 has other names", () => {
    const attributes = {
      "ai.operationId": "ai.generateText.doGenerate",
      "ai.usage.promptTokens": 10,
      "ai.usage.completionTokens": 5,
    };
    expect(projectSpan(spanOf({ attributes })).span).toMatchObject({
      tokens: { input: 10, output: 5, total: 15 },
      attributes: { "ai.operationId": "ai.generateText.doGenerate" },
    });
  });

  test("a result that is not JSON stays unchanged", () => {
    const attributes = {
      "ai.operationId": "ai.toolCall",
      "ai.toolCall.name": "t",
      "ai.toolCall.result": '"cut',
    };
    expect(projectSpan(spanOf({ attributes })).span).toMatchObject({ name: "t", output: '"cut' });
  });
});
