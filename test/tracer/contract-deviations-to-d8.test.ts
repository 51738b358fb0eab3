/** The contract's deviations from the tracer that this library replaces, D1 to D8: a test for each. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { named, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";
import { stateOf } from "../support/state-of.js";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const tool = (tracer: SessionTracer, name: string, state: object = {}, more: object = {}) =>
  tracer.logToolCall({ tool: name, state: { status: "completed", ...state }, ...more });
const status = async (tracer: SessionTracer) => stateOf((await stage.flushed(tracer)).summary);
test.each([
  ["between turns", "stop", "completed"],
  ["while the model waits for tools", "tool-calls", "crashed"],
] as const)(
  "D1 a session is running while work is under way, also when it is found dead: %s",
  async (_, reason, found) => {
    const tracer = stage.start("ses_1");
    expect(await status(tracer)).toBe("idle");
    tracer.logUserMessage("do it");
    expect(await status(tracer)).toBe("running");
    tracer.logStepStart({ id: "g" });
    expect(await status(tracer)).toBe("running");
    tracer.logStepFinish({ id: "g", reason });
    expect(await status(tracer)).toBe(found === "crashed" ? "running" : "idle");
    tracer.endTurn();
    expect(await status(tracer)).toBe(found === "crashed" ? "running" : "idle");
    stage.kill();
    // A request for one session recovers every dead session of the directory.
    expect(await stage.process().newTracer().rehydrateFromFile("ses_1")).toBe(true);
    const { summary } = stage.document("ses_1");
    expect(summary).toMatchObject({ status: found, interrupted: 0, turns: 1, errors: 0 });
    expect(summary.idle).toBeUndefined();
    expect(summary.detector).toBe(found === "crashed" ? "process gone" : undefined);
    expect(summary.reconstructed).toBe(found === "crashed" ? true : undefined);
  },
);

test("D2 ids never share a file, and names that no file can have get a hash", async () => {
  const ids = [
    "a/b",
    "a_b",
    "a:b",
    "x".repeat(121),
    `${"x".repeat(120)}y`,
    "con",
    "nul\u0000",
    "..",
    "日本".repeat(30),
  ];
  const process = stage.process();
  for (const id of ids) {
    const tracer = process.newTracer();
    tracer.startTrace(id, { title: id });
    await tracer.endTrace();
  }
  expect(stage.files).toHaveLength(ids.length);
  expect(stage.files).toContain("a_b.json");
  for (const name of stage.files) {
    const { id, metadata } = stage.document(name.slice(0, -".json".length));
    expect(metadata.title).toBe(id);
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(125);
  }
});

test("D3 a bad value loses itself, not the session", async () => {
  const tracer = stage.start("ses_1");
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  tool(tracer, "bad", { input: circular, output: "kept" });
  tracer.setSpanAttributes({ bad: 1n, circular, good: 1 }, "tool");
  tool(tracer, "good");
  const [bad, good] = spansOf(await stage.flushed(tracer));
  expect(bad).toMatchObject({ output: "kept", input: { _serialization_error: expect.any(String) } });
  expect(bad?.attributes).toEqual({ bad: "1", circular: "[object Object]", good: 1 });
  expect(good?.name).toBe("good");
});

test("D4 resume after a crash flush works and keeps its spans", async () => {
  const tracer = stage.start("ses_1");
  tool(tracer, "one");
  tracer.flushSync("killed");
  for (const resume of [tracer, stage.process().newTracer()]) {
    expect(await resume.rehydrateFromFile("ses_1")).toBe(true);
    tool(resume, "more");
    expect(await status(resume)).toBe("idle");
    await resume.endTrace();
  }
  const { summary, spans } = stage.document("ses_1");
  expect(spans.map(({ name }) => name)).toEqual(["one", "more", "more", "ses_1"]);
  expect(summary).toMatchObject({ status: "completed", totalToolCalls: 3 });
  expect(summary).not.toHaveProperty("error");
});

test("D5 overlapping generations close by their own id, else by messageID, else the newest", async () => {
  const tracer = stage.start("ses_1");
  for (const id of ["a", "b", "c", "d"]) tracer.logStepStart({ id, messageID: `m${id}` });
  tracer.logText({ text: "to b", messageID: "mb" });
  tracer.logText({ text: "to the newest" });
  // The id outranks the message.
  tracer.logStepFinish({ id: "a", messageID: "mc", reason: "by id" });
  tracer.logStepFinish({ id: "other", messageID: "mb", reason: "by message" });
  tracer.logStepFinish({ id: "other", messageID: "other", reason: "newest" });
  const seen = named(await stage.flushed(tracer)).map(({ name, finishReason, output }) => [
    name,
    finishReason,
    output,
  ]);
  expect(seen).toEqual([
    ["generation-a", "by id", undefined],
    ["generation-b", "by message", "to b"],
    ["generation-d", "newest", "to the newest"],
    ["generation-c", undefined, undefined],
    ["ses_1", undefined, undefined],
  ]);
});

test("D5 of several generations with one id, or of one message, the newest closes", async () => {
  const tracer = stage.start("ses_1");
  for (const text of ["1", "2"]) {
    tracer.logStepStart({ id: "same", messageID: "m" });
    tracer.logText({ text, id: "same" });
  }
  tracer.logStepStart({ id: "other" });
  tracer.logText({ text: "3", messageID: "m" });
  tracer.logStepFinish({ id: "same" });
  tracer.logStepFinish({ messageID: "m" });
  const seen = named(await stage.flushed(tracer)).map(({ name, output }) => [name, output]);
  expect(seen.slice(0, 3)).toEqual([
    ["generation-same", "23"],
    ["generation-same", "1"],
    ["generation-other", undefined],
  ]);
});

test.each([10_001, 10_024, 99_999, 5_000_000])(
  "D6 an output of %i characters ends in a marker that names what is cut",
  async (length) => {
    const tracer = stage.start("ses_1");
    const output = Array.from({ length }, (_, n) => String.fromCharCode(0x4e00 + (n % 5_000))).join("");
    tool(tracer, "bash", { output });
    const kept = String(spansOf(await stage.flushed(tracer))[0]?.output);
    const marker = /^(.*)… \[(\d+) characters cut\]$/su.exec(kept);
    expect(kept.length).toBeLessThanOrEqual(10_000);
    expect(kept.length).toBeGreaterThan(9_990);
    expect(output.startsWith(marker?.[1] as string)).toBe(true);
    expect(Number(marker?.[2])).toBe(length - (marker?.[1]?.length ?? 0));
  },
);

test("D6 a cut never splits a character", async () => {
  const tracer = stage.start("ses_1");
  for (const shift of ["", "x"]) tool(tracer, "bash", { output: `${shift}${"🦩".repeat(6_000)}` });
  for (const { output } of spansOf(await stage.flushed(tracer))) {
    const kept = String(output);
    expect(kept.isWellFormed()).toBe(true);
    expect(kept.length).toBeLessThanOrEqual(10_000);
    const [, cut] = /\[(\d+) characters cut\]$/.exec(kept) ?? [];
    const whole = kept.slice(0, kept.indexOf("…")).length + Number(cut);
    expect([12_000, 12_001]).toContain(whole);
  }
});

test("D7 counters, topTools, loops and the marker stay correct across a cap and a resume", async () => {
  const tracer = stage.process({ maxSpans: 20 }).newTracer();
  tracer.startTrace("ses_1");
  for (let n = 0; n < 3; n++) tool(tracer, "again", { input: "same" });
  for (let n = 0; n < 97; n++) tool(tracer, "bash", { input: n, time: { start: 0, end: 2 } });
  await tracer.endTrace();
  const next = stage.process({ maxSpans: 20 }).newTracer();
  expect(await next.rehydrateFromFile("ses_1")).toBe(true);
  for (let n = 0; n < 100; n++) tool(next, "read", { input: n, time: { start: 0, end: 3 } });
  await next.endTrace();
  const { spans, summary } = stage.document("ses_1");
  expect(spans.length).toBeLessThanOrEqual(20);
  expect(spans.find(({ name }) => name.includes("elided"))?.attributes).toMatchObject({ totalSpans: 201 });
  expect(summary).toMatchObject({ totalToolCalls: 200, loops: [{ tool: "again", count: 3 }] });
  expect(summary.topTools).toMatchObject([
    { name: "read", count: 100, totalDuration: 300 },
    { name: "bash", count: 97, totalDuration: 194 },
    { name: "again", count: 3 },
  ]);
});

test("D8 calls after the end reopen nothing, and are counted", async () => {
  const tracer = stage.start("ses_1");
  await tracer.endTrace();
  const before = stage.document("ses_1");
  tool(tracer, "late");
  tracer.logUserMessage("late");
  await tracer.flush();
  expect(stage.document("ses_1")).toEqual(before);
  expect(tracer.dropped).toBe(2);
});
