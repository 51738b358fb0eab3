/** A program under Node's permission model: it may read this project, and read and write the directory of its traces. */
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.js";

const [dir, way] = process.argv.slice(2);
const exporter = new CrashSafeFileSpanExporter({ dir });
const processor = new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("restricted");
const attributes = { "session.id": "s" };
tracer.startSpan("one", { attributes }).end();
await processor.forceFlush();
tracer.startSpan("two", { attributes }).end();
if (way === "kill") process.kill(process.pid, "SIGKILL");
await processor.shutdown();
console.log(JSON.stringify(exporter.stats()));
