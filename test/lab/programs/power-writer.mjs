// A process whose disk is about to lose its power: records spans and logs a session for ever, and prints every
// acknowledgement with the time. It prints nothing after the first fault, because the host got a report of that
// fault.
import { readdirSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const plan = JSON.parse(process.argv[2]);
const load = (file) => import(`${plan.build}/${file}`);
const fromBuild = createRequire(`${plan.build}/index.js`);
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await load("index.js");
const { createSessionTracing } = await load("session.js");

// As in a session of many megabytes: the document is out of date, and recent records are in the side files.
if (plan.publishesSeldom)
  Object.assign((await load("directory/publish-scheduler.js")).defaultPace, {
    bytesPerSecond: 1,
    maxBytes: 1,
    startBytes: 0,
  });

const { dir, durability } = plan;
const exporter = new CrashSafeFileSpanExporter({ dir, durability });
const processor = new CrashSafeSpanProcessor(exporter);
const tracerProvider = new BasicTracerProvider({ spanProcessors: [processor] });
const tracer = tracerProvider.getTracer("lab");
const tracing = createSessionTracing({ tracerProvider, processors: [processor] });

let state = plan.seed | 0;
function random() {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return (state >>> 0) / 4_294_967_296;
}
const upTo = (count) => Math.floor(random() * count);
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

// Late turns of the event loop delay a due sync as well.
let lag = 0;
let expected = performance.now() + 50;
setInterval(() => {
  lag = Math.max(lag, performance.now() - expected);
  expected = performance.now() + 50;
}, 50);

/** Acknowledges that a record is on the disk from now on, unless the disk failed before. */
function promise(...words) {
  if (exporter.stats().faults > 0) return false;
  const at = Number(process.hrtime.bigint()) / 1e6;
  writeSync(1, `${JSON.stringify([...words, { at, lag: Math.round(lag) }])}\n`);
  return true;
}

let number = 0;
const open = [];
function start(session, bytes = 200) {
  const n = ++number;
  const attributes = { "session.id": session, n, payload: String(n % 10).repeat(bytes) };
  const span = tracer.startSpan(`span ${n}`, { attributes });
  promise("started", session, span.spanContext().spanId, n, bytes);
  return { span, session };
}
function end({ span, session }) {
  span.end();
  promise("ended", session, span.spanContext().spanId);
}

const agent = tracing.tracer("agent", { title: "title 0" });
promise("fact", "agent", { title: "title 0" });
agent.logUserMessage("question");
let calls = 0;
function logCall() {
  const n = ++calls;
  if (n % 20 === 1) agent.logStepStart({ id: `step ${n}` });
  const part = { tool: "look", callID: `call ${n}` };
  if (n % 4 === 0) agent.logToolCall({ ...part, state: { status: "running", input: { n } } });
  agent.logToolCall({ ...part, state: { status: "completed", input: { n }, output: `output ${n}` } });
  promise("call", "agent", `call ${n}`, { output: `output ${n}` });
  agent.setSpanAttributes({ late: `late ${n}` }, "tool");
  promise("call", "agent", `call ${n}`, { output: `output ${n}`, late: `late ${n}` });
  if (n % 5 === 0) {
    agent.setTitle(`title ${n}`);
    promise("fact", "agent", { title: `title ${n}` });
  }
  if (n % 7 === 0) {
    agent.setSpanAttributes({ mood: `mood ${n}` }, "session");
    promise("fact", "agent", { mood: `mood ${n}` });
  }
  if (n % 20 === 0) {
    const tokens = { input: 3, output: 2, reasoning: 0, cache: { read: 0, write: 0 } };
    agent.logStepFinish({ id: `step ${n - 19}`, reason: "tool-calls", cost: 0.5, tokens });
  }
}

/** Inodes of the side files by name: a new inode is a rewritten file. */
const sideFiles = () =>
  new Map(
    readdirSync(dir)
      .filter((name) => /\.(live|open)$/.test(name))
      .map((name) => [name, statSync(`${dir}/${name}`).ino]),
  );

// Aimed: the power fails right after the call that rewrote a side file, and before any other call of this process.
function stopAfterRename() {
  const before = sideFiles();
  const isRenamed = () =>
    [...sideFiles()].some(([name, ino]) => before.has(name) && before.get(name) !== ino);
  for (;;) {
    const one = start("base", 30_000);
    if (isRenamed()) break;
    end(one);
    if (isRenamed()) break;
  }
  promise("stopped");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
}

if (plan.prepares) {
  for (let i = 0; i < 20; i++) end(start("base", 2_000));
  await tracing.shutdown();
  await processor.shutdown();
  process.exit(exporter.stats().faults);
}

if (plan.publishesSeldom) {
  for (const session of ["base", "new", "ends"]) end(start(session, 2_000_000));
  const state = { status: "completed", input: {}, output: "x".repeat(2_000_000) };
  agent.logToolCall({ tool: "look", callID: "large", state });
  await processor.forceFlush().catch(() => {});
}

const hoard = [];
promise("begun");
for (let round = 1; ; round++) {
  for (let i = upTo(4); i >= 0; i--) {
    const session = ["base", "new", "ends"][upTo(3)];
    open.push(start(session, random() < 0.1 ? 20_000 : 300));
    if (open.length > 3) end(open.splice(upTo(open.length), 1)[0]);
    if (random() < 0.5) logCall();
  }
  // Each page is touched, because only then it counts.
  if (plan.leakedBytes) hoard.push(Buffer.alloc(plan.leakedBytes, round));
  if (plan.isAimed && round > 10) stopAfterRename();
  if (plan.flushes && random() < 0.05) {
    promise("flushing", round);
    const isFlushed = await Promise.all([processor.forceFlush(), tracing.forceFlush()]).then(
      () => true,
      () => false,
    );
    if (isFlushed) promise("flushed", round);
  }
  if (random() < 0.03) {
    for (const one of open.splice(0)) end(one);
    await exporter.endSession("ends").catch(() => {});
  }
  if (plan.publishesSeldom || random() < 0.1) await pause(upTo(60));
  else await new Promise((resolve) => setImmediate(resolve));
}
