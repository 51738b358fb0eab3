// The ES modules and the CommonJS files of the package in one process, on one directory. Each processor has an exporter of
// the other copy, both copies fence both processors, and `fs` is instrumented. Prints what the copies share.
//   node crossed-copies.mjs <dir> <end>
// end: drained (shutdown), exit, SIGTERM, SIGKILL.
import fs, { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import * as esmDropIn from "../../dist/altimate.mjs";
import * as esm from "../../dist/index.mjs";

const require = createRequire(import.meta.url);
const cjs = require("../../dist/index.js");
const cjsDropIn = require("../../dist/altimate.js");
const [, , dir, end] = process.argv;

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const processors = [
  new esm.CrashSafeSpanProcessor(new cjs.CrashSafeFileSpanExporter({ dir })),
  new cjs.CrashSafeSpanProcessor(new esm.CrashSafeFileSpanExporter({ dir })),
];
const tracers = processors.map((processor) =>
  new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("crossed"),
);
// An instrumentation that does not name the function below it: only the work of a copy shows whose call it is.
for (const name of ["openSync", "writeSync", "renameSync", "fdatasync"]) {
  const below = fs[name];
  fs[name] = (...args) => {
    for (const tracer of tracers) tracer.startSpan(`fs ${name}`).end();
    return below(...args);
  };
}
const listeners = () =>
  ["SIGTERM", "exit", "uncaughtExceptionMonitor", "beforeExit"].map((event) => process.listenerCount(event));
const before = listeners();
for (const { installCrashFence } of [esm, cjs])
  for (const processor of processors) installCrashFence(processor);

const started = [];
for (let i = 0; i < 10; i++) {
  for (const [of, { setSessionId }] of [cjs, esm].entries()) {
    context.with(setSessionId(context.active(), "crossed"), () => {
      const span = tracers[of].startSpan(`span ${i} of ${of}`);
      started.push(span.name);
      if (i < 9 || end === "drained") span.end();
    });
  }
}

function errorOf({ CrashSafeSpanProcessor }) {
  try {
    return new CrashSafeSpanProcessor(undefined);
  } catch (error) {
    return error;
  }
}
const errors = [errorOf(esm), errorOf(cjs)];
const [parent, child] = [esmDropIn, cjsDropIn].map(({ FileExporter, Trace }) =>
  Trace.withExporters([new FileExporter(dir)]),
);
parent.startTrace("parent", {});
child.startTrace("child", { parent });
esmDropIn.Trace.setActive(parent);
const shared = {
  copies: esm.CrashSafeSpanProcessor !== cjs.CrashSafeSpanProcessor,
  started,
  listeners: listeners().map((count, at) => count - before[at]),
  instances: [esm, cjs].flatMap(({ CrashSafeFileError }) =>
    errors.map((error) => error instanceof CrashSafeFileError),
  ),
  isActive: cjsDropIn.Trace.active === parent,
};
await Promise.all([parent.endTrace(), child.endTrace()]);
writeSync(1, `${JSON.stringify(shared)}\n`);

switch (end) {
  case "drained":
    for (const processor of processors) await processor.shutdown();
    break;
  case "exit":
    process.exit(0);
    break;
  default:
    process.kill(process.pid, end);
    setInterval(() => {}, 1_000);
}
