/**
 * Many open sessions: memory for each, descriptors, the crash fence of all, and a span in each of 1,000 sessions in turn beside
 * as many in one session.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { processorMillis, settledHeap, timed } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker } from "../spans.mjs";

const open = (dir) =>
  openOurs({ dir }, {}, ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter));
const ids = (count) => Array.from({ length: count }, (_, number) => `ses_${number}`);
const descriptors = () => readdirSync("/proc/self/fd").length;

/** Microseconds of a span, with these sessions in turn. */
async function inTurn(dir, sessions, spans) {
  const ours = await open(dir);
  const maker = new SpanMaker("small", sessions);
  const record = async (from) => {
    let millis = 0;
    for (let number = from; number < from + spans; number++) {
      const span = maker.start(number);
      const begin = processorMillis();
      ours.start(span, ROOT_CONTEXT);
      ours.end(maker.end(span, number));
      millis += processorMillis() - begin;
      if (number % 100 === 0) await new Promise(setImmediate);
    }
    return (millis * 1000) / spans;
  };
  await record(0);
  const micros = await record(spans);
  ours.exporter.crash("bench");
  return micros;
}

async function run({ dir, count, inTurns }) {
  const ours = await open(join(dir, "open"));
  const maker = new SpanMaker("small", ids(count));
  const started = Array.from({ length: count }, (_, number) => maker.start(number));
  await ours.flush();
  const before = { heap: settledHeap(), memory: process.memoryUsage().rss, descriptors: descriptors() };
  let most = 0;
  for (const [number, span] of started.entries()) {
    ours.start(span, ROOT_CONTEXT);
    if (number % 100 !== 0) continue;
    await new Promise(setImmediate);
    most = Math.max(most, descriptors());
  }
  most = Math.max(most, descriptors());
  const perSession = (after, before) => (after - before) / count;
  const heap = perSession(settledHeap(), before.heap);
  const memory = perSession(process.memoryUsage().rss, before.memory);
  const fence = (await timed(() => ours.exporter.crash("bench"))) / count;
  return {
    sessionMemory: memory,
    sessionHeap: heap,
    sessionDescriptors: most - before.descriptors,
    sessionFence: fence,
    turnsOfMany: await inTurn(join(dir, "many"), ids(1_000), inTurns),
    turnsOfOne: await inTurn(join(dir, "one"), ids(1), inTurns),
  };
}

export default [1_000, 10_000].map((count) => ({
  name: `sessions-${count}`,
  title: `${count.toLocaleString("en")} open sessions of one span`,
  kind: "phases",
  contenders: ["ours"],
  isSlow: count > 1_000,
  runs: 1,
  run,
  settings: () => ({ count, inTurns: 4_000 }),
}));
