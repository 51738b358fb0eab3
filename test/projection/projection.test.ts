import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReadableSpan } from "../../src/otel/types.js";
import { projectSpan } from "../../src/projection/project-span.js";
import { SPAN_ID, spanOf, TRACE_ID } from "../support/projection-span.js";

const throwing = (): never => {
  throw new Error("hostile");
};

const hostileProxy = (): never =>
  new Proxy(
    {},
    { get: throwing, ownKeys: throwing, getOwnPropertyDescriptor: throwing, has: throwing },
  ) as never;

function projected(attributes: Record<string, unknown>, members: Partial<ReadableSpan> = {}) {
  return projectSpan(spanOf({ attributes, ...members })).span;
}

function metadata(attributes: Record<string, unknown>, members: Partial<ReadableSpan> = {}) {
  return projectSpan(spanOf({ attributes, ...members })).metadata;
}

describe("a span that no dialect knows", () => {
  test("keeps its name, times and every attribute", () => {
    const attributes = { "app.step": 3, "app.labels": ["a", "b"], "app.text": "t", "app.flag": false };
    expect(projectSpan(spanOf({ attributes }))).toStrictEqual({
      span: {
        spanId: SPAN_ID,
        parentSpanId: null,
        name: "work",
        kind: "span",
        startTime: 1_750_000_000_000,
        endTime: 1_750_000_001_500,
        status: "ok",
        traceId: TRACE_ID,
        attributes,
      },
      metadata: {},
    });
  });

  test("has no attributes member when there are none", () => {
    expect(projectSpan(spanOf()).span).not.toHaveProperty("attributes");
  });

  test("names its parent, and has no end while it is open", () => {
    const parentSpanContext = { traceId: TRACE_ID, spanId: "00f067aa0ba902b7" };
    const { span } = projectSpan(spanOf({ ended: false, endTime: [0, 0], parentSpanContext }));
    expect(span.parentSpanId).toBe("00f067aa0ba902b7");
    expect(span).not.toHaveProperty("endTime");
  });

  test("keeps microseconds and writes no more digits than that", () => {
    const { span } = projectSpan(
      spanOf({ startTime: [1_750_000_000, 300_819_300], endTime: [1_750_000_000, 999_999_999] }),
    );
    expect(JSON.stringify([span.startTime, span.endTime])).toBe("[1750000000300.819,1750000001000]");
  });

  test("carries kind, scope, events, links and drop counts under otel names", () => {
    const { span } = projectSpan(
      spanOf({
        kind: 3,
        instrumentationScope: { name: "lib", version: "1.0.0" },
        events: [
          { name: "retry", time: [1_750_000_000, 5_000_000], attributes: { attempt: 2, big: 1n } },
          { name: "done", time: [1_750_000_001, 0] },
        ],
        links: [{ context: { traceId: TRACE_ID, spanId: "00f067aa0ba902b7" }, attributes: { why: "retry" } }],
        droppedAttributesCount: 1,
        droppedEventsCount: 2,
        droppedLinksCount: 3,
      }),
    );
    expect(span.attributes).toStrictEqual({
      "otel.kind": "PRODUCER",
      "otel.scope.name": "lib",
      "otel.scope.version": "1.0.0",
      "otel.events": [
        { name: "retry", time: 1_750_000_000_005, attributes: { attempt: 2, big: "1" } },
        { name: "done", time: 1_750_000_001_000 },
      ],
      "otel.links": [{ traceId: TRACE_ID, spanId: "00f067aa0ba902b7", attributes: { why: "retry" } }],
      "otel.dropped_attributes_count": 1,
      "otel.dropped_events_count": 2,
      "otel.dropped_links_count": 3,
    });
  });

  test("accepts values that only OpenTelemetry 3.x keeps: nested, null, bytes, BigInt", () => {
    const { attributes } = projected({
      nested: { a: [{ b: 1n }] },
      none: null,
      bytes: new Uint8Array([1]),
      not: Number.NaN,
    });
    expect(attributes).toStrictEqual({ nested: { a: [{ b: "1" }] }, none: null, bytes: "AQ==", not: null });
  });
});

