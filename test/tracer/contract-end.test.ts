/** The contract: `endTrace`, `finalizeSync` and `flushSync`, and the document that each writes. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { promisedSummary } from "../support/promised-summary.js";
import { begin, named, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1", { prompt: "do it" });
});
afterEach(() => stage.remove());

const document = () => stage.document("ses_1");
const any = <T>(value: unknown): T => value as T;

/** A generation that cost something, and a tool that ran for 40 ms. */
function work(): void {
  tracer.logStepStart({ id: "g" });
  tracer.logToolCall({ tool: "ls", state: { status: "completed", time: { start: begin, end: begin + 40 } } });
  const tokens = { input: 1_000, output: 200, reasoning: 30, cache: { read: 4, write: 5 } };
  tracer.logStepFinish({ id: "g", reason: "stop", cost: 0.01234, tokens });
}

const ends = [
  ["endTrace", (error?: string) => tracer.endTrace(error)],
  ["finalizeSync", async (error?: string) => tracer.finalizeSync(error)],
] as const;

describe.each(ends)("%s", (_, end) => {
  test("writes the result in numbers and in words, and leaves one file", async () => {
    work();
    stage.at(125_700);
    expect(await end()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(document().endedAt).toBe(new Date(begin + 125_700).toISOString());
    const counted = {
      totalTokens: 1_239,
      totalCost: 0.01234,
      totalToolCalls: 1,
      totalGenerations: 1,
      duration: 125_700,
      status: "completed",
      lastActivityAt: new Date(begin + 40).toISOString(),
      tokens: { input: 1_000, output: 200, reasoning: 30, cacheRead: 4, cacheWrite: 5 },
      topTools: [{ name: "ls", count: 1, totalDuration: 40 }],
      narrative: "Completed in 2m5s. Made 1 LLM call using 1 tools (ls). Total cost: $0.0123.",
    };
    expect(promisedSummary(document().summary, counted)).toStrictEqual(counted);
    expect(rootOf(document())).toStrictEqual({
      spanId: expect.any(String),
      parentSpanId: null,
      name: "ses_1",
      kind: "session",
      startTime: begin,
      endTime: begin + 125_700,
      status: "ok",
      input: "do it",
      output: "1 generations, 1 tool calls, 1239 tokens, $0.0123",
    });
  });

  test("with an error writes the error", async () => {
    work();
    stage.at(950);
    expect(await end("out of money")).toBe(`${stage.dir}/ses_1.json`);
    expect(document().summary).toMatchObject({
      status: "error",
      error: "out of money",
      narrative: "Failed after 950ms. Made 1 LLM call using 1 tools (ls). Total cost: $0.0123.",
    });
    expect(rootOf(document())).toMatchObject({
      status: "error",
      statusMessage: "out of money",
      output: "Error: out of money",
      endTime: begin + 950,
    });
  });

  test.each(["", undefined, null, 0, false])("treats %j as no error", async (error) => {
    stage.at(1_250);
    await end(any(error));
    expect(document().summary).toMatchObject({
      status: "completed",
      narrative: "Completed in 1.3s. Total cost: $0.0000.",
    });
    expect(document().summary).not.toHaveProperty("error");
    expect(rootOf(document()).output).toBe("0 generations, 0 tool calls, 0 tokens, $0.0000");
  });

  test.each([
    [7, "7"],
    [{}, "[object Object]"],
    [Symbol("s"), "Symbol(s)"],
  ])("makes text of the error %s", async (error, text) => {
    await end(any(error));
    expect(document().summary).toMatchObject({ status: "error", error: text });
  });

  test("called again returns the path and changes nothing", async () => {
    work();
    await end();
    const before = document();
    stage.at(500);
    expect(await end("late")).toBe(`${stage.dir}/ses_1.json`);
    expect(await tracer.endTrace("late")).toBe(`${stage.dir}/ses_1.json`);
    expect(tracer.finalizeSync("late")).toBe(`${stage.dir}/ses_1.json`);
    expect(document()).toEqual(before);
  });

  test("ends a session without an answer and without a file", async () => {
    tracer = stage.process().newTracer();
    expect(await end()).toBeUndefined();
    tracer = stage.process().newRemoteTracer();
    tracer.startTrace("remote");
    work();
    expect([tracer.getTracePath(), await tracer.document(), await end()]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(stage.files).not.toContain("remote.json");
  });
});

test("finalizeSync overtakes an end in flight", async () => {
  work();
  const ending = tracer.endTrace("first");
  tracer.finalizeSync();
  expect(stage.files).toEqual(["ses_1.json"]);
  expect(document().summary).toMatchObject({ status: "error", error: "first" });
  await ending;
});

describe("flushSync", () => {
  test("marks open spans, and the session, at once", () => {
    work();
    tracer.logStepStart({ id: "h" });
    tracer.logText({ text: "half a" });
    tracer.logToolCall({ tool: "bash", callID: "c", state: { status: "running", time: { start: begin } } });
    stage.at(70);
    tracer.flushSync("SIGTERM");
    const closed = { endTime: begin + 70, status: "error", statusMessage: "SIGTERM", interrupted: true };
    expect(named(document()).slice(2)).toMatchObject([
      { name: "generation-h", ...closed, output: "half a" },
      { name: "bash", ...closed, tool: { callId: "c", durationMs: 70 } },
      { name: "ses_1", ...closed, kind: "session" },
    ]);
    const [, , generation, , root] = document().spans;
    for (const key of ["finishReason", "tokens", "cost"]) expect(generation).not.toHaveProperty(key);
    expect(root).not.toHaveProperty("output");
    expect(document().summary).toMatchObject({
      status: "crashed",
      error: "SIGTERM",
      totalToolCalls: 2,
      totalGenerations: 2,
    });
    expect(document().summary.narrative).toMatch(/^Failed after 70ms\. Made 2 LLM calls using 2 tools \(/);
    expect(stage.files).toEqual(["ses_1.json"]);
  });

  test.each([undefined, null, "", 0])(
    "without a reason (%j) writes the default reason, and leaves the session span unchanged",
    (reason) => {
      tracer.logStepStart({ id: "g" });
      tracer.flushSync(any(reason));
      const error = "Process exited before trace completed";
      expect(document().summary).toMatchObject({ status: "crashed", error });
      expect(spansOf(document())[0]).toMatchObject({
        status: "error",
        statusMessage: error,
        interrupted: true,
      });
      expect(rootOf(document())).toMatchObject({ status: "ok", endTime: begin });
      expect(rootOf(document())).not.toHaveProperty("statusMessage");
    },
  );

  test.each(ends)("wins over an earlier %s", async (_, end) => {
    work();
    await end("first");
    tracer.flushSync("killed");
    expect(document().summary).toMatchObject({ status: "crashed", error: "killed", totalToolCalls: 1 });
    expect(rootOf(document())).toMatchObject({ status: "error", statusMessage: "killed" });
    expect(rootOf(document())).not.toHaveProperty("output");
  });

  test.each(ends)("wins over an earlier %s also without a reason", async (_, end) => {
    await end("first");
    tracer.flushSync();
    const error = "Process exited before trace completed";
    expect(document().summary).toMatchObject({ status: "crashed", error });
  });

  test("wins over an end in flight", async () => {
    work();
    const ending = tracer.endTrace();
    tracer.flushSync("killed");
    expect(document().summary.status).toBe("crashed");
    expect(await ending).toBe(`${stage.dir}/ses_1.json`);
    expect(document().summary).toMatchObject({ status: "crashed", error: "killed" });
  });

  test.each(ends)("leaves a later %s without effect except the path", async (_, end) => {
    work();
    tracer.flushSync("killed");
    const before = document();
    expect(await end()).toBe(`${stage.dir}/ses_1.json`);
    expect(await end("error")).toBe(`${stage.dir}/ses_1.json`);
    expect(document()).toEqual(before);
  });

  test("called repeatedly keeps the last message", () => {
    tracer.flushSync();
    expect(document().summary.error).toBe("Process exited before trace completed");
    tracer.flushSync("one");
    tracer.flushSync("two");
    expect(document().summary.error).toBe("two");
    expect(rootOf(document())).toMatchObject({ status: "error", statusMessage: "two" });
    tracer.flushSync();
    tracer.flushSync("");
    expect(document().summary.error).toBe("two");
    expect(stage.files).toEqual(["ses_1.json"]);
  });
});

describe("the summary", () => {
  const call = (tool: string, input?: unknown, durationMs = 1) =>
    tracer.logToolCall({ tool, state: { input, time: { start: 0, end: durationMs } } });

  test("names the ten tools called most, with the time of all their calls", async () => {
    for (let n = 1; n <= 12; n++) for (let i = 0; i < n; i++) call(`t${n}`, `${n} ${i}`, 10);
    await tracer.endTrace();
    const top = Array.from({ length: 10 }, (_, n) => ({
      name: `t${12 - n}`,
      count: 12 - n,
      totalDuration: 10 * (12 - n),
    }));
    expect(document().summary.topTools).toEqual(top);
    expect(document().summary.narrative).toMatch(/^Completed in 0ms using 12 tools \(t12, t11, t10\)\. /);
  });

  test("finds a tool called three times with one input among ten calls, and keeps it", async () => {
    for (let n = 0; n < 3; n++) {
      call("bash", { command: "ls" });
      for (let i = 0; i < 3; i++) call("read", { file: `${n} ${i}` });
    }
    for (let n = 0; n < 20; n++) call("read", { other: n });
    for (let n = 0; n < 3; n++) {
      call("grep", "same");
      for (let i = 0; i < 4; i++) call("read", { far: `${n} ${i}` });
    }
    await tracer.endTrace();
    const { loops = [], narrative } = document().summary;
    const hash = loops[0]?.inputHash;
    const description = `bash called 3 times with same input (hash: ${hash})`;
    expect(loops).toEqual([{ tool: "bash", inputHash: hash, count: 3, description }]);
    // The hash of `bash{"command":"ls"}`, as the tracer of altimate-code wrote it.
    expect(hash).toBe("-m08i5g");
    expect(narrative).toContain(". Warning: 1 loop(s) detected. Total cost: $");
  });

  test("adds up numbers of any sign", async () => {
    for (const [cost, input] of [
      [1.5, 10],
      [-0.25, -3],
      [Number.NaN, Number.NaN],
    ] as const) {
      tracer.logStepStart({ id: "g" });
      tracer.logStepFinish({ id: "g", cost, tokens: { input } });
    }
    await tracer.endTrace();
    expect(document().summary).toMatchObject({ totalCost: 1.25, totalTokens: 7, totalGenerations: 3 });
    expect(rootOf(document()).output).toBe("3 generations, 0 tool calls, 7 tokens, $1.2500");
  });
});
