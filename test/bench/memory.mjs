/** Heap growth over a session of 100 MB. Needs --expose-gc. */
import { fill, openTrace, row } from "./stage.mjs";

const settledHeap = () => {
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + Math.max(external, arrayBuffers);
};
const trace = openTrace();
await fill(trace.processor, "ses_bench", 100);
await trace.processor.forceFlush();
const before = settledHeap();
let peak = before;
const watch = setInterval(() => {
  const { heapUsed, external } = process.memoryUsage();
  peak = Math.max(peak, heapUsed + external);
}, 20);
await fill(trace.processor, "ses_bench", 20_000, 100);
await trace.processor.forceFlush();
clearInterval(watch);
const grown = settledHeap() - before;
await trace.processor.shutdown();
trace.remove();
row(
  "heap growth over a 100 MB session, in MB",
  grown / 1e6,
  40,
  `peak before collection: ${((peak - before) / 1e6).toFixed(0)} MB`,
);
