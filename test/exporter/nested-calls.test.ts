/** One model call that several instrumentations record counts once. */
import { context, type Span, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../src/index.js";
import { capturedSpans } from "../support/projection-span.js";
import { Stage } from "../support/session-stage.js";
import { SessionTracerStage } from "../support/session-tracer-stage.js";

beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterAll(() => context.disable());

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const processors = {
  live: CrashSafeSpanProcessor,
  stock: SimpleSpanProcessor,
};
type Kind = keyof typeof processors;

function newProvider(kind: Kind): BasicTracerProvider {
  const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir, sessionId: () => "ses_1" });
  return new BasicTracerProvider({ spanProcessors: [new processors[kind](exporter)] });
}

const shapeOf = (spans: readonly TraceSpan[]) =>
  spans.filter(({ kind }) => kind !== "session").map(({ name, kind }) => `${kind} ${name}`);

/** Records captured spans again: all starts first, then the ends in their order, or in the opposite order. */
function perform(provider: BasicTracerProvider, order: "as captured" | "opposite"): void {
  const captured = capturedSpans("openinference-anthropic");
  const started = new Map<string, Span>();
  const byStart = captured.toSorted((a, b) => Number(!!a.parentSpanContext) - Number(!!b.parentSpanContext));
  for (const { instrumentationScope, name, kind, attributes, parentSpanContext, spanContext } of byStart) {
    const parent = started.get(parentSpanContext?.spanId ?? "");
    const within = parent ? trace.setSpan(context.active(), parent) : context.active();
    const tracer = provider.getTracer(instrumentationScope.name, instrumentationScope.version);
    started.set(
      spanContext().spanId,
      tracer.startSpan(name, { kind, attributes: attributes as never }, within),
    );
  }
  for (const span of order === "opposite" ? captured.toReversed() : captured) {
    const own = started.get(span.spanContext().spanId);
    if (span.status.code === SpanStatusCode.ERROR) own?.setStatus({ code: SpanStatusCode.ERROR });
    own?.end();
  }
}

test.each([
  ["live", "as captured"],
  ["live", "opposite"],
  ["stock", "as captured"],
  ["stock", "opposite"],
] as const)("%s: the SDK of Anthropic below OpenInference, ends %s", async (kind, order) => {
  const provider = newProvider(kind);
  perform(provider, order);
  await provider.shutdown();
  const { spans, summary } = stage.document("ses_1");
  const captured = capturedSpans("openinference-anthropic");
  // One call of the SDK has a parent that never ends: OpenInference does not end the span of a stream that is cut.
  const calls = captured.filter(({ parentSpanContext }) => !parentSpanContext).length + 1;
  expect(summary).toMatchObject({ totalGenerations: calls, totalTokens: 4 * 160 + 120 });
  expect(summary.tokens).toMatchObject({ output: 4 * 40 });
  // The span with the messages is the call wherever the exporter knows of the span in time.
  const outer = spans.filter(({ name }) => name === "Anthropic Messages");
  if (kind === "live") expect(new Set(outer.map((span) => span.kind))).toEqual(new Set(["generation"]));
  // The counts of a part stay under the keys of its instrumentation.
  const counts = spans
    .map(
      ({ attributes = {} }) =>
        attributes["gen_ai.usage.output_tokens"] ?? attributes["llm.token_count.completion"],
    )
    .filter((count) => count !== undefined);
  expect(counts).toEqual([40, 40, 40, 40]);
});

