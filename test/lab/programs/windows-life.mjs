// Lives on Windows, which print what they have done. With `killBefore` the process ends itself before a call that changes the
// directory: Windows' TerminateProcess, the kill that nothing can catch.
import fs from "node:fs";
import { createRequire } from "node:module";

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const { openSync, writeSync } = fs;
const words = openSync(plan.words, "a");
const print = (...given) => void writeSync(words, `${JSON.stringify(given)}\n`);

/** Calls that change a directory or its files, or may do so; `open` of a file to read counts as well. */
const changing = [
  "open",
  "write",
  "rename",
  "link",
  "unlink",
  "mkdir",
  "rmdir",
  "close",
  "fdatasync",
  "lutimes",
];
const counts = {};
let isArmed = false;

function count(call) {
  if (!isArmed) return;
  counts[call] = (counts[call] ?? 0) + 1;
  const { killBefore } = plan;
  if (killBefore?.call !== call || killBefore.n !== counts[call]) return;
  process.kill(process.pid, "SIGKILL");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function counting(object, name, call) {
  const inner = object[name];
  object[name] = function (...args) {
    count(call);
    return inner.apply(this, args);
  };
}
// Before the build is loaded, which keeps some of them.
for (const name of changing) {
  counting(fs, `${name}Sync`, `${name} now`);
  counting(fs, name, name);
  if (name in fs.promises) counting(fs.promises, name, name);
}

const fromBuild = createRequire(`${plan.build}\\index.js`);
const { context, diag } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } = fromBuild(
  `${plan.build}\\index.js`,
);
const take = (message) => print("logged", message);
diag.setLogger({ error: take, warn: take, info() {}, debug() {}, verbose() {} });

const exporter = new CrashSafeFileSpanExporter({ dir: plan.dir });
const processor = new CrashSafeSpanProcessor(exporter);
const provider = new BasicTracerProvider({ spanProcessors: [processor] });
const tracer = provider.getTracer("lab");
let number = 0;

function start(session, bytes = 200) {
  const name = `${plan.who ?? "span"} ${++number}`;
  const attributes = { "session.id": session, payload: "x".repeat(bytes) };
  const span = tracer.startSpan(name, { attributes }, context.active());
  print("started", name, session);
  return span;
}

function end(span) {
  span.end();
  print("ended", span.name);
}

async function attempt(verb, work) {
  try {
    await work();
    print(verb);
    return true;
  } catch (error) {
    print("rejected", verb, String(error?.message ?? error));
    return false;
  }
}

function work(session, spans, bytes) {
  for (let i = 0; i < spans; i++) end(start(session, bytes));
}

const flush = () => attempt("flushed", () => processor.forceFlush());
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

const lives = {
  // An end, a resume, a crash fence, and the end of the process: each publishes, and replaces a document.
  async whole() {
    work("alpha", 3);
    await flush();
    const open = start("alpha");
    work("alpha", 2, 40_000);
    await flush();
    end(open);
    await attempt("ended alpha", () => exporter.endSession("alpha"));
    work("alpha", 2);
    await flush();
    start("beta");
    work("beta", 2);
    await flush();
    processor.crash("fenced");
    print("fenced");
    await attempt("shut down", () => provider.shutdown());
  },
  // A session that another process writes to as well.
  async twin() {
    for (let i = 0; i < plan.spans; i++) {
      work("alpha", 1);
      if (i % 5 === 0) await flush();
      await pause(plan.seed % 7);
    }
    await attempt("shut down", () => provider.shutdown());
  },
  // For readers that hold the document: writes until they have looked often enough, and ends.
  async read() {
    while (!fs.existsSync(`${plan.dir}\\enough`)) {
      work("alpha", 1, number > 300 ? 10 : 2_000);
      await flush();
      // A document of constant size: a new session now and then.
      if (number % 200 === 0) await attempt("ended alpha", () => exporter.endSession("alpha"));
      await pause(3);
    }
    for (let tries = 0; tries < 20; tries++)
      if (await attempt("shut down", () => provider.shutdown())) return;
  },
  // A process hook.
  async thrown() {
    installCrashFence(processor);
    work("alpha", 2);
    start("alpha");
    await flush();
    setTimeout(() => {
      throw new Error("thrown by the lab");
    });
    await pause(10_000);
  },
  // An exit without an end.
  async left() {
    installCrashFence(processor);
    work("alpha", 2);
    process.exit(0);
  },
};

isArmed = true;
print("begun");
await lives[plan.life]();
isArmed = false;
print("counts", counts);
process.exit(0);
