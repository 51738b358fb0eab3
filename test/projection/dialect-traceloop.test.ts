import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpan, capturedSpans, spanOf } from "../support/projection-span.js";

describe("Traceloop, captured", () => {
  test("distinguishes tools and generations from workflows, agents and tasks", () => {
    const spans = capturedSpans("traceloop").map(projectSpan);
    expect(spans.map(({ span }) => [span.name, span.kind, span.tokens?.total])).toEqual([
      ["weather", "tool", undefined],
      ["lookup", "tool", undefined],
      ["meteorologist.agent", "span", undefined],
      ["chat gpt-4o", "generation", 160],
      ["chat gpt-4o", "generation", 160],
      ["chat gpt-4o", "generation", 9],
      ["summarise.task", "span", undefined],
      ["forecast.workflow", "span", undefined],
    ]);
    expect(spans.map(({ metadata }) => metadata.userId)).toEqual(Array.from({ length: 8 }, () => "u1"));
  });

  test("projects a tool", () => {
    const span = capturedSpan("traceloop", ({ name }) => name === "lookup.tool");
    expect(projectSpan(span)).toStrictEqual({
      span: {
        spanId: "0000000000000004",
        parentSpanId: "0000000000000003",
        traceId: "00000000000000000000000000000001",
        name: "lookup",
        kind: "tool",
        startTime: 1750000000375,
        endTime: 1750000000375.111,
        status: "ok",
        tool: { durationMs: 0.111 },
        input: { args: [], kwargs: { city: "Paris" } },
        output: { query: { city: "Paris" }, found: true },
        attributes: {
          "traceloop.workflow.name": "meteorologist",
          "traceloop.entity.path": "",
          "gen_ai.agent.name": "meteorologist",
          "traceloop.association.properties.user_id": "u1",
          "traceloop.span.kind": "tool",
          "otel.span_name": "lookup.tool",
          "otel.scope.name": "@traceloop/node-server-sdk",
          "otel.scope.version": "0.27.0",
        },
      },
      metadata: { agent: "meteorologist", userId: "u1" },
    });
    const text = capturedSpan("traceloop", ({ name }) => name === "weather.tool");
    expect(projectSpan(text).span.output).toBe("sunny in Paris");
  });

  test("reads the prompt from a root entity's first argument", () => {
    const attributes = {
      "traceloop.span.kind": "workflow",
      "traceloop.entity.input": '{"args":["Weather in Paris?"],"kwargs":{}}',
    };
    expect(projectSpan(spanOf({ attributes })).metadata.prompt).toBe("Weather in Paris?");
  });
});

describe("Traceloop 0.11, captured", () => {
  const captured = capturedSpans("traceloop-0.11");

  test("projects a generation from numbered keys", () => {
    const [span] = captured;
    if (span === undefined) throw new Error("not captured");
    expect(projectSpan(span)).toStrictEqual({
      span: {
        spanId: "0000000000000002",
        parentSpanId: null,
        traceId: "00000000000000000000000000000001",
        name: "openai.chat",
        kind: "generation",
        startTime: 1750000000794,
        endTime: 1750000000828.36,
        status: "ok",
        model: { modelId: "gpt-4o-2024-08-06", providerId: "OpenAI" },
        finishReason: "tool_calls",
        input: [
          { role: "system", content: "Be short." },
          { role: "user", content: "Weather in Paris?" },
        ],
        output: [
          {
            role: "assistant",
            content: "",
            finish_reason: "tool_calls",
            tool_calls: [{ name: "weather", arguments: { city: "Paris" } }],
          },
        ],
        tokens: { input: 120, output: 40, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: 160 },
        attributes: {
          "llm.request.type": "chat",
          "gen_ai.request.model": "gpt-4o",
          "llm.request.functions.0.name": "weather",
          "llm.request.functions.0.description": "The weather",
          "llm.request.functions.0.arguments": span.attributes["llm.request.functions.0.arguments"],
          "otel.kind": "CLIENT",
          "otel.scope.name": "@traceloop/instrumentation-openai",
          "otel.scope.version": "0.11.6",
        },
      },
      metadata: {
        model: "OpenAI/gpt-4o",
        providerId: "OpenAI",
        prompt: "Weather in Paris?",
        environment: "test",
        version: "1.2.3",
      },
    });
  });

  test("a stream without usage has no tokens", () => {
    expect(
      captured.map(projectSpan).map(({ span }) => [span.kind, span.finishReason, span.tokens?.total]),
    ).toEqual([
      ["generation", "tool_calls", 160],
      ["generation", "stop", 160],
      ["generation", "stop", undefined],
    ]);
  });
});

test.each([
  ["chat", "generation"],
  ["completion", "generation"],
  ["embedding", "generation"],
  ["rerank", "span"],
])("llm.request.type %s is a %s", (type, kind) => {
  expect(projectSpan(spanOf({ attributes: { "llm.request.type": type } })).span.kind).toBe(kind);
});
