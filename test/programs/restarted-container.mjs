// A life of a container: `die` leaves a span open and ends without a word, `end` ends in good order, `recover` recovers.
import { createRequire } from "node:module";

const [, , build, dir, how] = process.argv;
const fromBuild = createRequire(`${build}/index.js`);
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, recoverTraces } = fromBuild(`${build}/index.js`);

if (how === "recover") {
  const { sessions, failures, running } = await recoverTraces(dir);
  console.log(
    JSON.stringify({ pid: process.pid, recovered: sessions.length, failures: failures.length, running }),
  );
} else {
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("container");
  const attributes = { "session.id": "s" };
  tracer.startSpan(`${how} 1`, { attributes }).end();
  if (how === "die") tracer.startSpan("open", { attributes });
  await processor.forceFlush();
  // No crash fence is installed: this end writes nothing, like a kill.
  if (how === "die") process.stdin.once("data", () => process.exit(0));
  if (how === "die") await new Promise(() => console.log("{}"));
  await processor.shutdown();
  console.log(JSON.stringify({ pid: process.pid }));
}
