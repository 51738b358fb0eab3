/** The host's own readFile beside 60 busy sessions: what our share of the thread pool costs it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { quantile, timed } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker } from "../spans.mjs";

const sessions = Array.from({ length: 60 }, (_, index) => `ses_${index}`);

async function run({ dir, seconds }) {
  const ours = await openOurs(
    { dir },
    {},
    ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
  );
  const maker = new SpanMaker("tools", sessions);
  const own = join(dir, "host.txt");
  await writeFile(own, "x".repeat(4_096));
  const read = () => timed(() => readFile(own));
  const alone = [];
  for (let i = 0; i < 500; i++) alone.push(await read());
  const beside = [];
  const until = performance.now() + seconds * 1000;
  let number = 0;
  while (performance.now() < until) {
    // Every session makes a tool call each 100 ms or so: 3 MB a second in all.
    for (let i = 0; i < 6; i++) ours.end(maker.ended(number++));
    beside.push(await read());
    await new Promise((resolve) => setTimeout(resolve, 8));
  }
  ours.exporter.crash("bench");
  return {
    hostRead: quantile(beside, 0.99),
    hostReadMedian: quantile(beside, 0.5),
    hostReadAlone: quantile(alone, 0.99),
  };
}

export default {
  name: "host",
  title: "the host's own readFile beside 60 busy sessions",
  kind: "phases",
  contenders: ["ours"],
  run,
  settings: (isQuick) => ({ seconds: isQuick ? 3 : 6 }),
};
