// Records through the SDK's own processor, and then exits by itself: no flush, no shutdown, no signal.
import { BasicTracerProvider, BatchSpanProcessor, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter } from "../../build/exporter/file-exporter.js";

const [, , dir, which] = process.argv;
const exporter = new CrashSafeFileSpanExporter({ dir });
const processor =
  which === "simple"
    ? new SimpleSpanProcessor(exporter)
    : new BatchSpanProcessor(exporter, { maxExportBatchSize: 50 });
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
for (let i = 0; i < 100; i++) tracer.startSpan("work", { attributes: { "session.id": "s" } }).end();