describe("status", () => {
  test("is an error for code 2 only", () => {
    expect(projected({}, { status: { code: 1, message: "fine" } })).toMatchObject({ status: "ok" });
    expect(projected({}, { status: { code: 1, message: "fine" } })).not.toHaveProperty("statusMessage");
    expect(projected({}, { status: { code: 2 } })).toMatchObject({ status: "error" });
  });

  test("reads its message from the status, else the last exception, else error.type", () => {
    const events = ["first", "last"].map((message) => ({
      name: "exception",
      time: [0, 0] as [number, number],
      attributes: { "exception.message": message },
    }));
    const attributes = { "error.type": "timeout" };
    const messageOf = (members: Partial<ReadableSpan>) => projected(attributes, members).statusMessage;
    expect(messageOf({ status: { code: 2, message: "own" }, events })).toBe("own");
    expect(messageOf({ status: { code: 2 }, events })).toBe("last");
    expect(messageOf({ status: { code: 2, message: "" } })).toBe("timeout");
    expect(projected(attributes).attributes).toStrictEqual({
      ...attributes,
      // Nobody set a status: a replay leaves the status unset, too.
      "otel.status_code": "UNSET",
    });
  });
});

describe("tokens", () => {
  const usage = (input: unknown, output: unknown, read?: unknown, write?: unknown, reasoning?: unknown) =>
    projected({
      "gen_ai.operation.name": "chat",
      "gen_ai.usage.input_tokens": input,
      "gen_ai.usage.output_tokens": output,
      "gen_ai.usage.cache_read.input_tokens": read,
      "gen_ai.usage.cache_creation.input_tokens": write,
      "gen_ai.usage.reasoning.output_tokens": reasoning,
    });

  test.each([
    [
      "are disjoint: cached leave input, reasoning leaves output",
      [100, 50, 30, 10, 15],
      [60, 35, 15, 30, 10, 150],
    ],
    ["that cover their whole leave nothing", [40, 15, 30, 10, 15], [0, 0, 15, 30, 10, 55]],
    ["that exceed their whole are already excluded from it", [10, 5, 100, 20, 7], [10, 5, 7, 100, 20, 142]],
    ["that are not finite count 0", [Number.NaN, Number.POSITIVE_INFINITY, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
    ["that are BigInts are numbers", [7n, 3n], [7, 3, 0, 0, 0, 10]],
  ] as const)("%s", (_, counts, [input, output, reasoning, cacheRead, cacheWrite, total]) => {
    const span = usage(...(counts as [unknown, unknown]));
    expect(span.tokens).toStrictEqual({ input, output, reasoning, cacheRead, cacheWrite, total });
    expect(Object.keys(span.attributes ?? {}).filter((key) => key.includes("usage"))).toEqual([]);
  });

  test("that are negative are none, and stay attributes", () => {
    const span = usage(-7, 5, -1);
    expect(span.tokens).toMatchObject({ input: 0, output: 5, cacheRead: 0, total: 5 });
    expect(span.attributes).toMatchObject({
      "gen_ai.usage.input_tokens": -7,
      "gen_ai.usage.cache_read.input_tokens": -1,
    });
    const paid = projected({ "gen_ai.operation.name": "chat", "crash_safe_file.cost": -0.5 });
    expect(paid).not.toHaveProperty("cost");
    expect(paid.attributes).toMatchObject({ "crash_safe_file.cost": -0.5 });
  });

  test("are absent when the span has none, and stay attributes when they have the wrong type", () => {
    const span = usage("many", undefined);
    expect(span).not.toHaveProperty("tokens");
    expect(span.attributes?.["gen_ai.usage.input_tokens"]).toBe("many");
  });

  test("a total that contradicts the sum stays an attribute", () => {
    const attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.usage.input_tokens": 5,
      "gen_ai.usage.total_tokens": 9,
    };
    expect(projected(attributes).attributes).toMatchObject({ "gen_ai.usage.total_tokens": 9 });
    expect(projected({ ...attributes, "gen_ai.usage.total_tokens": 5 }).attributes).toStrictEqual({
      "gen_ai.operation.name": "chat",
    });
  });
});

describe("the namespace of this package", () => {
  test("fills fields that no convention has a key for", () => {
    expect(
      projected({
        "gen_ai.operation.name": "chat",
        "crash_safe_file.cost": 0.25,
        "crash_safe_file.model_id": "openai/gpt-4o",
        "crash_safe_file.variant": "high",
        "crash_safe_file.interrupted": true,
      }),
    ).toMatchObject({
      kind: "generation",
      cost: 0.25,
      model: { modelId: "openai/gpt-4o", variant: "high" },
      interrupted: true,
      attributes: { "gen_ai.operation.name": "chat" },
    });
    expect(
      projected({ "crash_safe_file.kind": "tool", "crash_safe_file.tool.duration_ms": 12.5 }),
    ).toMatchObject({
      kind: "tool",
      tool: { durationMs: 12.5 },
    });
    expect(projected({ "crash_safe_file.kind": "user-message" }).kind).toBe("user-message");
  });

  test("makes no foreign span the session, and adds no unknown field", () => {
    for (const kind of ["session", "nonsense", 5]) {
      const span = projected({ "crash_safe_file.kind": kind });
      expect(span).toMatchObject({ kind: "span", attributes: { "crash_safe_file.kind": kind } });
    }
  });
});

describe("metadata", () => {
  test("has only known values", () => {
    expect(metadata({})).toStrictEqual({});
    expect(
      metadata(
        {
          "gen_ai.operation.name": "invoke_agent",
          "gen_ai.agent.name": "builder",
          "gen_ai.provider.name": "anthropic",
          "gen_ai.request.model": "opus",
          "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Fix it"}]}]',
          "user.id": "u1",
          "crash_safe_file.title": "Fixing",
          "crash_safe_file.variant": "max",
          "crash_safe_file.tags": ["a", 1, "b"],
        },
        { resource: { attributes: { "deployment.environment.name": "prod", "service.version": "2.0.0" } } },
      ),
    ).toStrictEqual({
      model: "anthropic/opus",
      providerId: "anthropic",
      prompt: "Fix it",
      title: "Fixing",
      agent: "builder",
      variant: "max",
      userId: "u1",
      tags: ["a", "b"],
      environment: "prod",
      version: "2.0.0",
    });
  });

  test("names the requested model, once qualified and only of conversations", () => {
    const chat = {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "m",
      "gen_ai.response.model": "m-2025",
    };
    expect(metadata(chat).model).toBe("m");
    expect(metadata({ ...chat, "gen_ai.provider.name": "p" }).model).toBe("p/m");
    expect(metadata({ ...chat, "gen_ai.request.model": "p/m", "gen_ai.provider.name": "p" }).model).toBe(
      "p/m",
    );
    expect(metadata({ ...chat, "gen_ai.operation.name": "embeddings" })).toStrictEqual({});
  });

  test("accepts the older key names", () => {
    const resource = { attributes: { "deployment.environment": "stage" } };
    expect(metadata({ "enduser.id": "u2" }, { resource })).toStrictEqual({
      userId: "u2",
      environment: "stage",
    });
  });

  test.each([
    ["text", '"Do it"', "Do it"],
    [
      "messages with text content",
      '[{"role":"system","content":"s"},{"role":"user","content":"Do it"}]',
      "Do it",
    ],
    [
      "messages with parts",
      '[{"role":"user","parts":[{"type":"image"},{"type":"text","content":"Do it"}]}]',
      "Do it",
    ],
    ["messages with text parts", '[{"role":"user","content":[{"type":"text","text":"Do it"}]}]', "Do it"],
    ["no user message", '[{"role":"system","content":"s"}]', undefined],
    ["something else", "[1,null,[]]", undefined],
  ])("finds the prompt in %s", (_, content, expected) => {
    const attributes = {
      "openinference.span.kind": "AGENT",
      "input.mime_type": "application/json",
      "input.value": content,
    };
    const plain = { ...attributes, "input.mime_type": "text/plain", "input.value": "Do it" };
    expect(metadata(content.startsWith('"') ? plain : attributes).prompt).toBe(expected);
  });

  test("reads the prompt from a local root only, at most 4000 characters", () => {
    const attributes = { "openinference.span.kind": "AGENT", "input.value": "p".repeat(5000) };
    const parent = { traceId: TRACE_ID, spanId: "00f067aa0ba902b7" };
    const remote = { ...parent, isRemote: true };
    expect(metadata(attributes).prompt).toBe("p".repeat(4000));
    expect(metadata(attributes, { parentSpanContext: remote }).prompt).toHaveLength(4000);
    expect(metadata(attributes, { parentSpanContext: parent })).not.toHaveProperty("prompt");
  });
});

