/** Uses one public function or command on a directory; prints the result, the time, and the memory at its peak beyond the start. */

import { BasicTracerProvider, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { FileExporter, Trace } from "../../build/altimate.js";
import { runCommandLine } from "../../build/cli/command-line.js";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.js";
import { listTraces, readTrace, recoverTraces } from "../../build/reader.js";
import { replayTraces } from "../../build/replay/replay-traces.js";

const [dir, use, ...args] = process.argv.slice(2);

const uses = {
  listTraces: async () => (await listTraces(dir)).traces.map(({ sessionId }) => sessionId),
  readTrace: async () => (await readTrace(`${dir}/good.json`)).trace.spans.length,
  recoverTraces: async () => (await recoverTraces(dir)).sessions.map(({ id }) => id),
  replayTraces: async () => (await replayTraces(dir, new InMemorySpanExporter())).sessions.length,
  async exporter() {
    const exporter = new CrashSafeFileSpanExporter({ dir, maxFiles: 1_000_000 });
    const processor = new CrashSafeSpanProcessor(exporter);
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("hostile");
    tracer.startSpan("new", { attributes: { "session.id": "new" } }).end();
    await processor.forceFlush();
    await processor.shutdown();
    return exporter.stats().dropped;
  },
  async retention() {
    new FileExporter(dir, 1_000_000, { maxFileAgeMillis: 1_000_000_000_000 }).pruneSync();
  },
  async altimate() {
    const listed = (await Trace.listTraces(dir)).map(({ sessionId }) => sessionId);
    return listed.includes("good") && (await Trace.loadTrace("good", dir))?.spans.length;
  },
  async command() {
    let [bytes, err] = [0, ""];
    const code = await runCommandLine(args, {
      stdout: {
        write(text) {
          bytes += text.length;
          return true;
        },
      },
      stderr: {
        write(text) {
          err += text;
          return true;
        },
      },
      env: { CRASH_SAFE_FILE_DIR: dir },
      cwd: dir,
      now: Date.now,
      signal: new AbortController().signal,
    });
    return { code, bytes, err };
  },
};

const before = process.resourceUsage().maxRSS;
const begun = performance.now();
const result = await uses[use]();
const millis = Math.round(performance.now() - begun);
// Kilobytes on Linux, in Node and in Bun.
const megabytes = Math.round((process.resourceUsage().maxRSS - before) / 1000);
console.log(JSON.stringify({ result, millis, megabytes }));
