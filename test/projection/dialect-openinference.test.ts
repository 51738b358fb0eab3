import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpan, capturedSpans, spanOf } from "../support/projection-span.js";

describe("OpenInference for OpenAI, captured", () => {
  const captured = capturedSpans("openinference-openai");

  test("distinguishes generations from other spans; a stream without usage has no tokens", () => {
    const tokens = { input: 20, output: 15, reasoning: 25, cacheRead: 100, cacheWrite: 0, total: 160 };
    expect(
      captured.map(projectSpan).map(({ span }) => [span.name, span.kind, span.finishReason, span.tokens]),
    ).toEqual([
      ["OpenAI Chat Completions", "generation", "tool_call", tokens],
      ["OpenAI Chat Completions", "generation", "stop", tokens],
      ["OpenAI Chat Completions", "generation", "stop", undefined],
      ["OpenAI Embeddings", "embedding", undefined, undefined],
      ["OpenAI Chat Completions", "generation", "stop", tokens],
    ]);
  });

  test("has the content once: of the raw request nothing is left, of the raw response what the messages lack", () => {
    const [, span] = captured.map(projectSpan);
    expect(span?.span).toMatchObject({
      input: [
        { role: "system", content: [{ type: "text", content: "Be short." }] },
        { role: "user", content: [{ type: "text", content: "Weather in Paris?" }] },
        {
          role: "assistant",
          content: [{ type: "tool_call", id: "call_1", name: "weather", arguments: { city: "Paris" } }],
        },
        { role: "tool", content: [{ type: "tool_call_response", id: "call_1", response: "sunny" }] },
      ],
      output: [{ role: "assistant", content: [{ type: "text", content: "Sunny." }] }],
    });
    const { attributes = {} } = span?.span ?? {};
    expect(attributes).not.toHaveProperty(["input.value"]);
    expect(attributes).not.toHaveProperty(["input.mime_type"]);
    expect(JSON.parse(String(attributes["output.value"]))).toEqual({
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1,
      model: "gpt-4o-2024-08-06",
      usage: expect.objectContaining({ total_tokens: 160 }),
    });
  });
});

describe("OpenInference for LangChain, captured", () => {
  const captured = capturedSpans("openinference-langchain");

  test("reads chains, models and tools", () => {
    expect(
      captured.map(projectSpan).map(({ span, metadata }) => [span.name, span.kind, metadata.prompt]),
    ).toEqual([
      ["ChatPromptTemplate", "span", undefined],
      ["FakeListChatModel", "generation", undefined],
      ["RunnableSequence", "span", "Weather in Paris?"],
      ...Array.from({ length: 4 }, () => ["FakeListChatModel", "generation", "Again?"]),
      ["weather", "tool", undefined],
      ["weather", "tool", undefined],
    ]);
  });

  test("projects a tool, and a failed tool", () => {
    const span = capturedSpan("openinference-langchain", ({ name }) => name === "weather");
    const result = projectSpan(span).span;
    expect(result).toStrictEqual({
      spanId: result.spanId,
      parentSpanId: null,
      traceId: result.traceId,
      name: "weather",
      kind: "tool",
      startTime: result.startTime,
      endTime: result.endTime,
      status: "ok",
      tool: { durationMs: Math.round(((result.endTime ?? 0) - result.startTime) * 1000) / 1000 },
      input: "Paris",
      output: "sunny",
      attributes: {
        "openinference.span.kind": "TOOL",
        metadata: '{"versions":{"@langchain/core":"1.4.0"}}',
        "otel.status_code": "OK",
        "otel.scope.name": "@arizeai/openinference-instrumentation-langchain",
        "otel.scope.version": "4.1.1",
      },
    });
    const failed = capturedSpan("openinference-langchain", ({ status }) => status.code === 2);
    expect(projectSpan(failed).span).toMatchObject({
      status: "error",
      statusMessage: expect.stringMatching(/^no such city/),
      input: "Atlantis",
    });
  });
});

describe("OpenInference keys", () => {
  function projected(attributes: Record<string, unknown>) {
    return projectSpan(spanOf({ attributes: { "openinference.span.kind": "LLM", ...attributes } })).span;
  }

  test("input.value is read by its MIME type", () => {
    const json = {
      "openinference.span.kind": "CHAIN",
      "input.value": '{"a":1}',
      "input.mime_type": "application/json",
    };
    expect(projected(json)).toMatchObject({
      input: { a: 1 },
      attributes: { "openinference.span.kind": "CHAIN" },
    });
    expect(projected({ ...json, "openinference.span.kind": "LLM" }).input).toEqual([
      { role: "user", content: [{ type: "json", content: { a: 1 } }] },
    ]);
    expect(projected({ ...json, "input.mime_type": "text/plain" }).input).toBe('{"a":1}');
    expect(projected({ "input.value": '{"a":1}' }).input).toBe('{"a":1}');
    const broken = projected({ ...json, "input.value": "{cut" });
    expect(broken).toMatchObject({ input: "{cut", attributes: { "input.mime_type": "application/json" } });
  });

  test("messages may have parts, and come in the order of their numbers", () => {
    const { input } = projected({
      "llm.input_messages.10.message.role": "user",
      "llm.input_messages.10.message.content": "last",
      "llm.input_messages.2.message.role": "user",
      "llm.input_messages.2.message.contents.0.message_content.type": "text",
      "llm.input_messages.2.message.contents.0.message_content.text": "look",
      "llm.input_messages.2.message.contents.1.message_content.image.image.url": "data:",
    });
    expect(input).toEqual([
      {
        role: "user",
        content: [
          { type: "text", content: "look" },
          { type: "json", content: { image: { image: { url: "data:" } } } },
        ],
      },
      { role: "user", content: [{ type: "text", content: "last" }] },
    ]);
  });

  test("cost and cache writes have their own keys", () => {
    expect(
      projected({
        "llm.cost.total": 0.5,
        "llm.token_count.prompt": 10,
        "llm.token_count.prompt_details.cache_write": 4,
      }),
    ).toMatchObject({ cost: 0.5, tokens: { input: 6, cacheWrite: 4, total: 10 } });
  });

  test("totals on an agent stay attributes", () => {
    const attributes = {
      "openinference.span.kind": "AGENT",
      "llm.token_count.prompt": 10,
      "llm.cost.total": 1,
    };
    const span = projected(attributes);
    expect(span).toMatchObject({ kind: "span", attributes });
    expect(span).not.toHaveProperty("tokens");
    expect(span).not.toHaveProperty("cost");
  });
});
