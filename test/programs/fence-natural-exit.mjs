// Ends spans and then exits by itself: no flush, no shutdown, no signal. Prints what was exported.
import { writeSync } from "node:fs";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { installCrashFence } from "../../build/processor/crash-fence.js";
import { CrashSafeSpanProcessor } from "../../build/processor/span-processor.js";

const [, , way] = process.argv;
const print = (line) => writeSync(1, `${line}\n`);

let exported = 0;
const slowExporter = {
  export(spans, done) {
    setTimeout(() => {
      exported += spans.length;
      done({ code: 0 });
    }, 20);
  },
  forceFlush: async () => {},
  shutdown: async () => {},
};

const processors = {
  ours: () => new CrashSafeSpanProcessor(slowExporter),
  stock: () => new BatchSpanProcessor(slowExporter),
  "ours, an exporter that never answers": () => new CrashSafeSpanProcessor({ ...slowExporter, export() {} }),
  "ours, an exporter that fails": () =>
    new CrashSafeSpanProcessor({
      ...slowExporter,
      export: (_, done) => void setTimeout(done, 5, { code: 1 }),
    }),
  "ours, live": () =>
    new CrashSafeSpanProcessor({
      ...slowExporter,
      recordStart() {},
      recordEnd() {},
      crash: (reason) => print(`crash: ${reason}`),
      forceFlush: () =>
        new Promise((resolve) =>
          setTimeout(() => {
            print("flushed");
            resolve();
          }, 5),
        ),
    }),
};
processors["ours, live, fenced"] = processors["ours, live"];
processors["ours, live, fenced and shut down"] = processors["ours, live"];

const processor = processors[way]();
if (way.includes("fenced")) installCrashFence(processor);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
for (let i = 0; i < 1300; i++) tracer.startSpan(`span ${i}`).end();
if (way.includes("shut down")) await processor.shutdown();
process.on("exit", () => print(`${exported} exported`));
