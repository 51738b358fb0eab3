// Several copies of the package in one process, on one session of one directory. Prints what the copies did.
//   node copies-of-the-package.mjs <dir> <sessionId> <copies> <end>
// copies: "esm", "cjs", "second" (this build again), or a path of an unpacked package; separated by commas.
// end: shutdown (one after the other), leave (the first copy shuts down, the others continue), crash (of the first copy),
// kill.
import { readdirSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { secondCopyOf } from "./second-copy.mjs";

const require = createRequire(import.meta.url);
const [, , dir, sessionId, copies, end] = process.argv;
const packageOf = {
  esm: () => import("../../dist/index.mjs"),
  cjs: () => require("../../dist/index.js"),
  second: () => secondCopyOf("index.js"),
};

const print = (event) => writeSync(1, `${JSON.stringify(event)}\n`);
const documentOwners = () => readdirSync(dir).filter((name) => name.endsWith(".open")).length;

const writers = [];
for (const copy of copies.split(",")) {
  const load = packageOf[copy] ?? (() => require(join(copy, "build/index.js")));
  const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await load();
  const exporter = new CrashSafeFileSpanExporter({ dir });
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer(copy);
  writers.push({ copy, exporter, processor, tracer, constructor: CrashSafeFileSpanExporter });
}
const attributes = { "session.id": sessionId };
const started = [];
for (let i = 0; i < 10; i++) {
  for (const { tracer } of writers) {
    const span = tracer.startSpan(`ended ${i}`, { attributes });
    span.end();
    started.push(span.spanContext().spanId);
  }
}
const open = writers.map(({ tracer, copy }) => tracer.startSpan(`open ${copy}`, { attributes }));
started.push(...open.map((span) => span.spanContext().spanId));
print({
  owners: documentOwners(),
  constructors: new Set(writers.map((writer) => writer.constructor)).size,
  started,
});

switch (end) {
  case "shutdown":
    for (const span of open) span.end();
    for (const { processor } of writers) await processor.shutdown();
    break;
  case "leave":
    // The first copy leaves: the session continues for the others.
    open[0].end();
    await writers[0].processor.shutdown();
    print({ owners: documentOwners() });
    for (const span of open.slice(1)) span.end();
    for (const { tracer } of writers.slice(1)) {
      const span = tracer.startSpan("after the first copy has left", { attributes });
      span.end();
      started.push(span.spanContext().spanId);
    }
    print({ started });
    for (const { processor } of writers.slice(1)) await processor.shutdown();
    break;
  case "crash":
    writers[0].processor.crash("the first copy crashed");
    print({ crashed: true });
    for (const { processor } of writers) await processor.shutdown().catch(() => {});
    break;
  case "kill":
    process.kill(process.pid, "SIGKILL");
    break;
}
