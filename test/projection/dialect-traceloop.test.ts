import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpan, capturedSpans, spanOf } from "../support/projection-span.js";

describe("Traceloop, captured", () => {
  test("distinguishes tools and generations from workflows, agents and tasks", () => {
    const spans = capturedSpans("traceloop@0.27").map(projectSpan);
    expect(spans.map(({ span }) => [span.name, span.kind, span.tokens?.total])).toEqual([
      ["weather", "tool", undefined],
      ["lookup", "tool", undefined],
      ["meteorologist.agent", "span", undefined],
      ["chat gpt-4o", "generation", 160],
      ["chat gpt-4o", "generation", 160],
      ["chat gpt-4o", "generation", 9],
      ["chat busy", "generation", 160],
      ["summarise.task", "span", undefined],
      ["forecast.workflow", "span", undefined],
      ["thread_id.task", "span", undefined],
      ["conversation_id.task", "span", undefined],
      ["chat_id.task", "span", undefined],
    ]);
    expect(spans.slice(0, 9).map(({ metadata }) => metadata.userId)).toEqual(
      Array.from({ length: 9 }, () => "u1"),
    );
  });

  test("projects a tool", () => {
    const span = capturedSpan("traceloop@0.27", ({ name }) => name === "lookup.tool");
    expect(projectSpan(span)).toMatchObject({
      span: {
        name: "lookup",
        kind: "tool",
        input: { args: [], kwargs: { city: "Paris" } },
        output: { query: { city: "Paris" }, found: true },
        attributes: { "traceloop.span.kind": "tool", "otel.span_name": "lookup.tool" },
      },
      metadata: { agent: "meteorologist", userId: "u1" },
    });
    const text = capturedSpan("traceloop@0.27", ({ name }) => name === "weather.tool");
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
  const captured = capturedSpans("traceloop@0.11");

  test("projects a generation from numbered keys", () => {
    const [span] = captured;
    if (span === undefined) throw new Error("not captured");
    expect(projectSpan(span)).toMatchObject({
      span: {
        name: "openai.chat",
        kind: "generation",
        model: { modelId: "gpt-4o-2024-08-06", providerId: "OpenAI" },
        finishReason: "tool_call",
        input: [
          { role: "system", content: [{ type: "text", content: "Be short." }] },
          { role: "user", content: [{ type: "text", content: "Weather in Paris?" }] },
        ],
        output: [
          {
            role: "assistant",
            finish_reason: "tool_calls",
            content: [{ type: "tool_call", name: "weather", arguments: { city: "Paris" } }],
          },
        ],
        tokens: { input: 120, output: 40, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: 160 },
      },
      metadata: { model: "OpenAI/gpt-4o", prompt: "Weather in Paris?" },
    });
  });

  test("a stream without usage has no tokens", () => {
    expect(
      captured.map(projectSpan).map(({ span }) => [span.kind, span.finishReason, span.tokens?.total]),
    ).toEqual([
      ["generation", "tool_call", 160],
      ["generation", "stop", 160],
      ["generation", "stop", undefined],
      ["generation", "stop", 160],
    ]);
  });
});

test.each([
  ["chat", "generation"],
  ["completion", "generation"],
  ["embedding", "embedding"],
  ["rerank", "span"],
])("llm.request.type %s is a %s", (type, kind) => {
  expect(projectSpan(spanOf({ attributes: { "llm.request.type": type } })).span.kind).toBe(kind);
});
