// A host whose fs, http, undici, net and dns are instrumented, and whose housekeeping runs a hundred times as often. Uses
// every part of the package that works in the background, then prints the spans that started and those in documents.
// Arguments: plan { processor: "ours" | "batch" | "simple", manager, first, isWorker, dir, url }.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import timers from "node:timers";
import { isMainThread, Worker, workerData } from "node:worker_threads";

const require = createRequire(import.meta.url);
const plan = isMainThread ? JSON.parse(process.argv[2]) : workerData;
if (isMainThread && plan.isWorker) {
  new Worker(new URL(import.meta.url), { workerData: { ...plan, isWorker: false } });
} else if (plan.dies) {
  die();
} else {
  await host();
}

/** Leaves a session for recovery. */
function die() {
  const { processor, exporter } = ours(require("../../build/index.js"), plan.dir);
  const { BasicTracerProvider } = require("@opentelemetry/sdk-trace-base");
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("app");
  tracer.startSpan("work", { attributes: { "session.id": "dead" } }).end();
  tracer.startSpan("work", { attributes: { "session.id": "dead" } });
  exporter.stats();
  process.kill(process.pid, "SIGKILL");
}

function ours(pkg, dir, options = {}) {
  const exporter = new pkg.CrashSafeFileSpanExporter({ dir, ...options });
  return { exporter, processor: new pkg.CrashSafeSpanProcessor(exporter) };
}

async function host() {
  mkdirSync(plan.dir, { recursive: true });
  spawnSync(process.execPath, [new URL(import.meta.url).pathname, JSON.stringify({ ...plan, dies: true })]);
  let ticks = 0;
  const { setInterval } = timers;
  timers.setInterval = (run, millis) => {
    const tick = () => {
      ticks++;
      run();
    };
    return setInterval(tick, millis / 100);
  };

  const api = require("@opentelemetry/api");
  if (plan.manager) {
    const { AsyncLocalStorageContextManager } = require("@opentelemetry/context-async-hooks");
    api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  }
  const early = plan.first === "package" ? loaded() : undefined;
  // Node's loader calls fs when session tracing looks for an SDK, and no context suppresses that.
  if (!plan.manager) require("../../build/tracer/sdk-packages.cjs").requireSdk();
  const { registerInstrumentations } = require("@opentelemetry/instrumentation");
  const instrumentations = [
    new (require("@opentelemetry/instrumentation-fs").FsInstrumentation)(),
    new (require("@opentelemetry/instrumentation-http").HttpInstrumentation)(),
    new (require("@opentelemetry/instrumentation-undici").UndiciInstrumentation)(),
    new (require("@opentelemetry/instrumentation-net").NetInstrumentation)(),
    new (require("@opentelemetry/instrumentation-dns").DnsInstrumentation)(),
  ];
  registerInstrumentations({ instrumentations });
  const hostFs = require("node:fs");
  for (const module of ["fs/promises", "http", "net", "dns"]) require(module);
  const { pkg, session, altimate } = early ?? loaded();

  const { BatchSpanProcessor, SimpleSpanProcessor, BasicTracerProvider } =
    require("@opentelemetry/sdk-trace-base");
  const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");
  const files = ours(pkg, plan.dir, { maxFiles: 3, durability: "interval" });
  const processor = {
    ours: () => files.processor,
    batch: () => new BatchSpanProcessor(files.exporter, { scheduledDelayMillis: 20 }),
    simple: () => new SimpleSpanProcessor(files.exporter),
  }[plan.processor]();
  const started = {};
  const count = { onEnd() {}, forceFlush: async () => {}, shutdown: async () => {} };
  count.onStart = ({ name, instrumentationScope }) => {
    const kind = instrumentationScope.name.replace("@opentelemetry/instrumentation-", "");
    const key = kind === "app" ? name : kind;
    started[key] = (started[key] ?? 0) + 1;
  };
  const collector = new pkg.CrashSafeSpanProcessor(new OTLPTraceExporter({ url: plan.url }));
  const spanProcessors = [processor, collector, count];
  const provider = new BasicTracerProvider({ spanProcessors });
  api.trace.setGlobalTracerProvider(provider);
  for (const one of instrumentations) one.setTracerProvider(provider);
  const tracer = provider.getTracer("app");

  // The host's own calls are traced, within a span that is active.
  const root = tracer.startSpan("work", { attributes: { "session.id": "host" } });
  const active = api.trace.setSpan(api.context.active(), root);
  await api.context.with(active, async () => {
    hostFs.existsSync("/etc/hosts");
    for (let n = 0; n < 6; n++) tracer.startSpan("work", { attributes: { "session.id": `ses_${n}` } }).end();
    await processor.forceFlush();
    await collector.forceFlush();
    for (let n = 0; n < 6; n++) await files.exporter.endSession(`ses_${n}`);

    const tracing = session.createSessionTracing({ dir: `${plan.dir}/sessions` });
    const agent = tracing.tracer("agent");
    agent.logUserMessage("hello");
    agent.logStepStart({ id: "1" });
    await agent.endTrace();
    await tracing.shutdown();

    const traces = `${plan.dir}/altimate`;
    const remote = new altimate.HttpExporter("viewer", plan.url);
    const trace = altimate.Trace.withExporters([new altimate.FileExporter(traces), remote], { maxFiles: 2 });
    trace.startTrace("old");
    trace.logStepStart({ id: "1" });
    await trace.flush();
    await trace.endTrace();
    await altimate.Trace.listTraces(traces);

    await pkg.recoverTraces(plan.dir);
    await pkg.listTraces(plan.dir);
    await session.replayTraces(plan.dir, new OTLPTraceExporter({ url: plan.url }), { sessions: "ended" });
  });
  root.end();
  // Seconds of housekeeping: heartbeats, recoveries, limits of files, background syncs.
  const from = ticks;
  await new Promise((resolve) => {
    const wait = setInterval(() => {
      if (ticks < from + 100) return;
      clearInterval(wait);
      resolve();
    }, 5);
  });
  await processor.shutdown();
  await collector.shutdown();

  for (const one of instrumentations) one.disable();
  const recorded = {};
  for (const name of readdirSync(plan.dir)) {
    if (!name.endsWith(".json")) continue;
    for (const span of JSON.parse(readFileSync(`${plan.dir}/${name}`, "utf8")).spans)
      if (span.kind !== "session") recorded[span.name] = (recorded[span.name] ?? 0) + 1;
  }
  const names = readdirSync(plan.dir).sort();
  console.log(JSON.stringify({ started, recorded, names, stats: files.exporter.stats() }));
}

function loaded() {
  return {
    pkg: require("../../build/index.js"),
    session: require("../../build/session.js"),
    altimate: require("../../build/altimate.js"),
  };
}
