/** The contract: `logToolCall`. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { ToolCallPart } from "../../src/tracer/input-types.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { begin, named, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1");
});
afterEach(() => stage.remove());

const any = <T>(value: unknown): T => value as T;
const spans = async () => spansOf(await stage.flushed(tracer));
/** The only tool span, after this call. */
async function logged(state: object, more: Partial<ToolCallPart> = { tool: "bash" }): Promise<TraceSpan> {
  tracer.logToolCall({ ...more, state });
  const tools = (await spans()).filter(({ kind }) => kind === "tool");
  expect(tools).toHaveLength(1);
  return tools[0] as TraceSpan;
}

describe("a tool call", () => {
  test("is completed", async () => {
    const time = { start: begin - 120, end: begin - 20 };
    const state = {
      status: "completed",
      input: { command: "ls", deep: [1, { a: null }] },
      output: "a b",
      time,
    };
    tracer.logToolCall({ tool: "bash", callID: "c1", state });
    const document = await stage.flushed(tracer);
    expect(spansOf(document)).toStrictEqual([
      {
        spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
        parentSpanId: rootOf(document).spanId,
        name: "bash",
        kind: "tool",
        startTime: begin - 120,
        endTime: begin - 20,
        status: "ok",
        tool: { callId: "c1", durationMs: 100 },
        input: { command: "ls", deep: [1, { a: null }] },
        output: "a b",
        resource: expect.any(String),
      },
    ]);
    expect(document.summary).toMatchObject({
      totalToolCalls: 1,
      topTools: [{ name: "bash", count: 1, totalDuration: 100 }],
    });
  });

  test("has failed", async () => {
    const state = {
      status: "error",
      input: {},
      error: "no such file",
      output: "not this",
      time: { start: 5, end: 9 },
    };
    const { spanId: _, parentSpanId: __, ...span } = await logged(state);
    expect(span).toStrictEqual({
      name: "bash",
      kind: "tool",
      startTime: 5,
      endTime: 9,
      status: "error",
      statusMessage: "no such file",
      tool: { durationMs: 4 },
      input: {},
      output: { error: "no such file" },
      resource: expect.any(String),
    });
  });

  test.each(["completed", "done", undefined, null, 7, {}])(
    "with status %j has ended well",
    async (status) => {
      expect(await logged({ status, output: "x" })).toMatchObject({
        status: "ok",
        endTime: begin,
        output: "x",
      });
    },
  );

  test.each([
    ["", "unknown"],
    [undefined, "unknown"],
    [null, "unknown"],
    [0, "unknown"],
    [7, "7"],
    ["日本🦩", "日本🦩"],
  ])("with the tool name %j is %s", async (name, expected) => {
    expect(await logged({}, { tool: any(name) })).toMatchObject({ name: expected });
  });

  test.each([undefined, null, "completed", 7, false])("with the state %j is not counted", async (state) => {
    tracer.logStepStart({ id: "g" });
    tracer.logToolCall({ tool: "bash", callID: "c", state: any(state) });
    tracer.logStepFinish({ id: "g" });
    tracer.logStepStart({ id: "h" });
    const document = await stage.flushed(tracer);
    expect(document.summary.totalToolCalls).toBe(0);
    expect(document.summary).not.toHaveProperty("topTools");
    expect(spansOf(document).map(({ name, input, output }) => [name, input, output])).toEqual([
      ["generation-g", undefined, undefined],
      ["generation-h", undefined, undefined],
    ]);
  });

  test.each([undefined, null, {}, "text", 7])("is not logged for the part %j", async (part) => {
    tracer.logToolCall(any(part));
    expect(await spans()).toEqual([]);
  });
});

describe("the parent", () => {
  const parents = async () =>
    named(await stage.flushed(tracer))
      .filter(({ kind }) => kind === "tool")
      .map(({ name, parentSpanId }) => [name, parentSpanId]);
  const call = (tool: string, messageID?: string) =>
    tracer.logToolCall({ tool, messageID: any(messageID), state: {} });

  test("is the generation of its message, else the newest, else the session", async () => {
    call("before");
    tracer.logStepStart({ id: "a", messageID: "ma" });
    tracer.logStepStart({ id: "b", messageID: "mb" });
    call("of a", "ma");
    call("of b", "mb");
    call("of nobody", "other");
    call("untold");
    tracer.logStepFinish({ id: "b" });
    call("of b, which has ended", "mb");
    tracer.logStepFinish({ id: "a" });
    call("after", "ma");
    expect(await parents()).toEqual([
      ["before", "ses_1"],
      ["of b", "generation-b"],
      ["of nobody", "generation-b"],
      ["untold", "generation-b"],
      ["of a", "generation-a"],
      ["of b, which has ended", "generation-a"],
      ["after", "ses_1"],
    ]);
  });

  test("is that in which it started to run", async () => {
    tracer.logStepStart({ id: "a", messageID: "ma" });
    tracer.logToolCall({ tool: "bash", callID: "c", messageID: "ma", state: { status: "running" } });
    tracer.logStepFinish({ id: "a" });
    tracer.logStepStart({ id: "b", messageID: "mb" });
    tracer.logToolCall({ tool: "bash", callID: "c", messageID: "mb", state: { status: "completed" } });
    expect(await parents()).toEqual([["bash", "generation-a"]]);
  });
});

test.each(hostileArguments())("D3 loses only %s, at any place", async (_, value) => {
  const state = {
    status: any<string>(value),
    input: value,
    output: value,
    error: value,
    time: any<object>(value),
  };
  tracer.logToolCall(any(value));
  tracer.logToolCall({ tool: any(value), callID: any(value), messageID: any(value), state });
  tracer.logToolCall({ tool: "running", callID: any(value), state: { ...state, status: "running" } });
  const good = { tool: "good", callID: "good" };
  tracer.logToolCall({ ...good, state: { ...state, status: "error", time: { start: any(value), end: 7 } } });
  const seen = (await spans()).find(({ name }) => name === "good");
  expect(seen).toMatchObject({ status: "error", endTime: 7, output: { error: expect.any(String) } });
  await tracer.endTrace();
  expect(stage.document("ses_1").summary.totalToolCalls).toBe(3);
});
