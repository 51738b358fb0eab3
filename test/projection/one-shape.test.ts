/** Content, finish reasons and errors of all instrumentations have one shape. */
import { describe, expect, test } from "vitest";
import type { ReadableSpan } from "../../src/otel/types.js";
import { conventionalMessages, generationContent } from "../../src/projection/messages.js";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpans, captures, spanOf } from "../support/projection-span.js";

const asked = { type: "tool_call", id: "c", name: "weather", arguments: { city: "Paris" } };
const answered = { type: "tool_call_response", id: "c", response: "sunny" };
const text = (content: string) => ({ type: "text", content });

describe("messages", () => {
  test.each<[string, unknown, unknown]>([
    ["text", { role: "user", content: "Hi" }, { role: "user", content: [text("Hi")] }],
    ["the conventions", { role: "user", parts: [text("Hi")] }, { role: "user", content: [text("Hi")] }],
    [
      "OpenAI, chat completions",
      {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: "c", type: "function", function: { name: "weather", arguments: '{"city":"Paris"}' } },
        ],
      },
      { role: "assistant", content: [asked] },
    ],
    [
      "OpenAI, the result of a tool",
      { role: "tool", tool_call_id: "c", content: "sunny" },
      { role: "tool", content: [answered] },
    ],
    [
      "OpenAI, a call of the Responses API",
      { type: "function_call", id: "fc", call_id: "c", name: "weather", arguments: '{"city":"Paris"}' },
      { role: "assistant", content: [{ ...asked, item_id: "fc" }] },
    ],
    [
      "OpenAI, a result of the Responses API",
      { type: "function_call_output", call_id: "c", output: "sunny" },
      { role: "tool", content: [answered] },
    ],
    [
      "Anthropic",
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Hm.", signature: "s" },
          { type: "text", text: "Hi", citations: [1] },
          { type: "tool_use", id: "c", name: "weather", input: { city: "Paris" } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "reasoning", content: "Hm.", signature: "s" },
          { ...text("Hi"), citations: [1] },
          asked,
        ],
      },
    ],
    [
      "Anthropic, the result of a tool",
      {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: "c", content: "sunny", is_error: false }],
      },
      { role: "user", content: [{ ...answered, is_error: false }] },
    ],
    [
      "the AI SDK",
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Hm." },
          { type: "tool-call", toolCallId: "c", toolName: "weather", input: { city: "Paris" } },
        ],
      },
      { role: "assistant", content: [{ type: "reasoning", content: "Hm." }, asked] },
    ],
    [
      "the AI SDK, the result of a tool",
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "c",
            toolName: "weather",
            output: { type: "text", value: "sunny" },
          },
        ],
      },
      { role: "tool", content: [{ ...answered, name: "weather" }] },
    ],
    [
      "the AI SDK, a result that is an error",
      {
        role: "tool",
        content: [{ type: "tool-result", toolCallId: "c", output: { type: "error-text", value: "x" } }],
      },
      { role: "tool", content: [{ ...answered, response: { type: "error-text", value: "x" } }] },
    ],
    [
      "Genkit",
      {
        role: "model",
        content: [{ text: "Hi" }, { toolRequest: { ref: "c", name: "weather", input: { city: "Paris" } } }],
      },
      { role: "assistant", content: [text("Hi"), asked] },
    ],
    [
      "Gemini",
      { role: "model", parts: [{ functionCall: { id: "c", name: "weather", args: { city: "Paris" } } }] },
      { role: "assistant", content: [asked] },
    ],
    [
      "Bedrock",
      { role: "user", content: [{ toolResult: { toolUseId: "c", content: "sunny", status: "success" } }] },
      { role: "user", content: [{ ...answered, status: "success" }] },
    ],
    [
      "LangChain, serialised",
      {
        lc: 1,
        type: "constructor",
        id: ["langchain_core", "messages", "HumanMessage"],
        kwargs: { content: "Hi", id: "m" },
      },
      { role: "user", content: [text("Hi")], id: "m" },
    ],
    [
      "a call among the contents and among the calls",
      {
        role: "assistant",
        contents: [
          { type: "tool_use", id: "c", function: { name: "weather", arguments: { city: "Paris" } } },
        ],
        tool_calls: [{ id: "c", function: { name: "weather", arguments: { city: "Paris" } } }],
      },
      { role: "assistant", content: [asked] },
    ],
    [
      "a part of another type",
      { role: "user", content: [{ type: "image", url: "u" }] },
      { role: "user", content: [{ type: "image", url: "u" }] },
    ],
    [
      "a part that is no object",
      { role: "user", content: [7] },
      { role: "user", content: [{ type: "json", content: 7 }] },
    ],
    ["no content", { role: "assistant", content: "" }, { role: "assistant", content: [] }],
    ["no role", { content: "Hi" }, { role: "user", content: [text("Hi")] }],
  ])("of %s", (_, given, message) => {
    expect(generationContent([given], "user")).toEqual([message]);
    // A message that is no list of one is a message, too.
    expect(generationContent(given, "user")).toEqual([message]);
  });

  test("a text stays a text, and a value that is no message is a part", () => {
    expect(generationContent("Hi", "user")).toBe("Hi");
    expect(generationContent(undefined, "user")).toBeUndefined();
    expect(generationContent({ a: 1 }, "assistant")).toEqual([
      { role: "assistant", content: [{ type: "json", content: { a: 1 } }] },
    ]);
  });

  test("messages of the conventions come back as they were, in the order of their members", () => {
    const given =
      '[{"role":"assistant","finish_reason":"stop","parts":[{"type":"text","content":"Hi"}],"name":"n"}]';
    expect(JSON.stringify(conventionalMessages(generationContent(JSON.parse(given), "user")))).toBe(given);
  });
});

