// Many sessions at once, in turn. Prints the largest number of open descriptors, and what was reported.
import { readdirSync, writeSync } from "node:fs";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.mjs";

const [, , dir, sessions, spans] = process.argv;
const reported = [];
const report = (message) => void reported.push(message);
diag.setLogger(
  { error: report, warn: report, info() {}, debug() {}, verbose() {} },
  { logLevel: DiagLogLevel.WARN },
);

const exporter = new CrashSafeFileSpanExporter({ dir });
const processor = new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("server");

let mostDescriptors = 0;
function count() {
  try {
    mostDescriptors = Math.max(mostDescriptors, readdirSync("/proc/self/fd").length);
  } catch {
    // No descriptor is left to read the directory.
  }
}

for (let round = 0; round < Number(spans); round++) {
  for (let i = 0; i < Number(sessions); i++) {
    tracer.startSpan(`work ${round}`, { attributes: { "session.id": `ses_${i}` } }).end();
    if (i % 50 === 0) {
      count();
      // Requests to a server arrive one by one.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  count();
}
const watch = setInterval(count, 5);
// One by one, because a flush of all of them at once has a time limit, and machines may be slow.
for (let i = 0; i < Number(sessions); i++) await exporter.endSession(`ses_${i}`);
await processor.shutdown();
clearInterval(watch);
writeSync(1, JSON.stringify({ mostDescriptors, reported, ...exporter.stats() }));
