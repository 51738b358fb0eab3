// Records spans that the limit of a file's size refuses, and then ends in one way. Prints what waits in memory.
import { writeSync } from "node:fs";
import { DiagConsoleLogger, DiagLogLevel, diag } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter } from "../../build/exporter/file-exporter.js";
import { installCrashFence } from "../../build/processor/crash-fence.js";
import { CrashSafeSpanProcessor } from "../../build/processor/span-processor.js";

const [, , dir, way, fence] = process.argv;
diag.setLogger(new DiagConsoleLogger(), { logLevel: DiagLogLevel.INFO, suppressOverrideMessage: true });
const exporter = new CrashSafeFileSpanExporter({ dir });
const processor = new CrashSafeSpanProcessor(exporter);
if (fence === "fenced") installCrashFence(processor);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
for (let i = 0; i < 30; i++)
  tracer.startSpan(`step ${i}`, { attributes: { "session.id": "s", text: "x".repeat(5_000) } }).end();
writeSync(1, `${exporter.stats().inflight} wait\n`);

if (way === "exit") process.exit(0);
if (way === "throw") throw new Error("boom");
if (way === "crash") exporter.crash("enough");
if (way === "SIGTERM") {
  process.kill(process.pid, "SIGTERM");
  setInterval(() => {}, 1_000);
}
