/** The contract: times, input and output of tool calls. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { ToolCallPart } from "../../src/tracer/input-types.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { begin, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1");
});
afterEach(() => stage.remove());

const spans = async () => spansOf(await stage.flushed(tracer));
/** The only tool span, after this call. */
async function logged(state: object, more: Partial<ToolCallPart> = { tool: "bash" }): Promise<TraceSpan> {
  tracer.logToolCall({ ...more, state });
  const tools = (await spans()).filter(({ kind }) => kind === "tool");
  expect(tools).toHaveLength(1);
  return tools[0] as TraceSpan;
}

describe("the output", () => {
  test.each([
    ["", ""],
    [undefined, ""],
    [null, ""],
    [0, "0"],
    [false, "false"],
    [{ a: 1 }, '{"a":1}'],
    [[{ a: 1 }], '[{"a":1}]'],
    [[1, 2], "1,2"],
  ])("%j is written as %j", async (output, expected) => {
    expect((await logged({ output })).output).toBe(expected);
  });

  test.each([
    ["", ""],
    [undefined, ""],
    [null, ""],
    [7, "7"],
  ])("of the error %j is %j", async (error, expected) => {
    expect(await logged({ status: "error", error })).toMatchObject({
      statusMessage: expected,
      output: { error: expected },
    });
  });

  test.each([9_999, 10_000])("of %i characters stays whole", async (length) => {
    expect((await logged({ output: "o".repeat(length) })).output).toBe("o".repeat(length));
  });

  test("of an error is not cut", async () => {
    const error = "e".repeat(20_000);
    expect(await logged({ status: "error", error })).toMatchObject({
      statusMessage: error,
      output: { error },
    });
  });
});

describe("times", () => {
  test.each<[string, object | undefined | null, number, number, number]>([
    ["missing", undefined, begin, begin, 0],
    ["null", null, begin, begin, 0],
    ["a missing start", { end: begin + 7 }, begin, begin + 7, 7],
    ["a missing end", { start: begin - 7 }, begin - 7, begin, 7],
    ["an end before the start", { start: 200, end: 100 }, 200, 100, -100],
    ["zero", { start: 0, end: 0 }, 0, 0, 0],
    ["negative", { start: -500, end: -200 }, -500, -200, 300],
    ["far in the future", { start: 8e15, end: 9e15 }, 8e15, 9e15, 1e15],
    ["fractions", { start: 1.25, end: 2.5 }, 1.25, 2.5, 1.25],
    ["no numbers", { start: "1", end: {} }, begin, begin, 0],
    ["not finite", { start: Number.NaN, end: Number.POSITIVE_INFINITY }, begin, begin, 0],
    ["too far apart for a number", { start: -1.7e308, end: 1.7e308 }, -1.7e308, 1.7e308, 0],
  ])("%s", async (_, time, startTime, endTime, durationMs) => {
    expect(await logged({ output: "", time })).toMatchObject({ startTime, endTime, tool: { durationMs } });
  });

  test("of a call that was logged while it ran start with the running state, where the end has no start", async () => {
    tracer.logToolCall({
      tool: "a",
      callID: "a",
      state: { status: "running", time: { start: begin - 300 } },
    });
    tracer.logToolCall({ tool: "b", callID: "b", state: { status: "pending" } });
    stage.at(40);
    tracer.logToolCall({ tool: "a", callID: "a", state: { status: "completed" } });
    tracer.logToolCall({
      tool: "b",
      callID: "b",
      state: { status: "completed", time: { start: begin + 10 } },
    });
    const seen = (await spans()).map(({ name, startTime, endTime, tool }) => [
      name,
      startTime,
      endTime,
      tool?.durationMs,
    ]);
    expect(seen).toEqual([
      ["a", begin - 300, begin + 40, 340],
      ["b", begin + 10, begin + 40, 30],
    ]);
  });
});

describe("the input", () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const throwing = {
    toJSON() {
      throw new Error("will not");
    },
  };

  test.each([["text"], [7], [false], [null], [[1, [2]]], [{ a: { b: "日本🦩" } }], [""], [0]])(
    "%j is kept",
    async (input) => {
      expect((await logged({ input })).input).toEqual(input);
    },
  );

  test.each([[1n], [circular], [throwing], [{ deep: [1n] }], [() => 1], [Symbol("s")]])(
    "that JSON cannot represent is replaced by a description",
    async (input) => {
      const span = await logged({ input, output: "kept" });
      expect(span.input).toStrictEqual({ _serialization_error: expect.stringMatching(/./) });
      expect(span).toMatchObject({ name: "bash", output: "kept", status: "ok" });
    },
  );

  test("is absent when it is missing", async () => {
    expect(await logged({})).not.toHaveProperty("input");
  });

  test("is a copy, whatever the caller changes afterwards", async () => {
    const input = { list: [1], deep: { a: 1 } };
    const state = { status: "running", input, time: { start: 1 } };
    tracer.logToolCall({ tool: "bash", callID: "c", state });
    input.list.push(2);
    input.deep.a = 2;
    state.time.start = 99;
    expect((await spans())[0]).toMatchObject({ startTime: 1, input: { list: [1], deep: { a: 1 } } });
  });
});
