/**
 * The contract: `context` and `withContext`. Spans of real instrumentation are nested where they belong, in the
 * right session.
 */
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { suppressTracing } from "@opentelemetry/core";
import { generateText } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import {
  named,
  rootOf,
  SessionTracerStage,
  spansOf,
  type TracerProcess,
} from "../support/session-tracer-stage.js";

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterAll(() => context.disable());

let stage: SessionTracerStage;
let process: TracerProcess;
beforeEach(() => {
  stage = new SessionTracerStage();
  process = stage.process();
});
afterEach(() => stage.remove());

function started(id: string): SessionTracer {
  const tracer = process.newTracer();
  tracer.startTrace(id);
  return tracer;
}

const usage = {
  inputTokens: { total: 3, noCache: 3, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 2, text: 2, reasoning: 0 },
};

/** The AI SDK as a host calls it, with its own telemetry. Waits for `until` in the middle of the model's call. */
function ask(until: Promise<void>): Promise<unknown> {
  const model = new MockLanguageModelV3({
    doGenerate: async () => {
      await until;
      const content = [{ type: "text" as const, text: "hi" }];
      return { content, finishReason: { unified: "stop", raw: "stop" }, usage, warnings: [] };
    },
  });
  const telemetry = { isEnabled: true, tracer: process.foreign };
  return generateText({ model, prompt: "hello", experimental_telemetry: telemetry });
}

/** Parents by name. */
const parents = async (tracer: SessionTracer) =>
  Object.fromEntries(
    named(await stage.flushed(tracer)).map(({ spanId, parentSpanId }) => [spanId, parentSpanId]),
  );

describe("withContext", () => {
  test("nests spans of the AI SDK under the right tool or generation, in two sessions at once", async () => {
    const [a, b] = [started("a"), started("b")];
    let go = () => {};
    const both = new Promise<void>((resolve) => {
      go = resolve;
    });
    a.logStepStart({ id: "ga" });
    const inGeneration = a.withContext(() => ask(both));
    b.logStepStart({ id: "gb" });
    b.logToolCall({ tool: "task", callID: "c", state: { status: "running" } });
    const inTool = b.withContext(() => ask(both));
    go();
    await Promise.all([inGeneration, inTool]);
    b.logToolCall({ tool: "task", callID: "c", state: { status: "completed" } });
    for (const [tracer, id, parent] of [
      [a, "a", "generation-ga"],
      [b, "b", "task"],
    ] as const) {
      const all = await parents(tracer);
      const outer = Object.keys(all).find((name) => /generateText$/.test(name));
      expect(outer).toBeDefined();
      expect(all[outer as string]).toBe(parent);
      expect(Object.entries(all).filter(([, above]) => above === outer)).toHaveLength(1);
      expect(Object.values(all)).not.toContain("nobody");
      const foreign = process.memory
        .getFinishedSpans()
        .filter(
          (span) => span.instrumentationScope.name === "foreign" && span.attributes["session.id"] === id,
        );
      expect(foreign).toHaveLength(2);
      const { traceId } = stage.document(id);
      for (const span of foreign) expect(span.spanContext().traceId).toBe(traceId);
    }
    await Promise.all([a.endTrace(), b.endTrace()]);
    expect(
      stage
        .document("a")
        .spans.map(({ kind }) => kind)
        .sort(),
    ).toEqual(["generation", "generation", "session", "span"].sort());
  });

  test("returns what the function returns, and throws what it throws", async () => {
    const tracer = started("a");
    expect(tracer.withContext(() => 7)).toBe(7);
    await expect(tracer.withContext(async () => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
    expect(() =>
      tracer.withContext(() => {
        throw new Error("mine");
      }),
    ).toThrow("mine");
  });

  test("activates the same context as context()", () => {
    const tracer = started("a");
    tracer.logStepStart({ id: "g" });
    const inside = tracer.withContext(() => trace.getActiveSpan()?.spanContext());
    expect(inside).toEqual(trace.getSpanContext(tracer.context()));
    expect(trace.getActiveSpan()).toBeUndefined();
  });
});

describe("context", () => {
  const startIn = (tracer: SessionTracer, name: string, ...target: Parameters<SessionTracer["context"]>) =>
    process.foreign.startSpan(name, {}, tracer.context(...target)).end();

  test("is that of the running tool, else the generation, else the turn; or the requested one", async () => {
    const tracer = started("a");
    startIn(tracer, "in turn");
    tracer.logStepStart({ id: "g" });
    startIn(tracer, "in generation");
    for (const callID of ["x", "y"])
      tracer.logToolCall({ tool: callID, callID, state: { status: "running" } });
    startIn(tracer, "in newest tool");
    startIn(tracer, "in tool x", "tool", "x");
    startIn(tracer, "in generation, asked", "generation");
    startIn(tracer, "in turn, asked", "turn");
    expect(await parents(tracer)).toEqual({
      a: null,
      "in turn": "a",
      "generation-g": "a",
      "in generation": "generation-g",
      x: "generation-g",
      y: "generation-g",
      "in newest tool": "y",
      "in tool x": "x",
      "in generation, asked": "generation-g",
      "in turn, asked": "a",
    });
  });

  test("is the caller's own before startTrace and after the end", async () => {
    const tracer = process.newTracer();
    expect(tracer.context()).toBe(context.active());
    tracer.startTrace("a");
    expect(tracer.context()).not.toBe(context.active());
    await tracer.endTrace();
    expect(tracer.context("turn")).toBe(context.active());
  });

  test("does not depend on an active span of the caller: the session's spans stay its own", async () => {
    const tracer = process.newTracer();
    const outer = process.foreign.startSpan("outer");
    context.with(trace.setSpan(context.active(), outer), () => {
      tracer.startTrace("a");
      tracer.logUserMessage("one");
      tracer.logSpan({ name: "s", startTime: 1, endTime: 2 });
    });
    const document = await stage.flushed(tracer);
    for (const span of spansOf(document)) {
      expect(span.parentSpanId).toBe(rootOf(document).spanId);
      expect(span).not.toHaveProperty("traceId");
    }
    tracer.endTurn();
    const turn = process.memory.getFinishedSpans().find(({ name }) => name === "invoke_agent");
    expect(turn?.spanContext().traceId).not.toBe(outer.spanContext().traceId);
    expect(turn?.parentSpanContext).toBeUndefined();
  });

  test("does not matter to a session whose calls come where tracing is suppressed: all spans are recorded and sent", async () => {
    const tracer = process.newTracer();
    context.with(suppressTracing(context.active()), () => {
      tracer.startTrace("a");
      tracer.logUserMessage("one");
      tracer.logStepStart({ id: "g" });
      tracer.logToolCall({ tool: "ls", callID: "c", state: { status: "completed" } });
      tracer.logStepFinish({ id: "g", reason: "stop" });
      tracer.logSpan({ name: "s", startTime: 1, endTime: 2 });
    });
    await tracer.endTrace();
    expect(spansOf(stage.document("a")).map(({ name }) => name)).toEqual([
      "user-message",
      "generation-g",
      "ls",
      "s",
    ]);
    const sent = process.memory.getFinishedSpans().map(({ name }) => name);
    expect(sent.sort()).toEqual(["chat", "execute_tool ls", "invoke_agent", "s", "user-message"]);
  });
});
