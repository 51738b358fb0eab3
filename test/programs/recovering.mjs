/** Recovers a directory; prints what was found, the time, and the memory at its peak beyond the start. */
import { listTraces, recoverTraces } from "../../build/reader.js";

const [dir] = process.argv.slice(2);
const before = process.resourceUsage().maxRSS;
const begun = performance.now();
const report = await recoverTraces(dir);
const listed = (await listTraces(dir)).traces.length;
const result = {
  sessions: report.sessions.length,
  failures: report.failures.length,
  running: report.running,
  listed,
  millis: Math.round(performance.now() - begun),
  // Kilobytes on Linux, in Node and in Bun.
  megabytes: Math.round((process.resourceUsage().maxRSS - before) / 1000),
};
console.log(JSON.stringify(result));
