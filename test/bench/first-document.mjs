/**
 * Milliseconds of the processor from the start of a fresh process's imports to its first document or span: `<what>
 * <directory>`. What a process loads but once is measured beside: OpenTelemetry's API, which the first document needs, and
 * its SDK, which the first span needs.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { shipped } from "./build.mjs";

const [what, dir] = process.argv.slice(2);
const options = { title: "bench", prompt: "Why is the report late?" };
const begin = process.cpuUsage();

async function firstDocument() {
  const { FileExporter, Trace } = await shipped("altimate");
  const trace = Trace.withExporters([new FileExporter(dir)]);
  trace.startTrace("ses_1", options);
  return trace;
}

const require = createRequire(import.meta.url);

const starts = {
  document: async () => (await firstDocument()).getTracePath(),
  async span() {
    const trace = await firstDocument();
    trace.logUserMessage(options.prompt);
    return trace.getTracePath();
  },
  async model() {
    const { OldTracer } = await import("./old-tracer.mjs");
    const trace = new OldTracer(dir);
    trace.startTrace("ses_1", options);
    return trace.getTracePath();
  },
  async api() {
    require("@opentelemetry/api");
  },
  async sdk() {
    require("@opentelemetry/api");
    const { TracerProvider } = require("@opentelemetry/sdk-trace");
    new TracerProvider({}).getTracer("bench").startSpan("bench").end();
  },
};

const path = await starts[what]();
const { user, system } = process.cpuUsage(begin);
if (path !== undefined && !existsSync(path)) throw new Error(`no document at ${path}`);
console.log((user + system) / 1000);
process.exit(0);
