// A thread of a pool: records a span for each task, and reports its id. A task `hang` keeps a span open for good.
import { parentPort, workerData } from "node:worker_threads";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.js";

const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir: workerData.dir }));
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("pool");

parentPort.on("message", async ({ session, way }) => {
  const span = tracer.startSpan(way, { attributes: { "session.id": session } });
  if (way === "end") {
    span.end();
    await processor.shutdown();
    parentPort.close();
    return;
  }
  if (way !== "hang") span.end();
  parentPort.postMessage({ session, id: span.spanContext().spanId, way });
});
