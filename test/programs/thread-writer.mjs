// A worker thread that writes to a session until it is ended or terminated. Reports acknowledged spans to its
// parent.
import { parentPort, workerData } from "node:worker_threads";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.mjs";

const { dir, sessionId } = workerData;
const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("thread");
const start = () => tracer.startSpan("work", { attributes: { "session.id": sessionId } });

let isEnding = false;
parentPort.on("message", () => {
  isEnding = true;
});
const work = start();
parentPort.postMessage({ started: work.spanContext().spanId });
while (!isEnding) {
  for (let i = 0; i < 5; i++) {
    const span = start();
    span.end();
    parentPort.postMessage({ ended: span.spanContext().spanId });
  }
  await new Promise((resolve) => setTimeout(resolve, 1));
}
work.end();
parentPort.postMessage({ ended: work.spanContext().spanId });
await processor.shutdown();
parentPort.close();
