/**
 * A host with every instrumentation of `@opentelemetry/auto-instrumentations-node`, that of `fs` included, in which every
 * part of the package works that has work of its own. Prints the spans that started, by instrumentation.
 *
 * Argument: { processor: "ours" | "batch" | "simple", manager, seconds, dir, url, dies? }. A minute of housekeeping passes
 * in these seconds.
 */
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const timers = require("node:timers");
const { isMainThread, Worker, workerData, parentPort } = require("node:worker_threads");
const { context, trace } = require("@opentelemetry/api");
const { BasicTracerProvider, BatchSpanProcessor, SimpleSpanProcessor } =
  require("@opentelemetry/sdk-trace-base");

const plan = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
if (plan.dies) die();
else host();

/** Leaves a session for recovery. */
function die() {
  const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = require("../../build/index.js");
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir: plan.dir }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("app");
  tracer.startSpan("work", { attributes: { "session.id": `dead-${process.pid}` } });
  process.kill(process.pid, "SIGKILL");
}

async function host() {
  const { setInterval } = timers;
  timers.setInterval = (run, millis) => setInterval(run, (millis * plan.seconds) / 60);
  if (plan.manager) {
    const { AsyncLocalStorageContextManager } = require("@opentelemetry/context-async-hooks");
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  }
  const { getNodeAutoInstrumentations } = require("@opentelemetry/auto-instrumentations-node");
  const { registerInstrumentations } = require("@opentelemetry/instrumentation");
  // Not while modules are loaded: each call of `require` would be a trace.
  let isLoaded = false;
  const fileSpans = { enabled: true, createHook: () => isLoaded };
  const instrumentations = getNodeAutoInstrumentations({ "@opentelemetry/instrumentation-fs": fileSpans });
  registerInstrumentations({ instrumentations });
  for (const module of ["fs", "fs/promises", "http", "https", "net", "dns"]) require(`node:${module}`);
  const pkg = require("../../build/index.js");
  const session = require("../../build/session.js");
  const altimate = require("../../build/altimate.js");
  const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");

  const exporter = new pkg.CrashSafeFileSpanExporter({
    dir: plan.dir,
    maxFiles: 20,
    durability: "interval",
    sessionIdleMillis: 1_000,
  });
  const processor = {
    ours: () => new pkg.CrashSafeSpanProcessor(exporter),
    batch: () => new BatchSpanProcessor(exporter, { scheduledDelayMillis: 50 }),
    simple: () => new SimpleSpanProcessor(exporter),
  }[plan.processor]();
  const collector = new pkg.CrashSafeSpanProcessor(new OTLPTraceExporter({ url: plan.url }));
  const started = {};
  /** Spans that neither the host nor a request to its backend started. */
  const strangers = [];
  const backend = new URL(plan.url).port;
  const count = {
    onStart({ instrumentationScope: { name } }) {
      const scope = name.replace("@opentelemetry/instrumentation-", "");
      started[scope] = (started[scope] ?? 0) + 1;
    },
    onEnd({ name, instrumentationScope, attributes }) {
      const port = attributes["server.port"] ?? attributes["net.peer.port"];
      if (instrumentationScope.name !== "app" && String(port) !== backend)
        strangers.push({ name, scope: instrumentationScope.name, attributes });
    },
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const provider = new BasicTracerProvider({ spanProcessors: [processor, collector, count] });
  trace.setGlobalTracerProvider(provider);
  for (const one of instrumentations) one.setTracerProvider(provider);
  const tracer = provider.getTracer("app");
  const worker =
    isMainThread && new Worker(__filename, { workerData: { ...plan, seconds: plan.seconds / 2 } });
  const ofWorker = worker ? new Promise((resolve) => worker.once("message", resolve)) : undefined;
  // Node's loader reads the modules of the SDK at the first call: no work of ours, and no context suppresses it.
  await session.createSessionTracing({ dir: plan.dir }).shutdown();
  isLoaded = true;

  const root = tracer.startSpan("work", { attributes: { "session.id": "host" } });
  let made = 1;
  let recovered = 0;
  const end = performance.now() + plan.seconds * 1_000;
  await context.with(trace.setSpan(context.active(), root), async () => {
    for (let turn = 0; performance.now() < end; turn++) {
      for (let at = 0; at < 10; at++, made++) {
        tracer.startSpan("work", { attributes: { "session.id": `ses_${turn}` } }).end();
        await pause(20);
      }
      await exporter.endSession(`ses_${turn}`);
      await processor.forceFlush();
      if (turn % 8 !== 0) continue;
      if (isMainThread)
        await once(spawn(process.execPath, [__filename, JSON.stringify({ ...plan, dies: true })]), "exit");
      recovered += await everyPart(turn, { pkg, session, altimate, OTLPTraceExporter });
    }
  });
  root.end();
  await processor.shutdown();
  await collector.shutdown();
  isLoaded = false;
  const stats = exporter.stats();
  recovered += stats.recoveredSessions;
  const result = { started, made, strangers, recovered, recorded: stats.recorded, faults: stats.faults };
  if (!isMainThread) return parentPort.postMessage(result);
  console.log(JSON.stringify([result, await ofWorker]));
}

/** The parts that work at a call: none of their spans is of the host. Returns the number of recovered sessions. */
async function everyPart(turn, { pkg, session, altimate, OTLPTraceExporter }) {
  const id = `${isMainThread ? "main" : "worker"}-${turn}`;
  const tracing = session.createSessionTracing({ dir: `${plan.dir}-sessions` });
  const agent = tracing.tracer(id);
  agent.logUserMessage("hello");
  agent.logStepStart({ id: "1" });
  await agent.endTrace();
  await tracing.shutdown();

  const traces = `${plan.dir}-altimate`;
  const remote = new altimate.HttpExporter("viewer", plan.url);
  const one = altimate.Trace.withExporters([new altimate.FileExporter(traces), remote], { maxFiles: 2 });
  one.startTrace(id);
  one.logStepStart({ id: "1" });
  await one.flush();
  await one.endTrace();
  await altimate.Trace.listTraces(traces);

  const { sessions } = await pkg.recoverTraces(plan.dir);
  await pkg.listTraces(plan.dir);
  await session.replayTraces(plan.dir, new OTLPTraceExporter({ url: plan.url }), { sessions: "ended" });
  return sessions.length;
}
