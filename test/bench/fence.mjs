/** `crash()` against a plain writeFileSync of the same document, and at ten times the size. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endedSpans, fill, median, openTrace, row } from "./stage.mjs";

async function measure(megabytes) {
  const trace = openTrace();
  await fill(trace.processor, "ses_bench", megabytes * 200);
  await trace.processor.forceFlush();
  // The background sync has caught up; the tool calls of one turn are what the fence finds unsynced.
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const span of endedSpans(8, "ses_bench", 5_000_000)) trace.processor.onEnd(span);
  const begin = performance.now();
  trace.exporter.crash("bench");
  const fence = performance.now() - begin;
  const bytes = readFileSync(trace.exporter.tracePath("ses_bench"));
  const copy = join(trace.dir, "plain.copy");
  const then = performance.now();
  writeFileSync(copy, bytes);
  const plain = performance.now() - then;
  rmSync(copy);
  trace.remove();
  return { fence, plain, megabytes: bytes.length / 1e6 };
}

async function repeat(megabytes, times) {
  const runs = [];
  for (let i = 0; i < times; i++) runs.push(await measure(megabytes));
  return {
    fence: median(runs.map((run) => run.fence)),
    plain: median(runs.map((run) => run.plain)),
    megabytes: runs[0].megabytes,
  };
}

await measure(1);
const small = await repeat(25, 7);
const large = await repeat(250, 3);
const ms = (millis) => `${millis.toFixed(2)} ms`;
row(
  `crash() at ${small.megabytes.toFixed(0)} MB / writeFileSync`,
  small.fence / small.plain,
  0.25,
  `${ms(small.fence)} / ${ms(small.plain)}`,
);
row(
  `crash() at ${large.megabytes.toFixed(0)} MB / at ${small.megabytes.toFixed(0)} MB`,
  large.fence / small.fence,
  1.5,
  `${ms(large.fence)} / ${ms(small.fence)}`,
);
