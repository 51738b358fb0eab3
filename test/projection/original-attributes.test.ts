/** The attributes as the instrumentation set them: what the document keeps of them, and what a replay makes of that. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { withoutContent, withoutSecrets } from "../../src/cli/shared-trace.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { CrashSafeFileSpanExporter } from "../../src/index.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { projectSpanFrom } from "../../src/projection/project-span.js";
import { describedHistory, foreignAttributes } from "../../src/replay/foreign-span.js";
import { ReplayIds } from "../../src/replay/replayed-span.js";
import { restoredAttributes, restoredEvents } from "../../src/replay/restored-attributes.js";
import { capturedSpans, captures, spanOf } from "../support/projection-span.js";
import { Stage } from "../support/session-stage.js";

const chat = { "gen_ai.operation.name": "chat", "gen_ai.request.model": "m" };

/** As an exporter projects the span. */
const original = (span: ReadableSpan) => projectSpanFrom(span, { keepsOriginals: true });

/** The span of the document as a reader parses it. */
const projected = (attributes: object, members: Partial<ReadableSpan> = {}): TraceSpan =>
  JSON.parse(
    JSON.stringify(original(spanOf({ attributes: attributes as never, ...members })).span),
  ) as TraceSpan;

const replayed = (attributes: object): Record<string, unknown> => foreignAttributes(projected(attributes));

const long = 'A text with "quotes",\na line break and more than a few characters';

describe("a replay has the attributes as they were", () => {
  test.each<[string, object]>([
    [
      "messages of the conventions",
      {
        ...chat,
        "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: long }] }]),
      },
    ],
    [
      "JSON with white space",
      { ...chat, "gen_ai.input.messages": JSON.stringify([{ role: "user", content: long }], undefined, 2) },
    ],
    [
      "JSON with escapes that JavaScript does not write",
      { ...chat, "gen_ai.input.messages": '[{"role":"user","content":"\\u0041 text of \\/ some length"}]' },
    ],
    ["JSON that does not parse", { ...chat, "gen_ai.input.messages": '[{"role":"user","content":"cut' }],
    [
      "arguments in JSON in JSON",
      {
        ...chat,
        "gen_ai.output.messages": JSON.stringify([
          {
            role: "assistant",
            tool_calls: [
              { id: "call_12345", function: { name: "search", arguments: JSON.stringify({ query: long }) } },
            ],
          },
        ]),
      },
    ],
    [
      "a tool",
      {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read",
        "gen_ai.tool.call.arguments": '{"path":"/a"}',
        "gen_ai.tool.call.result": long,
      },
    ],
    ["finish reasons", { ...chat, "gen_ai.response.finish_reasons": ["tool-calls", "stop"] }],
    [
      "counts that are restated, or none",
      {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.usage.inputTokens": 3,
        "ai.usage.totalTokens": 7,
        "ai.usage.cachedInputTokens": Number.NaN,
      },
    ],
    [
      "numbers that JSON has not",
      {
        x: Number.NaN,
        y: Number.POSITIVE_INFINITY,
        "gen_ai.usage.input_tokens": Number.NEGATIVE_INFINITY,
        ...chat,
      },
    ],
    [
      "vectors",
      {
        "openinference.span.kind": "EMBEDDING",
        "embedding.embeddings.0.embedding.vector": Array.from({ length: 32 }, (_, at) => at / 7),
        "embedding.embeddings.0.embedding.text": long,
      },
    ],
    [
      "keys that need an escape in a pointer",
      {
        "openinference.span.kind": "LLM",
        "input.value": JSON.stringify({ "a/b~c": long }),
        "input.mime_type": "application/json",
      },
    ],
    [
      "keys of the document",
      {
        "otel.span_name": "mine",
        "otel.kind": "CLIENT",
        "gen_ai.tool.name": "t",
        "gen_ai.operation.name": "execute_tool",
      },
    ],
    ["a request of HTTP", { "http.request.method": "GET", "url.full": "http://a/" }],
    ["__proto__", { ...chat, ["__proto__"]: "own" }],
    [
      "nested values of SDK 3.x",
      { ...chat, "gen_ai.input.messages": [{ role: "user", parts: [{ type: "text", content: long }] }] },
    ],
  ])("%s", (_, attributes) => {
    expect(replayed(attributes)).toEqual(attributes);
  });

  test("bytes", () => {
    const bytes = new Uint8Array([0, 1, 254, 255]);
    expect(Buffer.from(replayed({ bytes, ...chat }).bytes as Buffer)).toEqual(Buffer.from(bytes));
  });

  test("any JSON, in any key of content", () => {
    const key = fc.constantFrom(
      "gen_ai.input.messages",
      "gen_ai.output.messages",
      "input.value",
      "ai.prompt",
      "genkit:input",
    );
    const given = fc.tuple(
      key,
      fc.json({ maxDepth: 4 }),
      fc.constantFrom("ai.generateText.doGenerate", "other"),
      fc.boolean(),
    );
    fc.assert(
      fc.property(given, ([name, json, operation, isGenkit]) => {
        const attributes = {
          "openinference.span.kind": "LLM",
          "ai.operationId": operation,
          [name]: json,
          ...(isGenkit && { "genkit:type": "action", "genkit:metadata:subtype": "model" }),
        };
        expect(replayed(attributes)).toEqual(attributes);
      }),
      { numRuns: 300 },
    );
  });

  test("content in events", () => {
    const events = [
      { name: "other", time: [1_750_000_000, 0] as [number, number], attributes: { a: 1 } },
      {
        name: "gen_ai.user.message",
        time: [1_750_000_000, 0] as [number, number],
        attributes: { "gen_ai.system": "openai", content: long },
      },
      {
        name: "gen_ai.client.inference.operation.details",
        time: [1_750_000_000, 0] as [number, number],
        attributes: { "gen_ai.output.messages": JSON.stringify([{ role: "assistant", content: long }]) },
      },
    ];
    const span = projected(chat, { events });
    expect(span.input).toEqual([{ role: "user", content: [{ type: "text", content: long }] }]);
    expect(describedHistory(span, new ReplayIds("s")).events.map(({ attributes }) => attributes)).toEqual(
      events.map(({ attributes }) => attributes),
    );
    expect(foreignAttributes(span)).toEqual(chat);
  });
});

