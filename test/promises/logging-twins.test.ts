/**
 * Two processes, or two threads, log 200 tool calls each to one session at the same time, each call with attributes
 * that arrive after its end. Then each writer ends in its way.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { DocumentWatch } from "../support/document-watch.js";
import { LoggerHost, type LoggerScenario, runtimes } from "../support/logger-host.js";
import { interrupted, repeated, worked } from "../support/span-lines.js";
import { isTorture } from "../support/trials.js";

const calls = 200;
const ends = ["flush", "endTrace", "finalizeSync", "flushSync", "SIGKILL"];
const pairs = ends.flatMap((first, index) => ends.slice(index).map((second) => [first, second] as const));
const orders = ends.flatMap((first) => ends.map((second) => [first, second] as const));
const few = ends.map((end) => [end, end] as const);
const named = (name: string) => Array.from({ length: calls }, (_, n) => `${name} ${n}`);
const inGoodOrder = (end: string) => end === "endTrace" || end === "finalizeSync";

/** Every call of both writers, once. */
function expectAll(trace: TraceFile): void {
  const spans = worked(trace);
  const tools = spans.filter(({ kind }) => kind === "tool");
  const ids = tools.map(({ tool }) => tool?.callId);
  expect([...ids].sort()).toEqual([...named("a"), ...named("b")].sort());
  expect(tools.map(({ attributes }) => attributes?.late)).toEqual(ids);
  expect(repeated(trace)).toEqual([]);
  expect(interrupted(trace)).toEqual([]);
  expect(trace.spans.filter(({ endTime }) => endTime === undefined)).toEqual([]);

  const roots = trace.spans.filter(({ kind }) => kind === "session");
  expect(roots.map(({ parentSpanId }) => parentSpanId)).toEqual([null]);
  const kinds = new Map(trace.spans.map(({ spanId, kind }) => [spanId, kind]));
  expect(new Set(tools.map(({ parentSpanId }) => kinds.get(parentSpanId as string)))).toEqual(
    new Set(["generation"]),
  );
  const generations = spans.filter(({ kind }) => kind === "generation");
  expect(new Set(generations.map(({ parentSpanId }) => parentSpanId))).toEqual(new Set([roots[0]?.spanId]));

  // 40 calls of each tool by each of the two writers.
  const durations = [0, 1, 2, 3, 4].map((tool) => {
    let total = 0;
    for (let n = tool; n < calls; n += 5) total += 2 * (1 + (n % 7));
    return { name: `tool ${tool}`, count: 80, totalDuration: total };
  });
  const { summary } = trace;
  expect([...(summary.topTools ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual(durations);
  expect(summary).toMatchObject({
    totalToolCalls: 2 * calls,
    totalGenerations: 20,
    totalTokens: 20 * 6,
    totalCost: 10,
    tokens: { input: 60, output: 40, reasoning: 0, cacheRead: 20, cacheWrite: 0 },
  });
  expect(summary.loops).toBeUndefined();
}

/** A crash fence is final. A normal end counts when it comes last. */
function statusOf(inTurn: boolean, [first, second]: readonly [string, string]): readonly string[] {
  if (first === "flushSync" || second === "flushSync") return ["crashed"];
  if (inTurn) return [inGoodOrder(second) ? "completed" : "crashed"];
  if (inGoodOrder(first) === inGoodOrder(second)) return [inGoodOrder(first) ? "completed" : "crashed"];
  return ["completed", "crashed"];
}

async function runTwins(
  host: LoggerHost,
  scenario: Pick<LoggerScenario, "as" | "sessionId" | "inTurn">,
  [first, second]: readonly [string, string],
): Promise<void> {
  const watch = new DocumentWatch(host.path(scenario.sessionId));
  const loggers = [
    { name: "a", end: first },
    { name: "b", end: second },
  ];
  const trace = await host.run({ ...scenario, calls, loggers });
  await watch.end();
  expectAll(trace);
  expect(statusOf(scenario.inTurn === true, [first, second])).toContain(trace.summary.status);
  expect(watch.invalid).toEqual([]);
  const own = host.files.filter((file) => file.startsWith(`${scenario.sessionId}.`));
  expect(own).toEqual([`${scenario.sessionId}.json`]);
}

describe.each(runtimes)("P7 two writers of one session on $name", ({ name, path }) => {
  let host: LoggerHost;
  beforeAll(() => {
    if (path) host = new LoggerHost(path);
  });
  afterAll(() => host?.end());

  const inTurn = name === "Node" ? pairs : few;
  test.skipIf(!path).each(isTorture ? orders : inTurn)(
    "as threads keep 400 of 400 calls: %s, then %s",
    async (...both) => {
      await runTwins(host, { as: "thread", sessionId: `t_${both.join("_then_")}`, inTurn: true }, both);
    },
  );

  test.skipIf(!path).each(name === "Node" ? pairs : few)(
    "as processes keep 400 of 400 calls: %s and %s at the same time",
    async (...both) => {
      await runTwins(host, { as: "process", sessionId: `p_${both.join("_beside_")}` }, both);
    },
  );
});
