/**
 * Uses public functions and commands on a directory, each named with its arguments in one argument. Prints their results, the
 * time of the processor, and the memory at its peak beyond the start.
 */

import { BasicTracerProvider, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { FileExporter, Trace } from "../../build/altimate.js";
import { runCommandLine } from "../../build/cli/command-line.js";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.js";
import { listTraces, readTrace, recoverTraces } from "../../build/reader.js";
import { replayTraces } from "../../build/replay/replay-traces.js";
import { commandRun } from "../support/command-run.mjs";

const [dir, ...wanted] = process.argv.slice(2);

const uses = {
  listTraces: async () =>
    (await listTraces(dir, { limit: 1_000 })).traces.map(({ sessionId }) => sessionId.slice(0, 20)),
  readTrace: async () => (await readTrace(`${dir}/ses_finish.json`)).trace.spans.length,
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
    return listed.includes("ses_finish") && (await Trace.loadTrace("ses_finish", dir))?.spans.length;
  },
  async command(...args) {
    let bytes = 0;
    const { code, err } = await commandRun(runCommandLine, dir, args, (text) => {
      bytes += text.length;
    });
    return { code, bytes, err };
  },
};

const before = process.resourceUsage().maxRSS;
const results = [];
for (const [use, ...args] of wanted.map((words) => words.split(" "))) results.push(await uses[use](...args));
const { user, system } = process.cpuUsage();
const millis = Math.round((user + system) / 1_000);
// Kilobytes on Linux, in Node and in Bun.
const megabytes = Math.round((process.resourceUsage().maxRSS - before) / 1000);
console.log(JSON.stringify({ results, millis, megabytes }));