describe("content is in the document once", () => {
  test.each(captures)("%s", (name) => {
    for (const span of capturedSpans(name)) {
      const document = original(span).span;
      const { original: kept = {}, ...readable } = document;
      const texts = JSON.stringify(kept);
      const content = new Set<string>();
      const collect = (value: unknown): void => {
        if (typeof value === "string" && value.length > 24) content.add(JSON.stringify(value).slice(1, -1));
        else if (typeof value === "object" && value !== null) Object.values(value).forEach(collect);
      };
      collect([readable.input, readable.output]);
      for (const text of content) expect(texts.includes(text), `${span.name}: ${text}`).toBe(false);
    }
  });

  test("a request of 100 KB has some hundred bytes of originals", () => {
    const messages = Array.from({ length: 20 }, (_, at) => ({
      role: "user",
      content: `${at} ${long.repeat(80)}`,
    }));
    const span = projected({ ...chat, "gen_ai.input.messages": JSON.stringify(messages) });
    expect(JSON.stringify(span.original).length).toBeLessThan(3_000);
  });
});

describe("no originals", () => {
  const text = long.repeat(30);
  const attributes = { ...chat, "gen_ai.input.messages": JSON.stringify([{ role: "user", content: text }]) };

  test("of a span without changed attributes, and of one that has not ended", () => {
    expect(projected({ a: 1, "session.id": "s" }).original).toBeUndefined();
    expect(projected(attributes, { ended: false }).original).toBeUndefined();
  });

  test.each([
    ["redact", { redact: (value: unknown) => value }],
    ["maxValueBytes", { maxValueBytes: 1_000 }],
  ])("where %s decides what is written", async (_, options) => {
    const stage = new Stage();
    const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir, sessionId: () => "ses_1", ...options });
    await new Promise<void>((resolve) => exporter.export([spanOf({ attributes })] as never, () => resolve()));
    await exporter.shutdown();
    const spans = stage.document("ses_1").spans;
    stage.remove();
    expect(spans.map(({ original }) => original)).toEqual([undefined, undefined]);
  });

  test.each([
    ["--no-content", withoutContent],
    ["without secrets", withoutSecrets],
  ])("in what `share` shows %s", (_, sharing) => {
    const shown = sharing().span(projected(attributes));
    expect(shown.original).toBeUndefined();
    expect(shown.spanId).toBe(projected(attributes).spanId);
  });

  test("of a span whose content fits a limit without them", async () => {
    const stage = new Stage();
    const limit = { maxSpanBytes: 10_000 };
    const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir, sessionId: () => "ses_1", ...limit });
    const many = Object.fromEntries(
      Array.from({ length: 60 }, (_, at) => [`llm.input_messages.${at}.message.content`, `${at} ${long}`]),
    );
    const span = spanOf({ attributes: { "openinference.span.kind": "LLM", ...many } });
    await new Promise<void>((resolve) => exporter.export([span] as never, () => resolve()));
    await exporter.shutdown();
    const [shown] = stage.document("ses_1").spans;
    stage.remove();
    expect(shown?.original).toBeUndefined();
    expect(JSON.stringify(shown?.input)).not.toContain("bytes cut");
  });

  test("where the document was changed since: the attributes have GenAI keys", () => {
    const span = projected(attributes);
    for (const changed of [
      { ...span, input: "other" },
      { ...span, original: { ...span.original, at: ["/attributes/none"] } },
      { ...span, original: 7 },
    ] as TraceSpan[]) {
      expect(restoredAttributes(changed, {})).toBeUndefined();
      expect(restoredEvents(changed)).toEqual({});
      expect(foreignAttributes(changed)).toMatchObject({ "gen_ai.request.model": "m" });
    }
  });
});
