/** Bursts of 8 spans every 2 s for an hour, with a clock driven by hand; bytes over the document and the budget. */
import { readFileSync, statSync } from "node:fs";
import { endedSpans, openTrace, row } from "./stage.mjs";

const written = () => Number(/wchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))[1]);

/** Time that passes when it is told to. */
class HandClock {
  #now = 0;
  #due = [];
  #epoch = Date.now();
  now = () => this.#epoch + this.#now;
  monotonic = () => this.#now;
  after(millis, run, every = 0) {
    const timer = { at: this.#now + millis, run, every };
    this.#due.push(timer);
    return { cancel: () => this.#due.splice(this.#due.indexOf(timer) >>> 0, 1) };
  }
  every = (millis, run) => this.after(millis, run, millis);
  async pass(millis, settle) {
    const until = this.#now + millis;
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.every > 0) next.at += next.every;
      else this.#due.splice(this.#due.indexOf(next), 1);
      next.run();
      await settle();
    }
    this.#now = until;
  }
}

const seconds = 3_600;
const bytesPerSecond = 1_000_000;
const clock = new HandClock();
// Copies take no simulated time: wait for the disk before the clock moves on.
let inFlight = 0;
const { nodeFileSystem } = await import("../../build/file-system.js");
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
const trace = openTrace(
  { sessionIdleMillis: 10_000_000 },
  { clock, fileSystem: { sync: nodeFileSystem.sync, async } },
);
const before = written();
for (let second = 0; second < seconds; second += 2) {
  for (const span of endedSpans(8, "ses_bench", second * 4)) trace.processor.onEnd(span);
  await clock.pass(2_000, settle);
}
await trace.processor.shutdown();
const size = statSync(trace.exporter.tracePath("ses_bench")).size;
const bytes = written() - before;
trace.remove();
const budget = 4 * size + bytesPerSecond * seconds;
const mb = (n) => `${(n / 1e6).toFixed(0)} MB`;
row(
  "bytes written in an hour of bursts / (4 documents + R x time)",
  bytes / budget,
  1,
  `${mb(bytes)} / (4 x ${mb(size)} + ${mb(bytesPerSecond * seconds)})`,
);
