/** D15: the line of a generation comes before those of its tools, whose records wait in the journal until then. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

const id = "ses_order";
let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const call = (tracer: SessionTracer, callID: string, more: object = {}, messageID?: string) =>
  tracer.logToolCall({
    tool: callID,
    callID,
    ...(messageID !== undefined && { messageID }),
    state: { status: "completed", input: {}, output: "", ...more },
  });
const recover = () =>
  recoverDirectory({ fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock }, stage.dir);
const names = (trace = stage.document(id)) =>
  spansOf(trace).map(
    ({ name, endTime, interrupted }) =>
      `${name}${endTime === undefined ? " runs" : ""}${interrupted ? " cut" : ""}`,
  );
/** A message, and a step that has called two tools and runs a third. */
function begin(tracer: SessionTracer): void {
  tracer.logSpan({ name: "bootstrap", startTime: 1, endTime: 2 });
  tracer.logUserMessage("question");
  tracer.logStepStart({ id: "g" });
  for (const name of ["one", "two"]) call(tracer, name);
  call(tracer, "three", { status: "running" });
}
const before = ["bootstrap", "user-message"];

test("D15 P2 a running document has tools that wait for their generation, and a kill leaves the generation first", async () => {
  const tracer = stage.start(id);
  begin(tracer);
  const running = await stage.flushed(tracer);
  expect(names(running)).toEqual([...before, "one", "two", "generation-g runs", "three runs"]);
  stage.kill();
  await recover();
  expect(names()).toEqual([...before, "generation-g cut", "one", "two", "three cut"]);
  expect(stage.document(id).summary).toMatchObject({
    totalToolCalls: 3,
    totalGenerations: 1,
    interrupted: 2,
  });
});

test("D15 P2 a kill before the first publish loses no tool that waits for its generation", async () => {
  const tracer = stage.start(id);
  begin(tracer);
  stage.kill();
  await recover();
  expect(names()).toEqual([...before, "generation-g cut", "one", "two", "three cut"]);
});

test.each(["endTrace", "finalizeSync", "flushSync"] as const)(
  "D15 %s writes the open generation, then its tools",
  async (end) => {
    const tracer = stage.start(id);
    begin(tracer);
    await tracer[end]();
    const [first, ...rest] = names().slice(before.length);
    expect(names().slice(0, before.length)).toEqual(before);
    expect([first, rest.sort()]).toEqual(["generation-g cut", ["one", "three cut", "two"]]);
  },
);

test("D15 a finished generation comes before its tools, the last of which may still get attributes", async () => {
  const tracer = stage.start(id);
  begin(tracer);
  call(tracer, "three");
  tracer.logSpan({ name: "span", startTime: 1, endTime: 2 });
  tracer.logStepFinish({ id: "g", reason: "tool-calls" });
  tracer.setSpanAttributes({ late: true }, "tool");
  const order = [...before, "span", "generation-g", "one", "two", "three"];
  expect(names(await stage.flushed(tracer))).toEqual(order);
  stage.kill();
  await recover();
  expect(names()).toEqual(order);
  expect(spansOf(stage.document(id)).at(-1)?.attributes).toEqual({ late: true });
});

test("D15 each of two generations that overlap comes before its own tools, in each order of their ends", async () => {
  for (const ends of [
    ["a", "b"],
    ["b", "a"],
  ]) {
    const session = `${id}_${ends.join("")}`;
    const tracer = stage.start(session);
    for (const step of ["a", "b"]) tracer.logStepStart({ id: step, messageID: step });
    for (const [name, step] of ["b1:b", "a1:a", "b2:b", "a2:a"].map((one) => one.split(":")))
      call(tracer, name as string, {}, step);
    for (const step of ends) tracer.logStepFinish({ id: step, reason: "stop" });
    await tracer.flush();
    // The last call of all waits for attributes.
    const order = [`generation-${ends[0]}`, `${ends[0]}1`, `generation-${ends[1]}`, `${ends[1]}1`];
    const isLast = (name: string) => name.endsWith("2");
    for (const isEnded of [false, true]) {
      if (isEnded) await tracer.endTrace();
      const found = names(stage.document(session));
      expect(found.filter((name) => !isLast(name))).toEqual(order);
      for (const step of ends)
        expect(found.indexOf(`generation-${step}`)).toBeLessThan(found.indexOf(`${step}2`));
    }
  }
});

test("D15 a turn that ends leaves the tools of an open generation with that generation", async () => {
  const tracer = stage.start(id);
  begin(tracer);
  tracer.logUserMessage("next");
  call(tracer, "three");
  tracer.logStepFinish({ id: "g", reason: "stop" });
  await tracer.endTrace();
  expect(names()).toEqual([...before, "user-message", "generation-g", "one", "two", "three"]);
});

describe("D15 beyond 64 spans or 1 MB, spans are in order of completion", () => {
  test.each([
    { what: "64 tools wait", tools: 64, output: "", isInOrder: true },
    { what: "65 tools", tools: 65, output: "", isInOrder: false },
    {
      what: "99 tools with less than 1 MB in all, in two generations",
      tools: 50,
      output: "x".repeat(9_000),
      isInOrder: true,
    },
    { what: "a little less than 1 MB", tools: 3, output: new Uint8Array(249_000), isInOrder: true },
    { what: "a little more than 1 MB", tools: 3, output: new Uint8Array(251_000), isInOrder: false },
  ])("$what", async ({ tools, output, isInOrder }) => {
    const tracer = stage.start(id);
    for (const step of ["a", "b"]) {
      tracer.logStepStart({ id: step });
      for (let n = 0; n < tools; n++) call(tracer, `${step}${n}`, { output });
      tracer.logStepFinish({ id: step, reason: "stop" });
    }
    const calls = (step: string) => Array.from({ length: tools }, (_, n) => `${step}${n}`);
    const lines = (step: string) =>
      isInOrder ? [`generation-${step}`, ...calls(step)] : [...calls(step), `generation-${step}`];
    const order = [...lines("a"), ...lines("b")];
    if (isInOrder) expect(names(await stage.flushed(tracer))).toEqual(order);
    await tracer.endTrace();
    expect(names()).toEqual(order);
  });
});

test("D15 a reader of a running session has tools that wait for their generation, without a publish", async () => {
  const tracer = stage.start(id);
  begin(tracer);
  const { trace } = await readTrace(tracer.getTracePath() as string);
  expect(names(trace)).toEqual([...before, "one", "two", "generation-g runs", "three runs"]);
  expect(trace.summary).toMatchObject({ totalToolCalls: 3, totalGenerations: 1 });
});