const usage = { "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 2 };
const chat = { "gen_ai.operation.name": "chat", "gen_ai.request.model": "m" };

/** Runs with a span of these attributes, which ends afterwards. */
function within(
  tracer: Tracer,
  name: string,
  attributes: object,
  run: (span: Span) => void = () => {},
): void {
  tracer.startActiveSpan(name, { attributes: { ...attributes } }, (span) => {
    run(span);
    span.end();
  });
}

test("live: a call without counts has those of its parts", async () => {
  const provider = newProvider("live");
  const tracer = provider.getTracer("outer");
  within(tracer, "call", chat, () => {
    within(tracer, "try", { ...chat, ...usage });
    within(tracer, "retry", { ...chat, ...usage, "crash_safe_file.cost": 0.5 });
  });
  await provider.shutdown();
  const { spans, summary } = stage.document("ses_1");
  expect(shapeOf(spans)).toEqual(["span try", "span retry", "generation call"]);
  expect(spans[2]).toMatchObject({ tokens: { input: 6, output: 4, total: 10 }, cost: 0.5 });
  expect(summary).toMatchObject({ totalGenerations: 1, totalTokens: 10, totalCost: 0.5 });
});

test.each(["live", "stock"] as const)("%s: three spans of one call are one call", async (kind) => {
  const provider = newProvider(kind);
  const tracer = provider.getTracer("outer");
  within(tracer, "call", { ...chat, ...usage }, () =>
    within(tracer, "client", { ...chat, ...usage }, () => within(tracer, "wire", { ...chat, ...usage })),
  );
  await provider.shutdown();
  expect(stage.document("ses_1").summary).toMatchObject({ totalGenerations: 1, totalTokens: 5 });
});

test.each(["live", "stock"] as const)(
  "%s: a call of a tool or an agent within a call counts, and so does the next call",
  async (kind) => {
    const provider = newProvider(kind);
    const tracer = provider.getTracer("outer");
    const tool = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ask" };
    const agent = { "gen_ai.operation.name": "invoke_agent" };
    for (const between of [tool, agent])
      within(tracer, "call", { ...chat, ...usage }, () =>
        within(tracer, "ask", between, () => within(tracer, "other", { ...chat, ...usage })),
      );
    within(tracer, "next", { ...chat, ...usage });
    await provider.shutdown();
    expect(stage.document("ses_1").summary).toMatchObject({
      totalGenerations: 5,
      totalToolCalls: 1,
      totalTokens: 25,
    });
  },
);

test.each(["live", "stock"] as const)("%s: an embedding that two instrumentations record", async (kind) => {
  const provider = newProvider(kind);
  const tracer = provider.getTracer("outer");
  const embeddings = { ...chat, "gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 7 };
  within(tracer, "embed", embeddings, () => within(tracer, "client", embeddings));
  await provider.shutdown();
  const { spans, summary } = stage.document("ses_1");
  expect(spans.filter((span) => span.kind === "embedding")).toHaveLength(1);
  expect(summary).toMatchObject({ totalGenerations: 0, totalTokens: 7 });
});

test("a kind that the program sets itself is kept", async () => {
  const provider = newProvider("live");
  const tracer = provider.getTracer("outer");
  within(tracer, "call", chat, () =>
    within(tracer, "own", { ...chat, ...usage, "crash_safe_file.kind": "generation" }),
  );
  await provider.shutdown();
  expect(stage.document("ses_1").summary).toMatchObject({ totalGenerations: 2, totalTokens: 5 });
});

test("a client within a generation of the session tracer adds no counts", async () => {
  const tracers = new SessionTracerStage();
  const process = tracers.process();
  const session = process.newTracer();
  session.startTrace("ses_1");
  session.logStepStart({ id: "g" });
  await session.withContext(async () => within(process.foreign, "client", { ...chat, ...usage }));
  const tokens = { input: 3, output: 2, reasoning: 0, cache: { read: 0, write: 0 } };
  session.logStepFinish({ id: "g", reason: "stop", cost: 0.5, tokens });
  await session.endTrace();
  const { spans, summary } = tracers.document("ses_1");
  tracers.remove();
  expect(shapeOf(spans).sort()).toEqual(["generation generation-g", "span client"]);
  expect(summary).toMatchObject({ totalGenerations: 1, totalTokens: 5, totalCost: 0.5 });
});

/** A time of these calls. As a `Date`: a number that the age of the process exceeds would be a time since its start. */
const at = (milliseconds: number) => new Date(1_700_000_000_000 + milliseconds);

/** Two neighbours within one span: the framework's call contains that of the client, and ends after it. */
async function neighbours(
  kind: Kind,
  client: object,
  framework: object,
  { scope = "client", isApart = false } = {},
) {
  const provider = newProvider(kind);
  const tracer = provider.getTracer("framework");
  within(tracer, "request", {}, () => {
    const outer = tracer.startSpan("framework", { startTime: at(0), attributes: { ...chat, ...framework } });
    const call = { ...chat, ...usage, ...client };
    const inner = provider.getTracer(scope).startSpan("client", { startTime: at(10), attributes: call });
    if (isApart) outer.end(at(5));
    inner.end(at(20));
    if (!isApart) outer.end(at(30));
  });
  await provider.shutdown();
  return stage.document("ses_1");
}
const id = (text: string) => ({ "gen_ai.response.id": text });
const message = { generations: [[{ text: 'says "id":"x"', message: { kwargs: { id: "chatcmpl-7" } } }]] };
const openInference = {
  "openinference.span.kind": "LLM",
  "output.value": JSON.stringify(message),
  "output.mime_type": "application/json",
  "llm.token_count.prompt": 3,
  "llm.token_count.completion": 2,
};

test.each([
  ["live", { ...usage, ...id("chatcmpl-7") }],
  ["stock", { ...usage, ...id("chatcmpl-7") }],
  ["live", openInference],
  ["stock", openInference],
] as const)("%s: neighbours with the id of one response are one call: %o", async (kind, framework) => {
  const { spans, summary } = await neighbours(kind, id("chatcmpl-7"), framework);
  expect(summary).toMatchObject({ totalGenerations: 1, totalTokens: 5 });
  expect(shapeOf(spans).sort()).toEqual(["generation client", "span framework", "span request"]);
});

test("live: of neighbours without counts in the first, those of the second count", async () => {
  const bare = {
    ...id("r"),
    "gen_ai.usage.input_tokens": undefined,
    "gen_ai.usage.output_tokens": undefined,
  };
  const { summary } = await neighbours("live", bare, { ...usage, ...id("r") });
  expect(summary).toMatchObject({ totalGenerations: 1, totalTokens: 5 });
});

test.each([
  ["of other responses", id("a"), id("b"), {}],
  ["without an id", {}, {}, {}],
  ["of one instrumentation", id("a"), id("a"), { scope: "framework" }],
  ["one after the other", id("a"), id("a"), { isApart: true }],
])("live: neighbours %s are two calls", async (_, client, framework, how) => {
  const { summary } = await neighbours("live", client, { ...usage, ...framework }, how);
  expect(summary).toMatchObject({ totalGenerations: 2, totalTokens: 10 });
});

test.each(["live", "stock"] as const)("%s: captured neighbours are one call", async (kind) => {
  const provider = newProvider(kind);
  const captured = capturedSpans("langchain-neighbours");
  const root = provider.getTracer("app").startSpan("request", {});
  const inRoot = trace.setSpan(context.active(), root);
  for (const { name, startTime, endTime, attributes, instrumentationScope } of captured.slice(0, 2))
    provider
      .getTracer(instrumentationScope.name)
      .startSpan(name, { startTime: [...startTime], attributes: attributes as never }, inRoot)
      .end([...endTime]);
  root.end();
  await provider.shutdown();
  const { spans, summary } = stage.document("ses_1");
  expect(summary).toMatchObject({ totalGenerations: 1, totalTokens: 160 });
  expect(shapeOf(spans)).toEqual(["generation OpenAI Chat Completions", "span ChatOpenAI", "span request"]);
  expect(spans.find(({ name }) => name === "ChatOpenAI")?.attributes).toMatchObject({
    "llm.token_count.total": 160,
  });
});
