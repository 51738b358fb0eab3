// A process with two directories, one of which hangs. Prints a line of JSON for each step, and goes on at each line of its input.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [, , build, stuckDir, , otherDir] = process.argv;
const fromBuild = createRequire(`${build}/index.js`);
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = fromBuild(`${build}/index.js`);
const print = (value) => console.log(JSON.stringify(value));
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function pipeline(dir, session) {
  const exporter = new CrashSafeFileSpanExporter({ dir });
  const processor = new CrashSafeSpanProcessor(exporter, { exportTimeoutMillis: 8_000 });
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("stuck");
  const record = (id = session) => tracer.startSpan("span 1", { attributes: { "session.id": id } }).end();
  return { exporter, processor, record };
}

const timed = async (work) => {
  const began = performance.now();
  const how = await work().then(
    () => "resolved",
    (error) => `rejected ${error.message}`,
  );
  return { how, millis: Math.round(performance.now() - began) };
};

const stuck = pipeline(stuckDir, "stuck");
const other = pipeline(otherDir, "other");
stuck.record();
other.record();
await stuck.processor.forceFlush();
await other.processor.forceFlush();
print({ pid: process.pid });
await input.next();
// The syncs of the first directory hang from here on.
for (const id of ["stuck", "stuck-2", "stuck-3"]) stuck.record(id);
print({ recorded: 4 });
await input.next();
other.record();
const flushed = await timed(() => other.processor.forceFlush());
const shut = await timed(() => other.processor.shutdown());
print({ flushed, shut });
await input.next();
print({ last: await timed(() => stuck.processor.shutdown()) });
process.exit(0);