describe("P6 hostile spans", () => {
  test("P6 a throwing attribute loses only itself", () => {
    const attributes = {
      "gen_ai.operation.name": "execute_tool",
      get "gen_ai.tool.call.result"(): string {
        return throwing();
      },
      proxy: hostileProxy(),
      "gen_ai.tool.name": "bash",
    };
    expect(projected(attributes)).toMatchObject({
      kind: "tool",
      name: "bash",
      output: "[unreadable: hostile]",
      attributes: { proxy: "[unreadable: hostile]" },
    });
  });

  test("P6 attributes that cannot be listed leave a marker", () => {
    expect(projected(hostileProxy())).toMatchObject({
      name: "work",
      attributes: { "otel.attributes": "[unreadable: hostile]" },
    });
    for (const attributes of [undefined, null]) {
      expect(projectSpan(spanOf({ attributes: attributes as never })).span).not.toHaveProperty("attributes");
    }
  });

  test("P6 each member of the span may be unreadable", () => {
    for (const member of Object.keys(spanOf({ parentSpanContext: undefined }))) {
      const broken = Object.defineProperty(spanOf({ attributes: { kept: 1 } }), member, { get: throwing });
      const { span } = projectSpan(broken);
      JSON.stringify(span);
      if (member !== "attributes") expect(span.attributes, member).toMatchObject({ kept: 1 });
    }
    expect(() => JSON.stringify(projectSpan(hostileProxy()))).not.toThrow();
    expect(() => JSON.stringify(projectSpan({} as never))).not.toThrow();
  });

  test("P6 one bad event or link leaves the rest", () => {
    const context = { traceId: TRACE_ID, spanId: SPAN_ID };
    const { attributes } = projected(
      {},
      {
        events: [hostileProxy(), { name: "good", time: [1, 0] }],
        links: [{ context: hostileProxy() }, { context }],
      },
    );
    expect(attributes).toStrictEqual({
      "otel.events": ["[unreadable event]", { name: "good", time: 1000 }],
      "otel.links": ["[unreadable link]", context],
    });
  });

  test("P6 JSON too deep for JSON.stringify stays a string", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000);
    for (const [key, operation] of [
      ["gen_ai.input.messages", "chat"],
      ["gen_ai.tool.call.arguments", "execute_tool"],
    ] as const) {
      const span = projected({ "gen_ai.operation.name": operation, [key]: deep });
      expect(span.input).toBe(deep);
      JSON.stringify(span);
    }
  });

  test("P6 flattened keys cannot build a huge, deep or polluted structure", () => {
    const span = projected({
      "openinference.span.kind": "LLM",
      "llm.input_messages.999999999.message.role": "user",
      "llm.input_messages.4.message.__proto__.polluted": "yes",
      "llm.input_messages.4.message.content": "first",
      "llm.input_messages.4.message.content.text": "contradicts",
      "llm.input_messages.4.message.name.first": "branch",
      "llm.input_messages.4.message.name": "contradicts, too",
      [`llm.input_messages.4.${"a.".repeat(50_000)}b`]: "deep",
      "llm.input_messages.x.message.role": "no index",
    });
    expect(JSON.stringify(span.input)).toBe(
      '[{"role":"user","content":[{"type":"text","content":"first"}],"__proto__":{"polluted":"yes"},"name":{"first":"branch"}},{"role":"user","content":[]}]',
    );
    expect(Object.keys(span.attributes ?? {})).toHaveLength(5);
    expect(span.attributes).toMatchObject({
      "llm.input_messages.4.message.content.text": "contradicts",
      "llm.input_messages.4.message.name": "contradicts, too",
    });
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });

  test("P6 10,000 attributes, __proto__ among them, are all kept", () => {
    const attributes = JSON.parse(
      `{"__proto__":"own",${Array.from({ length: 9999 }, (_, i) => `"k${i}":${i}`).join()}}`,
    ) as Record<string, unknown>;
    expect(JSON.stringify(projected(attributes).attributes)).toBe(JSON.stringify(attributes));
  });

  test("P6 5 MB of tool output passes by reference, JSON-like or not", () => {
    for (const text of ["x".repeat(5_000_000), `[${"x".repeat(5_000_000)}`]) {
      const attributes = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": text };
      expect(projected(attributes).output).toBe(text);
    }
  });

  test("P6 projectSpan and JSON.stringify never throw, and every key is a field or an attribute", () => {
    const known = [
      "crash_safe_file.kind",
      "crash_safe_file.cost",
      "crash_safe_file.tags",
      "gen_ai.operation.name",
      "gen_ai.input.messages",
      "gen_ai.usage.input_tokens",
      "gen_ai.response.finish_reasons",
      "gen_ai.tool.call.result",
      "ai.operationId",
      "ai.prompt",
      "ai.values",
      "ai.response.toolCalls",
      "openinference.span.kind",
      "llm.input_messages.0.message.content",
      "llm.input_messages.0",
      "input.value",
      "output.value",
      "traceloop.span.kind",
      "traceloop.entity.input",
      "llm.request.type",
      "gen_ai.prompt.0.content",
      "http.request.method",
      "url.full",
      "langfuse.observation.type",
      "langfuse.observation.usage_details",
      "langfuse.observation.cost_details",
      "langsmith.span.kind",
      "gen_ai.prompt",
      "gen_ai.completion",
      "mastra.span.type",
      "mastra.tags",
      "genkit:type",
      "genkit:metadata:subtype",
      "genkit:input",
      "genkit:output",
      "gcp.vertex.agent.llm_request",
      "gcp.vertex.agent.llm_response",
      "gen_ai.output.messages",
      "output.mime_type",
      "llm.output_messages.0.message.tool_calls",
    ];
    const fieldKeys = [
      "chat",
      "execute_tool",
      "ai.toolCall",
      "ai.generateText.doGenerate",
      "LLM",
      "TOOL",
      "tool",
      "[1]",
      "{",
      "generation",
      "llm",
      "model",
      '{"messages":[{"role":"user","content":null,"tool_calls":[null,{"function":1}]}]}',
      '{"message":{"role":"model","content":[{"toolRequest":{}},{"text":1}]},"usage":{"inputTokens":"x"}}',
      '[[{"lc":1,"id":["HumanMessage"],"kwargs":{"content":{}}}],[]]',
      '{"choices":[[{"message":{"role":"x"}}],null],"input":null,"total":"1"}',
    ];
    const key = fc.oneof(fc.constantFrom(...known), fc.string());
    const value = fc.oneof(
      fc.constantFrom(...fieldKeys),
      fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withTypedArray: true,
        withSparseArray: true,
        withNullPrototype: true,
      }),
    );
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 12 }), fc.boolean(), (attributes, ended) => {
        const result = projectSpan(spanOf({ attributes, ended }));
        const again = JSON.parse(JSON.stringify(result)) as typeof result;
        expect(again.span.spanId).toBe(SPAN_ID);
        for (const unknown of Object.keys(attributes).filter(
          (name) =>
            !/^(?:crash|gen_ai|ai|llm|input|output|traceloop|langfuse|langsmith|mastra|genkit|gcp|anthropic)/.test(
              name,
            ),
        )) {
          if (attributes[unknown] !== undefined) expect(result.span.attributes).toHaveProperty([unknown]);
        }
      }),
      { numRuns: 500 },
    );
  });
});
