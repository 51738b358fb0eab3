/**
 * A server under a process manager: writes to one session until SIGINT, drains, and ends. With `deaf` it does not answer the
 * signal, and is killed. Prints each acknowledged span id.
 */
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } from "../../build/index.js";

const [dir, way] = process.argv.slice(2);
const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("managed");
installCrashFence(processor);
let isEnding = false;
process.on("SIGINT", () => {
  if (way === "deaf") return;
  isEnding = true;
});

function next() {
  const span = tracer.startSpan("request", { attributes: { "session.id": "served" } });
  span.end();
  console.log(span.spanContext().spanId);
  if (isEnding) void processor.shutdown().then(() => process.exit(0));
  else setTimeout(next, 2);
}
next();
