import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpan, capturedSpans, spanOf } from "../support/projection-span.js";

const captured = capturedSpans("vercel-ai@7");
const weatherTool = {
  type: "function",
  name: "weather",
  inputSchema: {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  description: "The weather",
};

function projected(attributes: Record<string, unknown>) {
  return projectSpan(spanOf({ attributes })).span;
}

describe("Vercel AI SDK 7, captured", () => {
  test("counts each model call once: agents, steps and the outer embed are not generations", () => {
    const kinds = captured.map(projectSpan).map(({ span }) => {
      const [operation = ""] = span.name.split(" ");
      return [operation, span.kind, span.status === "error" || span.tokens?.total].join(" ");
    });
    expect(new Set(kinds)).toEqual(
      new Set([
        "chat generation 150",
        "chat generation true",
        "weather tool ",
        "weather tool true",
        "step span ",
        "step span true",
        "invoke_agent span ",
        "invoke_agent span true",
        "embeddings embedding 7",
        "embeddings span ",
      ]),
    );
    expect(kinds.filter((kind) => kind === "embeddings embedding 7")).toHaveLength(2);
  });

  test("projects a generation", () => {
    const span = capturedSpan("vercel-ai@7", ({ name }) => name === "chat gpt-4o");
    expect(projectSpan(span).span).toMatchObject({
      kind: "generation",
      model: { modelId: "gpt-4o-2024-08-06", providerId: "openai" },
      finishReason: "tool_call",
      input: [{ role: "user", content: [{ type: "text", content: "Weather in Paris?" }] }],
      output: [
        {
          role: "assistant",
          content: [{ type: "tool_call", id: "call_1", name: "weather", arguments: { city: "Paris" } }],
          finish_reason: "tool_call",
        },
      ],
      tokens: { input: 60, output: 50, reasoning: 0, cacheRead: 30, cacheWrite: 10, total: 150 },
      attributes: {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.finish_reasons": ["tool-calls"],
        "gen_ai.tool.definitions": JSON.stringify([weatherTool]),
      },
    });
  });

  test("projects a tool, its quoted result as text", () => {
    const span = capturedSpan("vercel-ai@7", ({ name }) => name === "execute_tool weather");
    expect(span.attributes["gen_ai.tool.call.result"]).toBe('"sunny"');
    expect(projectSpan(span).span).toMatchObject({
      name: "weather",
      kind: "tool",
      tool: { callId: "call_1" },
      input: { city: "Paris" },
      output: "sunny",
      attributes: { "otel.span_name": "execute_tool weather" },
    });
  });

  test("reads the session's prompt, agent and model from the agent, and leaves the agent's totals in place", () => {
    const { span, metadata } = projectSpan(
      capturedSpan("vercel-ai@7", ({ name }) => name === "invoke_agent gpt-4o"),
    );
    expect(metadata).toStrictEqual({
      model: "openai/gpt-4o",
      providerId: "openai",
      prompt: "Weather in Paris?",
      agent: "forecast",
      environment: "test",
      version: "1.2.3",
    });
    expect(span.attributes).toMatchObject({
      "gen_ai.usage.input_tokens": 200,
      "gen_ai.usage.output_tokens": 100,
      "gen_ai.response.finish_reasons": ["stop"],
    });
    expect(span).toMatchObject({ parentSpanId: null, model: { modelId: "gpt-4o", providerId: "openai" } });
  });

  test("keeps the exception of a failed call as an event", () => {
    const { span } = projectSpan(capturedSpan("vercel-ai@7", ({ name }) => name === "chat cut"));
    expect(span).toMatchObject({
      statusMessage: "the stream was cut",
      attributes: {
        "otel.events": [{ name: "exception", attributes: { "exception.message": "the stream was cut" } }],
      },
    });
  });
});

describe("gen_ai.* keys", () => {
  test.each([
    ["chat", "generation"],
    ["text_completion", "generation"],
    ["generate_content", "generation"],
    ["embeddings", "embedding"],
    ["execute_tool", "tool"],
    ["invoke_agent", "span"],
    ["create_agent", "span"],
    ["rerank", "span"],
  ])("operation %s is a %s", (operation, kind) => {
    const attributes = { "gen_ai.operation.name": operation };
    expect(projected(attributes)).toMatchObject({ kind, attributes });
  });

  test("without an operation, usage shows a generation and a call id a tool", () => {
    expect(projected({ "gen_ai.request.model": "m", "gen_ai.usage.output_tokens": 5 }).kind).toBe(
      "generation",
    );
    expect(projected({ "gen_ai.tool.name": "t", "gen_ai.tool.call.id": "c" }).kind).toBe("tool");
    expect(projected({ "gen_ai.request.model": "m" }).kind).toBe("span");
  });

  test("an open span is a generation already, without an end", () => {
    const attributes = { "gen_ai.operation.name": "chat", "gen_ai.request.model": "m" };
    const { span } = projectSpan(spanOf({ attributes, ended: false, endTime: [0, 0] }));
    expect(span).toMatchObject({ kind: "generation", model: { modelId: "m" } });
    expect(span).not.toHaveProperty("endTime");
  });

  test("an open tool has no duration yet", () => {
    const attributes = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": "c" };
    expect(projectSpan(spanOf({ attributes, ended: false })).span.tool).toStrictEqual({ callId: "c" });
  });

  test("further finish reasons stay attributes", () => {
    const reasons = ["stop", "length"];
    const attributes = { "gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": reasons };
    expect(projected(attributes)).toMatchObject({
      finishReason: "stop",
      attributes: { "gen_ai.response.finish_reasons": reasons },
    });
  });

  test.each([
    ["text", "plain text", "plain text"],
    ["quoted text", '"quoted"', '"quoted"'],
    ["compact JSON", '{"a":[1,2]}', { a: [1, 2] }],
    ["a JSON file with its own layout", '{\n  "a": 1\n}\n', '{\n  "a": 1\n}\n'],
    ["a number that JSON.parse would round", '{"id":12345678901234567890}', '{"id":12345678901234567890}'],
    ["text that only looks like JSON", "[12:00] started", "[12:00] started"],
    ["a structure, on 3.x", { a: 1n }, { a: "1" }],
  ])("a tool result that is %s", (_, result, output) => {
    const attributes = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": result };
    expect(projected(attributes).output).toEqual(output);
  });

  test("numbers that JSON.parse would round leave the arguments as they were", () => {
    const argumentsOf = (text: string) =>
      projected({ "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": text }).input;
    expect(argumentsOf('{"id": 12345678901234567890}')).toBe('{"id": 12345678901234567890}');
    expect(argumentsOf('{"id": 1234567890}')).toEqual({ id: 1234567890 });
    expect(argumentsOf('{"id":1234567890123456}')).toEqual({ id: 1234567890123456 });
    expect(argumentsOf('{"id": "12345678901234567890"}')).toEqual({ id: "12345678901234567890" });
  });

  test("a result of more than a million characters is not parsed", () => {
    const attributes = (length: number) => ({
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.call.result": JSON.stringify(["x".repeat(length - 4)]),
    });
    expect(projected(attributes(1_000_000)).output).toEqual(["x".repeat(999_996)]);
    expect(projected(attributes(1_000_001)).output).toBe(JSON.stringify(["x".repeat(999_997)]));
  });

  test("messages may be structures, as 3.x keeps them, or broken JSON", () => {
    const messages = [{ role: "user", parts: [{ type: "text", content: "Hi" }] }];
    const chat = { "gen_ai.operation.name": "chat" };
    expect(projected({ ...chat, "gen_ai.input.messages": messages }).input).toEqual([
      { role: "user", content: messages[0]?.parts },
    ]);
    expect(projected({ ...chat, "gen_ai.input.messages": "[cut" }).input).toBe("[cut");
  });
});

describe("gen_ai.* events", () => {
  const at: [number, number] = [1_750_000_000, 0];
  const event = (name: string, attributes: Record<string, unknown>) => ({ name, time: at, attributes });
  const chat = { "gen_ai.operation.name": "chat" };
  const text = (role: string, content: string) => ({ role, content: [{ type: "text", content }] });

  function withEvents(...events: ReturnType<typeof event>[]) {
    return projectSpan(spanOf({ attributes: chat, events })).span;
  }

  test("one event per message, with its content moved", () => {
    const span = withEvents(
      event("gen_ai.system.message", { "gen_ai.system": "openai", content: "Be short." }),
      event("gen_ai.user.message", { content: "Weather?" }),
      event("gen_ai.tool.message", { id: "c", content: "sunny" }),
      event("gen_ai.choice", { index: 0, finish_reason: "stop", message: '{"content":"Sunny."}' }),
    );
    expect(span).toMatchObject({
      input: [
        text("system", "Be short."),
        text("user", "Weather?"),
        { role: "tool", content: [{ type: "tool_call_response", id: "c", response: "sunny" }] },
      ],
      output: [{ ...text("assistant", "Sunny."), finish_reason: "stop" }],
    });
    expect(span.attributes?.["otel.events"]).toEqual([
      {
        name: "gen_ai.system.message",
        time: 1_750_000_000_000,
        attributes: { "gen_ai.system": "openai" },
      },
      { name: "gen_ai.user.message", time: 1_750_000_000_000 },
      { name: "gen_ai.tool.message", time: 1_750_000_000_000 },
      { name: "gen_ai.choice", time: 1_750_000_000_000 },
    ]);
  });

  test("one event per prompt and completion", () => {
    expect(
      withEvents(
        event("gen_ai.content.prompt", { "gen_ai.prompt": '[{"role":"user","content":"Weather?"}]' }),
        event("gen_ai.content.completion", {
          "gen_ai.completion": '[{"role":"assistant","content":"Sunny."}]',
        }),
      ),
    ).toMatchObject({ input: [text("user", "Weather?")], output: [text("assistant", "Sunny.")] });
  });

  test("one event with all details; what the span has itself wins, and the event keeps the rest", () => {
    const span = withEvents(
      event("gen_ai.client.inference.operation.details", {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Weather?"}]}]',
        "gen_ai.response.id": "r",
      }),
    );
    expect(span).toMatchObject({ kind: "generation", input: [text("user", "Weather?")] });
    expect(span.attributes).toMatchObject({
      "gen_ai.response.id": "r",
      "otel.events": [{ attributes: { "gen_ai.operation.name": "embeddings" } }],
    });
  });
});
