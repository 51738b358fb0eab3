// A host that records what its parent commands, one command per line, and answers each line when it is done. It survives
// SIGTERM, and says so. Arguments: directory of traces, directory of another build of the package if any.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const [, , dir, build = new URL("../../build", import.meta.url).pathname] = process.argv;
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } = createRequire(
  import.meta.url,
)(`${build}/index.js`);
const exporter = new CrashSafeFileSpanExporter({ dir });
const processor = new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("commanded-host");
const open = [];
const start = (id, name) => tracer.startSpan(name, { attributes: { "session.id": id, "recorded.by": id } });
installCrashFence(processor);
process.on("SIGTERM", () => writeSync(1, "signalled\n"));

// The clock of this process: `clock` sets it, as a wrong clock, or as a correction does to a clock that was wrong.
const machineNow = Date.now;
let aheadMillis = 0;
Date.now = () => machineNow() + aheadMillis;

const acts = {
  clock: (_ids, millis) => {
    aheadMillis = Number(millis);
  },
  start: (ids, name) => ids.forEach((id) => void open.push(start(id, name))),
  record: (ids, name) => ids.forEach((id) => void start(id, name).end()),
  end: () => open.splice(0).forEach((span) => void span.end()),
  flush: () => processor.forceFlush(),
  endSession: (ids) => Promise.all(ids.map((id) => exporter.endSession(id))),
  shutdown: () => processor.shutdown(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { act, ids, name } = JSON.parse(line);
  await acts[act](ids, name);
  writeSync(1, "done\n");
}
