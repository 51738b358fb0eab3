import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpan, capturedSpans, spanOf } from "../support/projection-span.js";

describe("OpenInference for OpenAI, captured", () => {
  const captured = capturedSpans("openinference-openai");

  test("distinguishes generations from other spans; a stream without usage has no tokens", () => {
    expect(
      captured.map(projectSpan).map(({ span }) => [span.name, span.kind, span.finishReason, span.tokens]),
    ).toEqual([
      [
        "OpenAI Chat Completions",
        "generation",
        "tool_calls",
        { input: 20, output: 15, reasoning: 25, cacheRead: 100, cacheWrite: 0, total: 160 },
      ],
      [
        "OpenAI Chat Completions",
        "generation",
        "stop",
        { input: 20, output: 15, reasoning: 25, cacheRead: 100, cacheWrite: 0, total: 160 },
      ],
      ["OpenAI Chat Completions", "generation", "stop", undefined],
      ["OpenAI Embeddings", "span", undefined, undefined],
    ]);
  });

  test("assembles flattened messages, and keeps the raw request and response", () => {
    const span = captured[1];
    if (span === undefined) throw new Error("not captured");
    const { attributes } = span;
    expect(projectSpan(span)).toStrictEqual({
      span: {
        spanId: "0000000000000004",
        parentSpanId: null,
        traceId: "00000000000000000000000000000003",
        name: "OpenAI Chat Completions",
        kind: "generation",
        startTime: 1750000000118,
        endTime: 1750000000122.815,
        status: "ok",
        model: { modelId: "gpt-4o-2024-08-06", providerId: "openai" },
        finishReason: "stop",
        input: [
          { role: "system", content: "Be short." },
          { role: "user", content: "Weather in Paris?" },
          {
            role: "assistant",
            tool_calls: [{ id: "call_1", function: { name: "weather", arguments: { city: "Paris" } } }],
          },
          { role: "tool", content: "sunny", tool_call_id: "call_1" },
        ],
        output: [{ role: "assistant", content: "Sunny." }],
        tokens: { input: 20, output: 15, reasoning: 25, cacheRead: 100, cacheWrite: 0, total: 160 },
        attributes: {
          "openinference.span.kind": "LLM",
          "input.value": attributes["input.value"],
          "input.mime_type": "application/json",
          "llm.invocation_parameters": attributes["llm.invocation_parameters"],
          "llm.tools.0.tool.json_schema": attributes["llm.tools.0.tool.json_schema"],
          "output.value": attributes["output.value"],
          "output.mime_type": "application/json",
          "otel.status_code": "OK",
          "otel.scope.name": "@arizeai/openinference-instrumentation-openai",
          "otel.scope.version": "4.2.7",
        },
      },
      metadata: {
        model: "openai/gpt-4o-2024-08-06",
        providerId: "openai",
        prompt: "Weather in Paris?",
        environment: "test",
        version: "1.2.3",
      },
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
    const json = { "input.value": '{"a":1}', "input.mime_type": "application/json" };
    expect(projected(json)).toMatchObject({
      input: { a: 1 },
      attributes: { "openinference.span.kind": "LLM" },
    });
    expect(projected({ ...json, "input.mime_type": "text/plain" }).input).toBe('{"a":1}');
    expect(projected({ "input.value": '{"a":1}' }).input).toBe('{"a":1}');
    const broken = projected({ ...json, "input.value": "{cut" });
    expect(broken).toMatchObject({ input: "{cut", attributes: { "input.mime_type": "application/json" } });
  });

  test("messages may have parts, and come in the order of their numbers", () => {
    const { input } = projected({
      "llm.input_messages.10.message.content": "last",
      "llm.input_messages.2.message.contents.0.message_content.type": "text",
      "llm.input_messages.2.message.contents.0.message_content.text": "look",
      "llm.input_messages.2.message.contents.1.message_content.image.image.url": "data:",
    });
    expect(input).toEqual([
      { contents: [{ type: "text", text: "look" }, { image: { image: { url: "data:" } } }] },
      { content: "last" },
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
