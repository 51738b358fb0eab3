/** The contract's deviations from the tracer that this library replaces, D9 to D17: a test for each. */
import { utimesSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runSync } from "../../src/platform/gensync.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { prune } from "../../src/recovery/retention.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { begin, named, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const tool = (tracer: SessionTracer, name: string, state: object = {}, more: object = {}) =>
  tracer.logToolCall({ tool: name, state: { status: "completed", ...state }, ...more });
const shown = async (tracer: SessionTracer) =>
  named(await stage.flushed(tracer)).map(
    ({ spanId, endTime }) => `${spanId}${endTime === undefined ? " runs" : ""}`,
  );

test("D9 ids are OpenTelemetry ids", async () => {
  const tracer = stage.start("ses_1");
  tracer.logUserMessage("one");
  tracer.logUserMessage("two");
  const { traceId, spans } = await stage.flushed(tracer);
  for (const id of [traceId, ...spans.flatMap((span) => span.traceId ?? [])])
    expect(id).toMatch(/^[0-9a-f]{32}$/);
  for (const { spanId } of spans) expect(spanId).toMatch(/^[0-9a-f]{16}$/);
});

test("D10 startTrace on an id that has a document continues it", async () => {
  const tracer = stage.start("ses_1", { title: "old", agent: "a", prompt: "first" });
  tool(tracer, "one");
  await tracer.endTrace("failed");
  const before = stage.document("ses_1");
  stage.at(5_000);
  const next = stage.start("ses_1", { title: "new", prompt: "second" });
  tool(next, "two");
  const after = await stage.flushed(next);
  expect(after).toMatchObject({
    traceId: before.traceId,
    startedAt: before.startedAt,
    metadata: { title: "new", agent: "a", prompt: "second" },
    summary: { status: "running", totalToolCalls: 2, duration: 5_000 },
  });
  expect(after.spans.map(({ name }) => name)).toEqual(["one", "user-message", "two", "ses_1"]);
  expect(after.spans[0]).toEqual(before.spans[0]);
  const root = rootOf(after);
  expect(root).toMatchObject({ spanId: rootOf(before).spanId, startTime: begin, status: "ok" });
  for (const key of ["endTime", "output", "statusMessage", "interrupted"])
    expect(root).not.toHaveProperty(key);
});

test.each(["endTrace", "finalizeSync"] as const)(
  "D11 %s interrupts open spans, which did not fail",
  async (end) => {
    const tracer = stage.start("ses_1");
    tracer.logStepStart({ id: "g" });
    tracer.logText({ text: "half" });
    tracer.logStepStart({ id: "h" });
    tool(tracer, "bash", { status: "running" }, { callID: "c" });
    stage.at(30);
    await tracer[end]();
    const { spans, summary } = stage.document("ses_1");
    for (const span of spans) {
      const cut = {
        status: "error",
        interrupted: true,
        statusMessage: "Interrupted: the turn was cut by the end of the session",
      };
      expect(span).toMatchObject({
        endTime: begin + 30,
        ...(span.kind === "session" ? { status: "ok" } : cut),
      });
      for (const key of ["finishReason", "tokens"]) expect(span).not.toHaveProperty(key);
    }
    expect(spans.map(({ name, output }) => [name, output]).slice(0, 3)).toEqual([
      ["generation-g", "half"],
      ["generation-h", "[tool calls: bash]"],
      ["bash", undefined],
    ]);
    expect(summary).toMatchObject({
      status: "completed",
      totalGenerations: 2,
      totalToolCalls: 1,
      totalTokens: 0,
      errors: 0,
      interrupted: 3,
    });
  },
);

test("D12 startTrace on an object with an open session first ends that session in its own file", async () => {
  const tracer = stage.start("first");
  tracer.logStepStart({ id: "g" });
  stage.at(20);
  tracer.startTrace("second");
  tool(tracer, "ls");
  await tracer.endTrace();
  await tracer.flush();
  expect(stage.document("first")).toMatchObject({
    summary: { status: "completed", totalGenerations: 1, totalToolCalls: 0 },
  });
  expect(stage.document("first").spans[0]).toMatchObject({ name: "generation-g", endTime: begin + 20 });
  expect(stage.document("second")).toMatchObject({ summary: { status: "completed", totalToolCalls: 1 } });
  expect(stage.files).toEqual(["first.json", "second.json"]);
});

test.each(["completed", "running"])(
  "D13 three tools with one callID and one start time, first %s, are three calls",
  async (first) => {
    const tracer = stage.start("ses_1");
    const time = { start: begin, end: begin + 5 };
    for (const status of new Set([first, "completed"]))
      for (const name of ["one", "two", "three"])
        tool(tracer, name, { status, time, output: name }, { callID: "c" });
    for (const name of ["three", "one"]) tool(tracer, name, { time, output: "again" }, { callID: "c" });
    await tracer.endTrace();
    const { summary, spans } = stage.document("ses_1");
    expect(summary.totalToolCalls).toBe(3);
    expect(spans.slice(0, 3).map(({ name, output }) => [name, output])).toEqual([
      ["one", "one"],
      ["two", "two"],
      ["three", "three"],
    ]);
    const next = stage.process().newTracer();
    expect(await next.rehydrateFromFile("ses_1")).toBe(true);
    tool(next, "two", { time }, { callID: "c" });
    tool(next, "four", { time }, { callID: "c" });
    await next.endTrace();
    expect(stage.document("ses_1").summary.totalToolCalls).toBe(4);
  },
);

const messages = () =>
  spansOf(stage.document("ses_1"))
    .filter(({ kind }) => kind === "user-message")
    .map(({ input }) => input);

async function continued(prompt: string | undefined): Promise<SessionTracer> {
  const first = stage.start("ses_1", { prompt: "first", title: "old" });
  first.logUserMessage("first");
  await first.endTrace();
  return stage.start("ses_1", { title: "new", ...(prompt !== undefined && { prompt }) });
}

test("D10 the prompt of a session that goes on is a message of the new turn", async () => {
  const tracer = await continued("second");
  tracer.logStepStart({ id: "g" });
  tracer.logStepFinish({ id: "g" });
  tracer.logUserMessage("second");
  await tracer.endTrace();
  expect(messages()).toEqual(["first", "second", "second"]);
  const { spans } = stage.document("ses_1");
  const [, asked] = spans.filter(({ kind }) => kind === "user-message");
  const answer = spans.find(({ kind }) => kind === "generation");
  expect(answer?.traceId).toBe(asked?.traceId);
  expect(spans.indexOf(answer as never)).toBeGreaterThan(spans.indexOf(asked as never));
});

test.each([{}, { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }])(
  "D10 the prompt of a session that goes on is not repeated by the message with its text, with %j",
  async (options) => {
    const tracer = await continued("second");
    tracer.enrichFromAssistant({ agent: "a" });
    tracer.logUserMessage("second", options);
    tracer.logStepStart({ id: "g" });
    tracer.logStepFinish({ id: "g" });
    tracer.logUserMessage("third");
    await tracer.endTrace();
    expect(messages()).toEqual(["first", "second", "third"]);
    const answer = stage.document("ses_1").spans.find(({ kind }) => kind === "generation");
    if ("traceparent" in options) expect(answer?.traceId).toBe("0af7651916cd43dd8448eb211c80319c");
  },
);

test("D10 a message with another text follows the prompt of a session that goes on", async () => {
  const tracer = await continued("second");
  tracer.logUserMessage("third");
  await tracer.endTrace();
  expect(messages()).toEqual(["first", "second", "third"]);
});

test.each([undefined, ""])("D10 the prompt %j is no message", async (prompt) => {
  await (await continued(prompt)).endTrace();
  expect(messages()).toEqual(["first"]);
});

test("D10 the prompt of a new session is no message", async () => {
  await stage.start("ses_1", { prompt: "first" }).endTrace();
  expect(messages()).toEqual([]);
});

test("D10 what a session goes on with survives a kill before its first span", async () => {
  await continued("second");
  stage.kill();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  await recoverDirectory(ports, stage.dir);
  expect(messages()).toEqual(["first", "second"]);
  expect(stage.document("ses_1").metadata).toEqual({ title: "new", prompt: "second" });
});

test("D10 metadata that a session goes on with survives a kill, without a prompt", async () => {
  await continued(undefined);
  stage.kill();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  await recoverDirectory(ports, stage.dir);
  expect(stage.document("ses_1").metadata).toEqual({ title: "new", prompt: "first" });
});

test("D10 loops are counted within one run, and kept once found", async () => {
  const run = async (calls: number) => {
    const tracer = stage.start("ses_1");
    for (let n = 0; n < calls; n++) tool(tracer, "bash", { input: { command: "ls" } });
    await tracer.endTrace();
    return stage.document("ses_1").summary.loops;
  };
  expect(await run(2)).toBeUndefined();
  expect(await run(2)).toBeUndefined();
  expect(await run(3)).toMatchObject([{ tool: "bash", count: 3 }]);
  expect(await run(2)).toMatchObject([{ tool: "bash", count: 3 }]);
});

test.each([
  ["startTrace: D10 they are counted within one run", undefined],
  ["rehydrateFromFile: D7 they began before", 4],
] as const)("loops of a session that is killed after it went on by %s", async (how, count) => {
  const log = (tracer: SessionTracer) => {
    for (let n = 0; n < 2; n++) tool(tracer, "bash", { input: { command: "ls" } });
  };
  const first = stage.start("ses_1");
  log(first);
  await first.endTrace();
  const second = stage.process().newTracer();
  if (how.startsWith("startTrace")) second.startTrace("ses_1");
  else await second.rehydrateFromFile("ses_1");
  log(second);
  stage.kill();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  await recoverDirectory(ports, stage.dir);
  const { loops, totalToolCalls } = stage.document("ses_1").summary;
  expect([loops?.[0]?.count, totalToolCalls]).toEqual([count, 4]);
});

test("D13 a callID already logged with the same tool and start time is ignored, also after a resume", async () => {
  const at = (start?: number) => ({
    time: start === undefined ? {} : { start, end: start + 5 },
    output: "x",
  });
  let tracer = stage.start("ses_1");
  const reported = () => {
    tool(tracer, "one", at(begin), { callID: "c" });
    tool(tracer, "one", { ...at(begin), status: "running" }, { callID: "c" });
    tool(tracer, "one", { ...at(begin), status: "error", error: "now failed" }, { callID: "c" });
  };
  reported();
  tool(tracer, "two", at(begin + 1), { callID: "c" });
  tool(tracer, "three", at(begin), { callID: "other" });
  tool(tracer, "four", at(), { callID: "c" });
  tool(tracer, "five", at(), { callID: "c" });
  tool(tracer, "six", at(begin));
  tool(tracer, "six", at(begin));
  expect((await shown(tracer)).join()).toBe("one,two,three,four,five,six,six#2,ses_1 runs");
  tracer.logStepStart({ id: "g" });
  tracer.logStepFinish({ id: "g" });
  await tracer.endTrace();
  const { summary } = stage.document("ses_1");
  expect(summary.totalToolCalls).toBe(7);
  tracer = stage.process().newTracer();
  expect(await tracer.rehydrateFromFile("ses_1")).toBe(true);
  reported();
  await tracer.endTrace();
  expect(stage.document("ses_1").summary.totalToolCalls).toBe(7);
  tracer = stage.start("ses_1");
  reported();
  await tracer.endTrace();
  expect(stage.document("ses_1").summary.totalToolCalls).toBe(7);
});

test("D14 running tools are spans at once: a file after a kill has the tool that was running", async () => {
  const tracer = stage.start("ses_1");
  tool(tracer, "bash", { status: "pending", input: { command: "make" } }, { callID: "c" });
  expect(await shown(tracer)).toEqual(["bash runs", "ses_1 runs"]);
  const { spanId } = spansOf(await stage.flushed(tracer))[0] ?? {};
  tool(tracer, "bash", { status: "running", time: { start: begin } }, { callID: "c" });
  tracer.setSpanAttributes({ pid: 7 }, "tool");
  stage.kill();
  expect(await stage.process().newTracer().rehydrateFromFile("ses_1")).toBe(true);
  expect(spansOf(stage.document("ses_1"))).toMatchObject([
    {
      spanId,
      name: "bash",
      kind: "tool",
      status: "error",
      interrupted: true,
      input: { command: "make" },
      attributes: { pid: 7 },
    },
  ]);
});

test.each([{}, { late: 1 }])(
  "D14 P2 the end of a tool that ran survives a kill right after the call, and so do attributes set on it then: %j",
  async (late) => {
    const tracer = stage.start("ses_1");
    tracer.logStepStart({ id: "g" });
    tool(tracer, "bash", { status: "running", time: { start: begin } }, { callID: "c" });
    tool(tracer, "bash", { output: "done", time: { start: begin, end: begin + 9 } }, { callID: "c" });
    tracer.setSpanAttributes(late, "tool");
    tracer.logStepFinish({ id: "g", reason: "stop" });
    stage.kill();
    expect(await stage.process().newTracer().rehydrateFromFile("ses_1")).toBe(true);
    const [generation, bash] = spansOf(stage.document("ses_1"));
    expect(bash).toMatchObject({ status: "ok", endTime: begin + 9, output: "done" });
    expect(bash?.attributes ?? {}).toEqual(late);
    expect(generation).toMatchObject({ status: "ok", finishReason: "stop" });
    for (const span of [bash, generation]) expect(span).not.toHaveProperty("interrupted");
  },
);

test("D14 the end of a running tool ends the same span", async () => {
  const tracer = stage.start("ses_1");
  tool(tracer, "bash", { status: "running", time: { start: begin } }, { callID: "c" });
  tool(tracer, "ls", { status: "running" });
  const [{ spanId } = {}] = spansOf(await stage.flushed(tracer));
  tool(tracer, "bash", { time: { start: begin, end: begin + 9 }, output: "x" }, { callID: "c" });
  await tracer.endTrace();
  expect(spansOf(stage.document("ses_1"))).toMatchObject([
    { spanId, name: "bash", tool: { callId: "c", durationMs: 9 }, output: "x" },
    { name: "ls", status: "error", interrupted: true },
  ]);
});

test("D15 a generation comes before its tools, other spans are in completion order, open spans last", async () => {
  const tracer = stage.start("ses_1");
  tracer.logStepStart({ id: "a", messageID: "ma" });
  tracer.logStepStart({ id: "b", messageID: "mb" });
  for (const name of ["slow", "fast", "last"])
    tool(tracer, name, { status: "running" }, { callID: name, messageID: "ma" });
  tool(tracer, "fast", {}, { callID: "fast" });
  tracer.logStepFinish({ id: "b" });
  tracer.logSpan({ name: "span", startTime: 1, endTime: 2 });
  tool(tracer, "slow", {}, { callID: "slow" });
  tracer.logUserMessage("next");
  const order = ["generation-b", "span", "user-message"];
  const held = ["fast", "slow", "generation-a runs", "last runs"];
  expect(await shown(tracer)).toEqual([...order, ...held, "ses_1 runs"]);
  await tracer.endTrace();
  expect(stage.document("ses_1").spans.map(({ name }) => name)).toEqual([
    ...order,
    "generation-a",
    "fast",
    "slow",
    "last",
    "ses_1",
  ]);
});

test("D16 retention never removes a session that is live in any process", async () => {
  const live = stage.start("live");
  for (const [seconds, id] of ["live", "old", "new"].entries()) {
    if (id !== "live") await stage.start(id).endTrace();
    const time = begin / 1_000 + seconds;
    utimesSync(`${stage.dir}/${id}.json`, time, time);
  }
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness };
  runSync(nodeFileSystem, prune(ports, stage.dir, { maxFiles: 1, maxFileAgeMillis: 0, maxTotalBytes: 0 }));
  expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual(["live.json"]);
  tool(live, "still here");
  expect((await stage.flushed(live)).spans).toHaveLength(2);
});

test("D17 the output of a tool that is an object is its JSON, with bytes as base64", async () => {
  const tracer = stage.start("ses_1");
  const image = new Uint8Array(20_000).fill(137);
  tool(tracer, "object", { output: { rows: [{ id: 1 }] } });
  tool(tracer, "image", { output: { image } });
  tool(tracer, "bytes", { output: image });
  const base64 = Buffer.from(image).toString("base64");
  const tools = spansOf(await stage.flushed(tracer));
  expect(tools.map(({ output }) => output)).toEqual([
    '{"rows":[{"id":1}]}',
    JSON.stringify({ image: base64 }),
    base64,
  ]);
});
