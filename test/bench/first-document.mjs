/** Milliseconds of the processor from the start of a fresh process's imports to its first document: `<what> <directory>`. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { entry } from "./build.mjs";

const [what, dir] = process.argv.slice(2);
const options = { title: "bench", prompt: "Why is the report late?" };
const begin = process.cpuUsage();

const starts = {
  async ours() {
    const { FileExporter, Trace } = await entry("altimate");
    const trace = Trace.withExporters([new FileExporter(dir)]);
    trace.startTrace("ses_1", options);
    return trace.getTracePath();
  },
  async model() {
    const { OldTracer } = await import("./old-tracer.mjs");
    const trace = new OldTracer(dir);
    trace.startTrace("ses_1", options);
    return trace.getTracePath();
  },
  /** What any tracer of OpenTelemetry loads. */
  async sdk() {
    const require = createRequire(import.meta.url);
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
