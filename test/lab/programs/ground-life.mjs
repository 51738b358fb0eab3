// One life on an unusual ground. Prints a line of JSON: what was acknowledged, or what a recovery found.
//   whole: records, publishes, ends, resumes, ends   die: leaves an open span, and is killed   recover: recovers, and looks
//   fence: a crash fence comes while a publish is under way, and what follows it changes nothing
//   stay: records, publishes, and waits for the end of its input; then records again and shuts down
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [, , build, dir, how, session = "s"] = process.argv;
const fromBuild = createRequire(`${build}/index.js`);
const { diag } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, recoverTraces } = fromBuild(`${build}/index.js`);
const print = (value) => console.log(JSON.stringify(value));
const logged = [];
const take = (message) => void logged.push(message);
diag.setLogger({ error: take, warn: take, info() {}, debug() {}, verbose() {} });

if (how === "recover") {
  const { sessions, failures, running } = await recoverTraces(dir);
  print({ recovered: sessions.length, failures: failures.map(({ error }) => String(error)), running });
  process.exit(0);
}

const exporter = new CrashSafeFileSpanExporter({ dir });
const processor = new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("ground");
const start = (name) => tracer.startSpan(name, { attributes: { "session.id": session } });
let spans = 0;
const record = (count) => {
  for (let i = 0; i < count; i++) start(`span ${++spans}`).end();
};
const tried = async (work) => {
  try {
    await work();
    return "resolved";
  } catch (error) {
    return `rejected ${error.message}`;
  }
};

record(3);
const flushed = await tried(() => processor.forceFlush());
if (how === "whole") {
  await exporter.endSession(session);
  record(2);
}
if (how === "die") {
  start("open");
  print({ flushed, spans });
  process.stdout.write("", () => process.kill(process.pid, "SIGKILL"));
  await new Promise(() => {});
}
if (how === "fence") {
  start("open");
  record(1);
  const publish = tried(() => processor.forceFlush());
  const began = performance.now();
  processor.crash("fenced");
  const millis = performance.now() - began;
  await publish;
  await tried(() => processor.shutdown());
  print({ flushed, spans, millis, logged });
  process.exit(0);
}
if (how === "stay") {
  print({ flushed, spans });
  // At each line: records, and tries to publish.
  for await (const _ of createInterface({ input: process.stdin })) {
    record(1);
    print({ flushed: await tried(() => processor.forceFlush()) });
  }
  record(2);
}
const shut = await tried(() => processor.shutdown());
const { dropped, refused, faults } = exporter.stats();
print({ flushed, shut, spans, dropped, refused, faults, logged });
process.exit(0);
