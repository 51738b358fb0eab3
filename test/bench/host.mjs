/** The host's own readFile beside 60 busy sessions: what our share of the thread pool costs it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { endedSpans, openTrace, quantile, row } from "./stage.mjs";

const sessions = 60;
const seconds = 6;
const trace = openTrace();
const own = join(trace.dir, "host.txt");
await writeFile(own, "x".repeat(4_096));
const read = async () => {
  const begin = performance.now();
  await readFile(own);
  return performance.now() - begin;
};
const alone = [];
for (let i = 0; i < 500; i++) alone.push(await read());

const beside = [];
const until = performance.now() + seconds * 1000;
let number = 0;
while (performance.now() < until) {
  // Every session makes a tool call each 100 ms or so: 3 MB a second in all.
  for (let i = 0; i < 6; i++) {
    const [span] = endedSpans(1, `ses_${number++ % sessions}`, number);
    trace.processor.onEnd(span);
  }
  beside.push(await read());
  await new Promise((resolve) => setTimeout(resolve, 8));
}
trace.exporter.crash("bench");
trace.remove();
const ms = (millis) => `${millis.toFixed(2)} ms`;
row(
  "host's readFile beside 60 busy sessions, p99 in ms",
  quantile(beside, 0.99),
  10,
  `median ${ms(quantile(beside, 0.5))}; alone p99 ${ms(quantile(alone, 0.99))}, median ${ms(quantile(alone, 0.5))}`,
);
