// Ends in the way named by its argument in the middle of a publish, with a crash fence installed.
import { writeSync } from "node:fs";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter } from "../../build/exporter/file-exporter.js";
import { nodeFileSystem } from "../../build/platform/file-system.js";
import { installCrashFence } from "../../build/processor/crash-fence.js";
import { CrashSafeSpanProcessor } from "../../build/processor/span-processor.js";

const [, , dir, way] = process.argv;

const ends = {
  // The parent sends the signal when it reads this line.
  signal: () => writeSync(1, "publishing\n"),
  exit: () => process.exit(3),
  exception: () => {
    throw new Error("boom");
  },
};

let isWatched = false;
// The first chunk of the copy is in flight when the end comes. All other work of the thread pool continues.
const fileSystem = {
  sync: nodeFileSystem.sync,
  async: {
    ...nodeFileSystem.async,
    write(...args) {
      if (isWatched) setImmediate(ends[way]);
      isWatched = false;
      return nodeFileSystem.async.write(...args);
    },
  },
};

const exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
const processor = new CrashSafeSpanProcessor(exporter);
installCrashFence(processor);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
const start = () =>
  tracer.startSpan("work", { attributes: { "session.id": "s", "input.value": "x".repeat(5000) } });

for (let i = 0; i < 2000; i++) start().end();
await processor.forceFlush();
for (let i = 0; i < 10; i++) start().end();
start().setAttribute("output.value", "running");
setInterval(() => {}, 1000);
isWatched = true;
await processor.forceFlush();
