// A process that is killed. Records spans, and writes to stdout what it is about to do and what is done, each in
// one synchronous write. Runs to the step named in its plan, announces the step, and continues from there.
import { writeSync } from "node:fs";
import { context, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, recoverTraces } from "../../build/index.mjs";
import { brokenExporter, brokenProcessor } from "./broken-writer.mjs";
import { freezingFileSystem } from "./freezing-file-system.mjs";

const plan = JSON.parse(process.argv[2]);
const print = (...words) => writeSync(1, `${JSON.stringify(words)}\n`);
const freezer = freezingFileSystem(plan.freezeAt, () => print("frozen"));
const turn = () => new Promise((resolve) => setImmediate(resolve));

let state = plan.seed | 0;
function random() {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return (state >>> 0) / 4_294_967_296;
}
const upTo = (count) => Math.floor(random() * count);

const options = { dir: plan.dir, maxSpans: plan.maxSpans ?? 0, durability: plan.durability ?? "process" };
// Without a step to freeze at, the exporter is made as every host makes it.
const ports = plan.freezeAt > 0 ? { fileSystem: freezer.fileSystem } : undefined;
const newExporter = () =>
  brokenExporter(plan.broken, options) ?? new CrashSafeFileSpanExporter(options, ports);

let exporter = newExporter();
let processor;
let tracer;
function provide() {
  processor = brokenProcessor(plan.broken, new CrashSafeSpanProcessor(exporter));
  tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("kill-writer");
}
provide();

let number = 0;
const sessions = new Set();
const open = new Map();

function start(session, { bytes = 200, parent } = {}) {
  const n = ++number;
  sessions.add(session);
  print("starting", session);
  // A generation in a generation would be one call that is recorded twice.
  const isTool = parent !== undefined || n % 3 !== 0;
  const attributes = {
    "session.id": session,
    "gen_ai.operation.name": isTool ? "execute_tool" : "chat",
    ...(isTool ? { "gen_ai.tool.name": "read_file" } : { "gen_ai.usage.input_tokens": 10 }),
    n,
    payload: String(n % 10).repeat(bytes),
  };
  const parentContext = parent ? trace.setSpan(context.active(), parent) : context.active();
  const span = tracer.startSpan(`span ${n}`, { attributes }, parentContext);
  const { spanId } = span.spanContext();
  print("started", session, spanId, n, bytes);
  open.set(span, session);
  return span;
}

function end(span) {
  const { spanId } = span.spanContext();
  open.delete(span);
  print("ending", spanId);
  span.end();
  print("ended", spanId);
}

// A generation with tools under it, as agents record it. The last tool may stay open.
function work(session, { tools = 2, bytes } = {}) {
  const generation = start(session, { bytes: bytes ?? 200 });
  for (let i = 0; i < tools; i++) {
    const tool = start(session, { bytes: bytes ?? (random() < 0.2 ? 5_000 : 200), parent: generation });
    if (i < tools - 1 || random() < 0.7) end(tool);
  }
  if (random() < 0.8) end(generation);
}

async function workOn(names, rounds) {
  for (let i = 0; i < rounds; i++) {
    work(names[upTo(names.length)], { tools: 1 + upTo(3) });
    if (random() < 0.5) await turn();
  }
}

// An end closes open spans. Spans that end after it come too late, so the program leaves them alone.
async function close(how, names, act) {
  for (const [span, session] of open) if (names.includes(session)) open.delete(span);
  for (const session of names) print("closing", session, how);
  const done = act();
  if (done instanceof Promise) await done;
  for (const session of names) print("closed", session, how);
}
function endSession(session, error) {
  // A session without a record has nothing to end.
  if (!sessions.has(session)) work(session);
  const options = error ? { error } : {};
  return close(error ? "error" : "completed", [session], () => exporter.endSession(session, options));
}
const shutdown = () => close("completed", [...sessions], () => processor.shutdown());
const crash = () => close("crashed", [...sessions], () => processor.crash("killed while fencing"));

// A new exporter on the same directory, as a host makes that continues after its crash fence.
function renew() {
  exporter = newExporter();
  sessions.clear();
  provide();
}

const all = ["alpha", "be:ta", "γ/3"];

// Each life runs to its step, calls `here()`, and takes the step.
const lives = {
  "before the first span": async (here) => {
    here();
    await turn();
    await workOn(all, 3);
  },
  "at the first start": async (here) => {
    here();
    start("alpha");
    await workOn(all, 3);
  },
  "after the first start": async (here) => {
    start("alpha");
    here();
    await workOn(all, 3);
  },
  "after the first end": async (here) => {
    end(start("alpha"));
    here();
    await workOn(all, 3);
  },
  "in a burst": async (here) => {
    work("alpha");
    here();
    for (let i = 0; i < 40; i++) work(all[i % 3], { bytes: 5_000 });
  },
  "with turns between": async (here) => {
    here();
    await workOn(all, 60);
  },
  "while publishing": async (here) => {
    await workOn(all, 20);
    here();
    const flushed = processor.forceFlush();
    await workOn(all, 20);
    await flushed;
  },
  "while publishing again and again": async (here) => {
    here();
    for (;;) {
      await workOn(all, 4);
      await processor.forceFlush();
      if (random() < 0.1) await endSession("be:ta");
    }
  },
  "while ending a session": async (here) => {
    await workOn(all, 10);
    here();
    await endSession("alpha");
  },
  "while a session ends and other sessions continue": async (here) => {
    await workOn(all, 10);
    here();
    const ending = endSession("alpha", "a reason");
    await workOn(["be:ta", "γ/3"], 20);
    await ending;
  },
  "while shutting down": async (here) => {
    await workOn(all, 15);
    here();
    await shutdown();
  },
  "after shutdown": async (here) => {
    await workOn(all, 5);
    await shutdown();
    here();
  },
  "while resuming what this process ended": async (here) => {
    await workOn(all, 8);
    await endSession("alpha");
    await endSession("be:ta");
    here();
    await workOn(["alpha", "be:ta"], 10);
  },
  "during crash()": async (here) => {
    await workOn(all, 15);
    here();
    await crash();
  },
  "after crash()": async (here) => {
    await workOn(all, 5);
    await crash();
    here();
  },
  "while resuming what was fenced": async (here) => {
    await workOn(all, 8);
    await crash();
    renew();
    here();
    await workOn(all, 10);
    await shutdown();
  },
  "while compacting under a cap": async (here) => {
    for (let i = 0; i < 3 * plan.maxSpans; i++) end(start("alpha"));
    here();
    await processor.forceFlush();
    for (let i = 0; i < 3 * plan.maxSpans; i++) end(start("alpha"));
    await processor.forceFlush();
    await shutdown();
  },
  "while the journal is rewritten": async (here) => {
    const running = start("alpha", { bytes: 5_000 });
    for (let i = 0; i < 185; i++) end(start("alpha", { bytes: 5_000 }));
    here();
    for (let i = 0; i < 60; i++) end(start("alpha", { bytes: 5_000 }));
    end(running);
    await processor.forceFlush();
  },
  "with more sessions than descriptors": async (here) => {
    for (let i = 0; i < 70; i++) start(`server ${i}`);
    here();
    for (let i = 0; i < 70; i++) end(start(`server ${i}`));
    await processor.forceFlush();
  },
  "while recovering": async (here) => {
    here();
    await recoverTraces(plan.dir);
    await workOn(all, 5);
  },
};

await lives[plan.step](() => {
  freezer.arm();
  print("at");
});
print("done");
// Waits until the parent kills it. Limited, in case the parent is gone.
setTimeout(() => process.exit(3), 60_000);
