// A host that records what its parent commands, one command per line, and answers each line when it is done.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.mjs";

const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir: process.argv[2] }));
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("commanded-host");
const start = (id, name) => tracer.startSpan(name, { attributes: { "session.id": id, "recorded.by": id } });

const acts = {
  start: (ids, name) => ids.forEach((id) => void start(id, name)),
  record: (ids, name) => ids.forEach((id) => void start(id, name).end()),
  flush: () => processor.forceFlush(),
  shutdown: () => processor.shutdown(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { act, ids, name } = JSON.parse(line);
  await acts[act](ids, name);
  writeSync(1, "done\n");
}
