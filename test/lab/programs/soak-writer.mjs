// A writer of a soak: acts at random in its sessions, until it gets another order.
import { existsSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import v8 from "node:v8";
import { randomOf } from "../lanes.mjs";
import { SpanSession, TracerSession } from "./soak-sessions.mjs";

const plan = JSON.parse(process.argv[2]);
const load = (file) => import(`${plan.build}/${file}`);
const fromBuild = createRequire(`${plan.build}/index.js`);
const { context, diag, DiagLogLevel, trace } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence, recoverTraces } =
  await load("index.js");
const { createSessionTracing } = await load("session.js");
const { SessionWriter } = await load("storage/session-writer.js");

/** Each word is out before the next action. */
function print(...words) {
  const line = Buffer.from(`${JSON.stringify(words)}\n`);
  for (let done = 0; done < line.length; ) {
    try {
      done += writeSync(1, line, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

// The SDK logs this for spans without times of their own when the clock was set back.
const expected = /Inconsistent start and end time/;
const hear = (text, ...more) => expected.test(text) || print("broken", [text, ...more].map(String).join(" "));
diag.setLogger({ error: hear, warn: hear, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
const isMeant = (error) => error?.message === "a death that is meant";
process.on("uncaughtExceptionMonitor", (error) => isMeant(error) || print("broken", `threw ${error.stack}`));

const random = randomOf(plan.seed);
const upTo = (count) => Math.floor(random() * count);
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
const looks = { settled: Math.ceil((plan.patienceMillis ?? 15_000) / 50), descriptors: 25 };

const host = {
  print,
  random,
  upTo,
  oneOf: (items) => items[upTo(items.length)],
  nextKey: () => `${plan.name}.${++host.keys}`,
  keys: 0,
  exporter: undefined,
  tracing: undefined,
  under: new Set(),
  startSpan(attributes, parent) {
    const within = parent ? trace.setSpan(context.active(), parent) : context.active();
    return host.tracer.startSpan("span", { attributes }, within);
  },
  startForeignSpan: (attributes, within) => host.foreign.startSpan("foreign", { attributes }, within),
  hasFile: (id) => existsSync(host.exporter.tracePath(id)),
  /** Work that a measurement waits for. */
  later(work) {
    host.under.add(work);
    work.then(
      () => host.under.delete(work),
      (error) => print("broken", `rejected: ${error?.stack}`),
    );
  },
};

let fences = [];
/** A new processor and exporter, as after a crash fence. */
function renew() {
  for (const fence of fences) fence.uninstall();
  const { dir, maxSpans, maxFiles } = plan;
  host.exporter = new CrashSafeFileSpanExporter({ dir, maxSpans, maxFiles });
  host.processor = new CrashSafeSpanProcessor(host.exporter);
  host.tracer = new BasicTracerProvider({ spanProcessors: [host.processor] }).getTracer("soak");
  host.tracing = createSessionTracing({ dir });
  host.foreign = host.tracing.tracerProvider.getTracer("foreign");
  fences = plan.isFenced ? [installCrashFence(host.processor), installCrashFence(host.tracing)] : [];
}

const sessions = new Map();
let [isResting, ended] = [false, 0];

async function close(session, how) {
  await session.close(how);
  ended++;
}

async function work() {
  for (;;) {
    for (let i = upTo(6); i >= 0 && !isResting; i--) {
      const session = host.oneOf([...sessions.values()]);
      if (random() < 0.004 && session && !session.isBusy)
        host.later(close(session, host.oneOf(["completed", "error"])));
      else session?.act();
    }
    await pause(random() < 0.1 ? 0 : upTo(2 * plan.pauseMillis));
  }
}

/** Nothing is recorded meanwhile. */
async function resting(act) {
  isResting = true;
  await Promise.all(host.under);
  const answer = await act();
  isResting = false;
  return answer;
}

const openSessions = () => [...sessions.values()].filter(({ isOpen }) => isOpen);
const isBehind = ({ id, lastKey }) =>
  lastKey !== undefined && !readFileSync(host.exporter.tracePath(id), "utf8").includes(`${lastKey}"`);

/** Without a flush, and without a further record: the documents catch up by themselves (P4). */
async function settle() {
  for (let look = 0; look < looks.settled; look++) {
    if (!openSessions().some((session) => host.hasFile(session.id) === false || isBehind(session))) return;
    await pause(50);
  }
  for (const session of openSessions()) {
    if (!host.hasFile(session.id)) print("broken", `${session.id} is open, and has no document`);
    else if (isBehind(session))
      print("broken", `${session.id} is behind for good: it lacks ${session.lastKey}`);
  }
}

async function flush() {
  await Promise.all([host.processor.forceFlush(), host.tracing.forceFlush()]);
  for (const session of openSessions()) {
    if (session.lastKey === undefined) continue;
    if (!host.hasFile(session.id)) print("broken", `${session.id} was flushed, and has no document`);
    else if (isBehind(session)) print("broken", `${session.id} was flushed, and lacks ${session.lastKey}`);
  }
}

/** The lowest number after a while, because files are closed off-thread. */
async function descriptors() {
  let fewest = Number.POSITIVE_INFINITY;
  for (let look = 0; look < looks.descriptors; look++) {
    fewest = Math.min(fewest, readdirSync("/proc/self/fd").length);
    await pause(4);
  }
  return fewest;
}

/**
 * The memory after a collection. `writers` is the number of writers in the library, where the runtime can count
 * them.
 */
function memory() {
  for (let i = 0; i < 3; i++) globalThis.Bun ? Bun.gc(true) : gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  const writers = globalThis.Bun ? undefined : v8.queryObjects(SessionWriter);
  return { heap: heapUsed + external, rss, writers };
}

const deaths = {
  exit: () => process.exit(7),
  throw: () => void setImmediate(raise),
  reject: () => void Promise.reject(new Error("a death that is meant")),
  /** Right after an ended session is resumed: nothing was published since. */
  resumed({ id }) {
    sessions.get(id).act();
    process.kill(process.pid, "SIGKILL");
  },
};
function raise() {
  throw new Error("a death that is meant");
}

const orders = {
  take({ id, front }) {
    if (!sessions.has(id))
      sessions.set(id, front === "spans" ? new SpanSession(id, host) : new TracerSession(id, host));
  },
  /** Ends a session, which this writer leaves. */
  give: ({ id, how }) =>
    resting(async () => {
      const session = sessions.get(id);
      sessions.delete(id);
      if (session) await close(session, how);
    }),
  crash: () =>
    resting(async () => {
      const open = openSessions();
      for (const { id } of open) print("closing", id, "crashed");
      host.processor.crash("fenced");
      host.tracing.crash("fenced");
      for (const session of open) {
        session.wasFenced();
        print("closed", session.id, "crashed");
      }
      await Promise.allSettled([host.processor.shutdown(), host.tracing.shutdown()]);
      renew();
    }),
  measure: ({ how }) =>
    resting(async () => {
      await (how === "flush" ? flush() : settle());
      const { dropped, faults } = host.exporter.stats();
      const [open, held] = [openSessions().length, sessions.size];
      return { descriptors: await descriptors(), ...memory(), open, held, ended, dropped, faults };
    }),
  die: ({ how, id }) => resting(() => deaths[how]({ id })),
  stop: () =>
    resting(async () => {
      const open = openSessions();
      for (const { id } of open) print("closing", id, "completed");
      await Promise.all([host.tracing.shutdown(), host.processor.shutdown()]);
      for (const { id } of open) print("closed", id, "completed");
      print("answer");
      process.exit(0);
    }),
  /** Waits until no work is left. */
  async recover({ dir }) {
    const reports = [];
    do reports.push(await recoverTraces(dir));
    while (reports.at(-1).sessions.length > 0 && reports.length < 10);
    return reports.map(({ sessions, failures, running }) => ({
      recovered: sessions.length,
      failures: failures.map(({ path, error }) => `${path}: ${error}`),
      running,
    }));
  },
  /** Waits until housekeeping has removed documents beyond `maxFiles`. */
  async prune() {
    const count = () => readdirSync(plan.dir).filter((name) => name.endsWith(".json")).length;
    for (let look = 0; look < looks.settled && count() > plan.maxFiles; look++) await pause(50);
    return count();
  },
};

renew();
print("ready");
void work();
for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...details } = JSON.parse(line);
  print("answer", await orders[order](details));
}
process.exit(3);
