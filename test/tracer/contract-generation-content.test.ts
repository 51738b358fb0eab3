/** The contract: input and output of a generation. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1");
});
afterEach(() => stage.remove());

const generations = async () =>
  spansOf(await stage.flushed(tracer)).filter(({ kind }) => kind === "generation");
const tool = (name: string, state: object, more: object = {}) =>
  tracer.logToolCall({ tool: name, state, ...more });

describe("the input of a generation", () => {
  const inputs = async () => (await generations()).map(({ input }) => input);
  const step = (id: string) => {
    tracer.logStepStart({ id });
    tracer.logStepFinish({ id });
  };

  test("is what tools have returned since the last step, a line each", async () => {
    step("1");
    tool("ls", { status: "completed", output: "a b" });
    tool("cat", { status: "error", error: "no such file" });
    tool("none", { status: "completed" });
    step("2");
    step("3");
    tool("late", { status: "completed", output: "x" });
    step("4");
    expect(await inputs()).toEqual([
      undefined,
      "[ls] a b\n[cat] error: no such file\n[none] ",
      undefined,
      "[late] x",
    ]);
  });

  test("quotes the first 500 characters of an output, the first 200 of an error", async () => {
    tool("long", { status: "completed", output: "o".repeat(501) });
    tool("bad", { status: "error", error: "e".repeat(201) });
    step("1");
    expect(await inputs()).toEqual([`[long] ${"o".repeat(500)}\n[bad] error: ${"e".repeat(200)}`]);
  });

  test("contains no calls that have not ended", async () => {
    tool("ls", { status: "running" }, { callID: "c" });
    step("1");
    tool("ls", { status: "completed", output: "done" }, { callID: "c" });
    step("2");
    expect(await inputs()).toEqual([undefined, "[ls] done"]);
  });
});

describe("logText", () => {
  const output = async () => (await generations())[0]?.output;

  test.each([
    [7, "7"],
    [false, "false"],
    ["", undefined],
    [undefined, undefined],
    [null, undefined],
    [{}, "[object Object]"],
  ])("%j adds %j", async (text, expected) => {
    tracer.logStepStart({ id: "g" });
    tracer.logText({ text: text as string });
    tracer.logStepFinish({ id: "g" });
    expect(await output()).toBe(expected);
  });

  test("drops text outside of a generation", async () => {
    tracer.logText({ text: "before" });
    tracer.logStepStart({ id: "g" });
    tracer.logText({ text: "in" });
    tracer.logStepFinish({ id: "g" });
    tracer.logText({ text: "after" });
    tracer.logStepStart({ id: "h" });
    expect((await generations()).map((one) => one.output)).toEqual(["in", undefined]);
  });

  test("keeps 5 MB in pieces, of any script", async () => {
    tracer.logStepStart({ id: "g" });
    const piece = "日本語🦩\ud800\u2028 ".repeat(2_500);
    for (let n = 0; n < 250; n++) tracer.logText({ text: piece });
    expect(await output()).toBe(piece.repeat(250));
    tracer.logStepFinish({ id: "g" });
    expect(await output()).toBe(piece.repeat(250));
  });
});

describe("the output of a generation without text", () => {
  test("is the list of its tool calls", async () => {
    tracer.logStepStart({ id: "g" });
    tool("ls", { status: "completed" });
    tool("bash", { status: "running" }, { callID: "c" });
    tool("bash", { status: "completed" }, { callID: "c" });
    tracer.logText({ text: "" });
    tracer.logStepFinish({ id: "g" });
    expect((await generations())[0]?.output).toBe("[tool calls: ls, bash]");
  });

  test("is its text, where it has any", async () => {
    tracer.logStepStart({ id: "g" });
    tool("ls", { status: "completed" });
    tracer.logText({ text: " " });
    tracer.logStepFinish({ id: "g" });
    expect((await generations())[0]?.output).toBe(" ");
  });

  test("names only its own calls", async () => {
    tracer.logStepStart({ id: "a", messageID: "ma" });
    tracer.logStepStart({ id: "b", messageID: "mb" });
    tool("one", { status: "completed" }, { messageID: "ma" });
    tool("two", { status: "completed" }, { messageID: "mb" });
    tracer.logStepFinish({ id: "a" });
    tracer.logStepFinish({ id: "b" });
    expect((await generations()).map(({ output }) => output)).toEqual([
      "[tool calls: one]",
      "[tool calls: two]",
    ]);
  });
});
