// Shared by programs of the lab: to print words, to wait for the parent, to work on a session.
import { openSync, read, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { brokenExporter, brokenProcessor } from "../../programs/broken-writer.mjs";
import { oldStyleExporter } from "./old-style-exporter.mjs";

export const plan = JSON.parse(process.argv[2]);
const load = (file) => import(`${plan.build}/${file}`);
// The copy of the build is next to the packages.
const fromBuild = createRequire(`${plan.build}/index.js`);
const { context, trace } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, recoverTraces } = await load("index.js");
const { SystemLiveness } = await load("platform/liveness.js");
const { nodeFileSystem } = await load("platform/file-system.js");

/** One synchronous write each, so that every printed word is out when the process dies. */
export const print = (...words) => writeSync(1, `${JSON.stringify(words)}\n`);
export const turn = () => new Promise((resolve) => setImmediate(resolve));
export const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

// Real tokens, made beforehand so that the parent knows them.
const { newToken } = SystemLiveness.prototype;
const liveness = new SystemLiveness(nodeFileSystem.sync);
const tokens = Array.from({ length: 16 }, () => newToken.call(liveness));
let given = 0;
SystemLiveness.prototype.newToken = function () {
  return tokens[given++] ?? newToken.call(this);
};

function bytesReadBy(task) {
  try {
    const [, bytes] = /rchar: (\d+)/.exec(readFileSync(`/proc/self/task/${task}/io`, "utf8"));
    return [[Number(task), Number(bytes)]];
  } catch {
    // A thread that has ended meanwhile.
    return undefined;
  }
}

/** The threads that make asynchronous calls: those that read most on request. */
async function poolThreads() {
  const bytesRead = () => new Map(readdirSync("/proc/self/task").flatMap((task) => bytesReadBy(task) ?? []));
  const zero = openSync("/dev/zero", "r");
  const bytes = Buffer.alloc(1 << 20);
  const before = bytesRead();
  for (let i = 0; i < 6; i++) await new Promise((resolve) => read(zero, bytes, 0, bytes.length, 0, resolve));
  return [...bytesRead()]
    .filter(([task, count]) => count - (before.get(task) ?? 0) >= 1 << 20)
    .map(([task]) => task);
}

/**
 * Reports that it is loaded, and waits until the parent has attached strace. `hasOneThread` leaves one thread for
 * asynchronous calls, so that the third of them is always the third. The remaining threads wait for ever, and keep
 * the process from ending by itself.
 */
export async function ready({ hasOneThread = false } = {}) {
  let pool = await poolThreads();
  while (hasOneThread && pool.length > 1) {
    read(3, Buffer.alloc(1), 0, 1, null, () => {});
    pool = await poolThreads();
  }
  print("ready", { pool, tokens });
  listen();
}

/** Runs a life to its end. Work in flight prints nothing afterwards. */
export async function live(life) {
  try {
    await life();
    print("complete");
    process.exit(0);
  } catch (error) {
    print("threw", String(error?.stack ?? error));
    process.exit(1);
  }
}

/** Blocks the thread until the parent's next line. */
export function listen() {
  const byte = Buffer.alloc(1);
  let line = "";
  for (;;) {
    if (readSync(0, byte, 0, 1) === 0) process.exit(3);
    if (byte[0] === 10) return line;
    line += byte.toString("latin1");
  }
}

export const recover = () => recoverTraces(plan.dir);

/** The file system, which reports in the same turn when a copy of a document starts. */
const tellingOfCopies = (onCopy) => {
  const { sync } = nodeFileSystem;
  const open = (path, mode) => {
    const fd = sync.open(path, mode);
    if (mode === "create" && path.includes(".tmp.")) onCopy();
    return fd;
  };
  return { ...nodeFileSystem, sync: { ...sync, open } };
};

/** A processor, an exporter, and sessions that print their actions. */
export class Host {
  #open = new Map();
  #sessions = new Set();
  #options;
  #onCopy;

