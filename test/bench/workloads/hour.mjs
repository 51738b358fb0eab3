/** Bursts of 8 spans every 2 s for an hour, with a clock driven by hand: bytes over the document and the budget. */
import { statSync } from "node:fs";
import { entry, inner } from "../build.mjs";
import { HandClock } from "../hand-clock.mjs";
import { bytesWritten } from "../meter.mjs";
import { SpanMaker } from "../spans.mjs";

const bytesPerSecond = 1_000_000;

async function run({ dir, seconds }) {
  const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await entry();
  const { nodeFileSystem } = await inner("platform/file-system");
  const clock = new HandClock();
  // Copies need no simulated time: wait for the disk before the clock moves on.
  let inFlight = 0;
  const async = Object.fromEntries(
    Object.entries(nodeFileSystem.async).map(([name, call]) => [
      name,
      (...args) => {
        inFlight++;
        return call(...args).finally(() => inFlight--);
      },
    ]),
  );
  const settle = async () => {
    for (let quiet = 0; quiet < 3; quiet = inFlight === 0 ? quiet + 1 : 0) await new Promise(setImmediate);
  };
  const fileSystem = { sync: nodeFileSystem.sync, async };
  const exporter = new CrashSafeFileSpanExporter(
    { dir, sessionIdleMillis: 10_000_000 },
    { clock, fileSystem },
  );
  const processor = new CrashSafeSpanProcessor(exporter);
  const maker = new SpanMaker("tools", ["ses_bench"]);
  const before = bytesWritten();
  let number = 0;
  for (let second = 0; second < seconds; second += 2) {
    for (let i = 0; i < 8; i++) processor.onEnd(maker.ended(number++));
    await clock.pass(2_000, settle);
  }
  await processor.shutdown();
  const kept = statSync(exporter.tracePath("ses_bench")).size;
  const written = bytesWritten() - before;
  return {
    hourWritten: written,
    hourKept: kept,
    hourBudget: written / (4 * kept + bytesPerSecond * seconds),
  };
}

export default {
  name: "hour",
  title: "an hour of bursts, simulated",
  kind: "phases",
  contenders: ["ours"],
  runs: 1,
  run,
  settings: (isQuick) => ({ seconds: isQuick ? 600 : 3_600 }),
};
