/** The host's own readFile next to 60 busy sessions: the cost of this package's share of the thread pool. */
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
  const busy = [];
  const until = performance.now() + seconds * 1000;
  let number = 0;
  while (performance.now() < until) {
    // Every session makes a tool call about each 100 ms: 3 MB a second in total.
    for (let i = 0; i < 6; i++) ours.end(maker.ended(number++));
    busy.push(await read());
    await new Promise((resolve) => setTimeout(resolve, 8));
  }
  ours.exporter.crash("bench");
  return {
    hostRead: quantile(busy, 0.99),
    hostReadMedian: quantile(busy, 0.5),
    hostReadAlone: quantile(alone, 0.99),
  };
}

export default {
  name: "host",
  title: "the host's own readFile with 60 busy sessions",
  kind: "phases",
  contenders: ["ours"],
  run,
  settings: (isQuick) => ({ seconds: isQuick ? 3 : 6 }),
};
