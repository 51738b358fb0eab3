/** Bytes given to write(2), by the kernel's count, over the bytes of the final document. */
import { readFileSync, statSync } from "node:fs";
import { endedSpans, openTrace, row } from "./stage.mjs";

const written = () => Number(/wchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))[1]);

const trace = openTrace();
const before = written();
for (let i = 0; i < 5_000; i++) {
  const [span] = endedSpans(1, "ses_bench", i);
  trace.processor.onStart(span, undefined);
  trace.processor.onEnd(span);
  await new Promise(setImmediate);
}
await trace.processor.shutdown();
const size = statSync(trace.exporter.tracePath("ses_bench")).size;
const bytes = written() - before;
trace.remove();
row(
  "bytes written for 5,000 spans, one per turn / document",
  bytes / size,
  4,
  `${(bytes / 1e6).toFixed(0)} MB / ${(size / 1e6).toFixed(0)} MB`,
);
