// A process on a disk with faults: runs the orders of its parent, one a line, and answers each with the result.
import { readdirSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const plan = JSON.parse(process.argv[2]);
const load = (file) => import(`${plan.build}/${file}`);
const fromBuild = createRequire(`${plan.build}/index.js`);
const { diag, DiagLogLevel } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await load("index.js");
const { createSessionTracing } = await load("session.js");

const reported = [];
const thrown = [];
const hear = (text) => void reported.push(text);
diag.setLogger({ error: hear, warn: hear, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => thrown.push(String(error?.stack ?? error)));

const exporter = new CrashSafeFileSpanExporter({ dir: plan.dir });
const processor = new CrashSafeSpanProcessor(exporter);
const tracerProvider = new BasicTracerProvider({ spanProcessors: [processor] });
const tracer = tracerProvider.getTracer("lab");
const tracing = createSessionTracing({ tracerProvider, processors: [processor] });

function print(...words) {
  const line = Buffer.from(`${JSON.stringify([...words, { at: 0, lag: 0 }])}\n`);
  for (let done = 0; done < line.length; ) {
    try {
      done += writeSync(1, line, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

/** Nothing may throw into a host. */
function attempt(work) {
  try {
    return work();
  } catch (error) {
    thrown.push(String(error?.stack ?? error));
    return undefined;
  }
}

let number = 0;
function span(session, bytes, ends) {
  const n = ++number;
  attempt(() => {
    const attributes = { "session.id": session, n, payload: String(n % 10).repeat(bytes) };
    const one = tracer.startSpan(`span ${n}`, { attributes });
    const { spanId } = one.spanContext();
    print("started", session, spanId, n, bytes);
    if (!ends) return;
    one.end();
    print("ended", session, spanId);
  });
}

let agent;
function call() {
  const n = ++number;
  attempt(() => {
    agent ??= tracing.tracer("agent", { title: "title 0" });
    const state = { status: "completed", input: { n }, output: `output ${n}` };
    agent.logToolCall({ tool: "look", callID: `call ${n}`, state });
    agent.setSpanAttributes({ late: `late ${n}` }, "tool");
    agent.setTitle(`title ${n}`);
    print("call", "agent", `call ${n}`, { output: `output ${n}`, late: `late ${n}` });
    print("fact", "agent", { title: `title ${n}` });
  });
}

const settled = (work) =>
  work.then(
    () => "resolved",
    (error) => `rejected ${error?.code ?? error}`,
  );

/** The number of open descriptors, without that of this count. */
function descriptors() {
  try {
    return readdirSync("/proc/self/fd").length - 1;
  } catch {
    return Number.NaN;
  }
}

const orders = {
  /** Spans in sessions by name, some of which stay open, and calls of the agent. */
  async record({ sessions, count, bytes, calls = count }) {
    for (let i = 0; i < count; i++) {
      for (const session of sessions) span(session, bytes, i % 10 !== 9);
      if (i < calls) call();
      if (i % 5 === 4) await new Promise((resolve) => setImmediate(resolve));
    }
  },
  flush: () => settled(processor.forceFlush()),
  async end({ sessions }) {
    for (const session of sessions) await settled(exporter.endSession(session));
    agent?.endTrace();
    await settled(tracing.forceFlush());
    agent = undefined;
  },
  async shutdown() {
    return [await settled(tracing.shutdown()), await settled(processor.shutdown())].join(", ");
  },
  async state() {
    return { ...exporter.stats(), reported, thrown, descriptors: descriptors() };
  },
};

print("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...details } = JSON.parse(line);
  print("answer", await orders[order](details));
}
process.exit(0);
