/** One 5 KB span, from the call of `onEnd` to its return, against stringify + writeSync of the same record. */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { endedSpans, fill, median, openTrace, row } from "./stage.mjs";

const rounds = 30;
const perRound = 100;

async function measure(preload) {
  const trace = openTrace();
  await fill(trace.processor, "ses_bench", preload);
  await trace.processor.forceFlush();
  const fd = openSync(join(trace.dir, "floor.txt"), "ax", 0o600);
  const sample = endedSpans(1, "ses_bench", 9_000_000);
  trace.processor.onEnd(sample[0]);
  await trace.processor.forceFlush();
  const document = readFileSync(trace.exporter.tracePath("ses_bench"), "utf8");
  const lines = document.split("\n");
  const record = JSON.parse(lines[lines.length - 3].replace(/^,/, ""));
  const ours = [];
  const floor = [];
  for (let round = 0; round < rounds; round++) {
    const spans = endedSpans(perRound, "ses_bench", 10_000_000 + round * perRound);
    // Publishing is off the clock here: the thread pool and the collector would be measured instead.
    await trace.processor.forceFlush();
    for (const span of spans) {
      const begin = performance.now();
      trace.processor.onEnd(span);
      ours.push(performance.now() - begin);
      const then = performance.now();
      writeSync(fd, `,${JSON.stringify(record)}\n`);
      floor.push(performance.now() - then);
    }
  }
  closeSync(fd);
  trace.processor.crash("bench");
  trace.remove();
  return { ours: median(ours), floor: median(floor) };
}

await measure(100);
const few = await measure(100);
const many = await measure(50_000);
const micros = (millis) => `${(millis * 1000).toFixed(1)} µs`;
row(
  "record one 5 KB span / stringify + writeSync",
  few.ours / few.floor,
  2,
  `${micros(few.ours)} / ${micros(few.floor)}`,
);
row(
  "record with 50,000 spans behind it / with 100",
  many.ours / many.floor / (few.ours / few.floor),
  1.25,
  `${micros(many.ours)} / ${micros(few.ours)}, each by its floor`,
);
