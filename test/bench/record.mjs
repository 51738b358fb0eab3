/** One 5 KB span, from the call of `onEnd` to its return, against stringify + writeSync of the same record. */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { endedSpans, fill, median, openTrace, row } from "./stage.mjs";

const rounds = 40;
const perRound = 50;
const behind = { few: 100, many: 50_000 };

const trace = openTrace();
for (const [sessionId, spans] of Object.entries(behind)) await fill(trace.processor, sessionId, spans);
// From here on no copy is due for a long time: the thread pool would be measured instead.
await trace.processor.forceFlush();

const lines = readFileSync(trace.exporter.tracePath("few"), "utf8").split("\n");
const record = JSON.parse(lines.at(-3).replace(/^,/, ""));
const fd = openSync(join(trace.dir, "floor.txt"), "ax", 0o600);

const took = { few: [], many: [], floor: [] };
const time = (what, run) => {
  const begin = performance.now();
  run();
  took[what].push(performance.now() - begin);
};
// In turns, so that the state of the heap and of the disk is the same for all three.
for (let round = 0; round < rounds; round++) {
  const from = 10_000_000 + round * perRound;
  const few = endedSpans(perRound, "few", from);
  const many = endedSpans(perRound, "many", from);
  for (let i = 0; i < perRound; i++) {
    time("few", () => trace.processor.onEnd(few[i]));
    time("floor", () => writeSync(fd, `,${JSON.stringify(record)}\n`));
    time("many", () => trace.processor.onEnd(many[i]));
  }
  await new Promise(setImmediate);
}
closeSync(fd);
trace.processor.crash("bench");
trace.remove();

const [few, many, floor] = [median(took.few), median(took.many), median(took.floor)];
const micros = (millis) => `${(millis * 1000).toFixed(1)} µs`;
row("record one 5 KB span / stringify + writeSync", few / floor, 2, `${micros(few)} / ${micros(floor)}`);
row("record with 50,000 spans behind it / with 100", many / few, 1.25, `${micros(many)} / ${micros(few)}`);
