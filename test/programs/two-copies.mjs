// Two copies of the package in one process, both writing to one session of one directory.
import { readdirSync, writeSync } from "node:fs";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import * as one from "../../build/index.mjs";
import { secondCopyOf } from "./second-copy.mjs";

const other = secondCopyOf("index.js");
const [, , dir, sessionId] = process.argv;

const writers = [one, other].map(({ CrashSafeFileSpanExporter, CrashSafeSpanProcessor }) => {
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("copies");
  return { processor, tracer };
});
for (let i = 0; i < 10; i++) {
  for (const { tracer } of writers)
    tracer.startSpan("work", { attributes: { "session.id": sessionId } }).end();
}
const owners = readdirSync(dir).filter((name) => name.endsWith(".open")).length;
const areTwo = one.CrashSafeFileSpanExporter !== other.CrashSafeFileSpanExporter;
for (const { processor } of writers) await processor.shutdown();
writeSync(1, JSON.stringify({ owners, areTwo }));