  /** @param onCopy called when a copy of a document starts, because checks for its file would miss short copies */
  constructor(options = {}, onCopy = undefined) {
    this.#onCopy = onCopy;
    this.#options = {
      dir: plan.dir,
      maxSpans: plan.maxSpans ?? 0,
      durability: plan.durability ?? "process",
      ...options,
    };
    this.renew();
  }

  /** A new exporter, as after a crash fence. The previous one stays. */
  renew() {
    if (this.processor) this.#former.push(this.processor);
    this.#isFenced = false;
    const options = this.#options;
    const { fault } = plan;
    this.exporter =
      oldStyleExporter(fault, options, tokens[0], this.#onCopy) ??
      brokenExporter(fault, options) ??
      new CrashSafeFileSpanExporter(options, this.#onCopy && { fileSystem: tellingOfCopies(this.#onCopy) });
    this.processor = brokenProcessor(fault, new CrashSafeSpanProcessor(this.exporter));
    this.#tracer = new BasicTracerProvider({ spanProcessors: [this.processor] }).getTracer("lab");
  }
  #tracer;
  #former = [];
  #isFenced = false;
  static #number = 0;

  start(session, { bytes = 120, parent } = {}) {
    const n = ++Host.#number;
    this.#sessions.add(session);
    const attributes = {
      "session.id": session,
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "read_file",
      n,
      payload: String(n % 10).repeat(bytes),
    };
    print("starting", session);
    const parentContext = parent ? trace.setSpan(context.active(), parent) : context.active();
    const before = this.dropped;
    const span = this.#tracer.startSpan(`span ${n}`, { attributes }, parentContext);
    this.#open.set(span, session);
    if (this.dropped === before) print("started", session, span.spanContext().spanId, n, bytes);
    return span;
  }

  end(span) {
    const { spanId } = span.spanContext();
    this.#open.delete(span);
    print("ending", spanId);
    const before = this.dropped;
    span.end();
    print(this.dropped === before ? "ended" : "refused", spanId);
  }

  /** This many spans, one after the other. */
  work(session, count = 1, options) {
    for (let i = 0; i < count; i++) this.end(this.start(session, options));
  }

  get dropped() {
    return this.exporter.stats?.().dropped ?? 0;
  }

  /** Whether it succeeded. */
  async flush() {
    const number = ++this.#flushes;
    print("flushing", number);
    return this.#attempt("flushed", number, () => this.processor.forceFlush());
  }
  #flushes = 0;

  endSession(session, error) {
    return this.#close(error ? "error" : "completed", [session], () =>
      this.exporter.endSession(session, error ? { error } : {}),
    );
  }

  /** After a crash fence: retries what the disk refused it. */
  shutdown() {
    const status = this.#isFenced ? "crashed" : "completed";
    return this.#close(status, [...this.#sessions], () => this.processor.shutdown());
  }

  /** Writes what exporters before a crash fence have not written yet. */
  async shutdownFormer() {
    let isDone = true;
    for (const processor of this.#former)
      isDone = (await this.#attempt("done", "former", () => processor.shutdown())) && isDone;
    return isDone;
  }

  crash(reason = "fenced") {
    this.#isFenced = true;
    return this.#close("crashed", [...this.#sessions], () => this.processor.crash(reason));
  }

  async #close(status, sessions, act) {
    for (const [span, session] of this.#open) if (sessions.includes(session)) this.#open.delete(span);
    for (const session of sessions) print("closing", session, status);
    const isDone = await this.#attempt("done", status, act);
    if (isDone) for (const session of sessions) print("closed", session, status);
    return isDone;
  }

  async #attempt(verb, what, act) {
    // A synchronous throw is no rejection: a caller that awaits the promise does not see it.
    const done = act();
    try {
      if (done instanceof Promise) await done;
      print(verb, what);
      return true;
    } catch (error) {
      print("rejected", what, String(error));
      return false;
    }
  }
}

for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error) => print("threw", String(error?.stack ?? error)));
}