test.each([
  ["tool-calls", "tool_call"],
  ["tool_use", "tool_call"],
  ["FUNCTION_CALL", "tool_call"],
  ["end_turn", "stop"],
  ["STOP", "stop"],
  ["max_tokens", "length"],
  ["MAX_TOKENS", "length"],
  ["content-filter", "content_filter"],
  ["SAFETY", "content_filter"],
  ["pause_turn", "pause_turn"],
])("finish reason %s is %s, and the original is kept", (given, word) => {
  const attributes = { "gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": [given] };
  const { span } = projectSpan(spanOf({ attributes }));
  expect(span.finishReason).toBe(word);
  expect(span.attributes?.["gen_ai.response.finish_reasons"]).toEqual(given === word ? undefined : [given]);
});

describe("errors", () => {
  const exception = {
    name: "exception",
    time: [1_750_000_000, 0] as [number, number],
    attributes: { "exception.message": "no such city" },
  };
  const chat = { "gen_ai.operation.name": "chat" };
  const [unset, ok, error] = [{ code: 0 }, { code: 1 }, { code: 2, message: "down" }];

  test.each<[string, Partial<ReadableSpan>, string | undefined]>([
    ["a status", { status: error }, "down"],
    ["error.type", { status: unset, attributes: { "error.type": "timeout" } }, "timeout"],
    [
      "error.type with a message",
      { status: unset, attributes: { "error.type": "a", "error.message": "b" } },
      "b",
    ],
    [
      "error.type on a span that a program set to OK",
      { status: ok, attributes: { "error.type": "a" } },
      undefined,
    ],
    ["an HTTP status of a client", { kind: 2, attributes: { "http.response.status_code": 404 } }, "HTTP 404"],
    [
      "an HTTP status of the older conventions",
      { kind: 2, attributes: { "http.status_code": 500 } },
      "HTTP 500",
    ],
    ["an HTTP status of a server", { kind: 1, attributes: { "http.response.status_code": 404 } }, undefined],
    [
      "an HTTP status of a server that failed",
      { kind: 1, attributes: { "http.response.status_code": 503 } },
      "HTTP 503",
    ],
    [
      "an HTTP status of a model call",
      { attributes: { ...chat, "http.response.status_code": 429 } },
      "HTTP 429",
    ],
    ["an exception of a model call", { attributes: chat, events: [exception] }, "no such city"],
    ["an exception that a program went on from", { events: [exception] }, undefined],
    [
      "an exception on a model call that a program set to OK",
      { status: ok, attributes: chat, events: [exception] },
      undefined,
    ],
    [
      "an exception of a LangSmith run",
      { status: ok, attributes: { "langsmith.span.kind": "llm" }, events: [exception] },
      "no such city",
    ],
    [
      "the finish reason error",
      { status: ok, attributes: { ...chat, "gen_ai.response.finish_reasons": ["error"] } },
      "finish reason: error",
    ],
    [
      "a state of Genkit",
      { attributes: { "genkit:type": "action", "genkit:state": "error" }, events: [exception] },
      "no such city",
    ],
  ])("%s", (_, members, message) => {
    const { span } = projectSpan(spanOf(members));
    expect([span.status, span.statusMessage]).toEqual([message === undefined ? "ok" : "error", message]);
  });
});

describe.each(captures)("captured %s", (name) => {
  const spans = capturedSpans(name).map((span) => projectSpan(span).span);

  test("each generation has texts or messages with parts", () => {
    for (const { input, output } of spans.filter(({ kind }) => kind === "generation"))
      for (const content of [input, output]) {
        if (content === undefined || typeof content === "string") continue;
        expect(content).toBeInstanceOf(Array);
        for (const message of content as { role: unknown; content: unknown[] }[]) {
          expect(message.role).toMatch(/^(system|user|assistant|tool)$/);
          for (const part of message.content) expect(part).toHaveProperty("type");
        }
      }
  });

  test("counts are disjoint, and a failed span has a message", () => {
    for (const { tokens, status, statusMessage } of spans) {
      if (tokens) {
        const { total, ...parts } = tokens;
        expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBe(total);
      }
      if (status === "error") expect(statusMessage).toBeTruthy();
    }
  });

  test("tools and chains carry no model", () => {
    for (const { model, kind, name: called } of spans)
      if (kind === "tool") expect(model, called).toBeUndefined();
      else if (kind === "span" && model !== undefined) expect(model.modelId, called).toBeDefined();
  });
});
