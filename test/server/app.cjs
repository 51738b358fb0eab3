/**
 * An express server with every instrumentation of `@opentelemetry/auto-instrumentations-node`, that of `fs` included.
 * `server.mjs` starts it.
 *
 * - `GET /plain` reads a file and names no session
 * - `GET /chat/:session` names its session inside the handler, after the spans of the HTTP server have begun
 * - `GET /slow/:session` the same, and answers after 400 ms
 */
const { context } = require("@opentelemetry/api");
const { AsyncLocalStorageContextManager } = require("@opentelemetry/context-async-hooks");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const { getNodeAutoInstrumentations } = require("@opentelemetry/auto-instrumentations-node");
const { registerInstrumentations } = require("@opentelemetry/instrumentation");
const {
  CrashSafeFileSpanExporter,
  CrashSafeSpanProcessor,
  installCrashFence,
  setSessionId,
} = require("../../build/index.js");

const { SERVER_DIR: dir, SERVER_POLICY: policy, SERVER_DRAINS, SERVER_COLLECTOR: url } = process.env;

/** Of the policies, `none` makes spans for no processor, and `otlp` has the stock batches in the place of this package. */
const isOurs = policy !== "none" && policy !== "otlp";
const exporter = isOurs ? new CrashSafeFileSpanExporter({ dir, withoutSession: policy }) : undefined;
const processor = isOurs ? new CrashSafeSpanProcessor(exporter) : undefined;
/** Spans that are open, generations that began, and generations that ended. */
const counts = { openSpans: 0, started: 0, generations: 0 };
const openSpans = {
  onStart: () => void counts.openSpans++,
  onEnd: () => void counts.openSpans--,
  forceFlush: async () => {},
  shutdown: async () => {},
};
const stock = () => [new BatchSpanProcessor(new OTLPTraceExporter({ url }))];
const spanProcessors = isOurs ? [processor, openSpans] : policy === "otlp" ? stock() : [];
const provider = new BasicTracerProvider({ spanProcessors });
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
// Not while modules are loaded: each call of `require` would be a trace.
let isListening = false;
const fileSpans = { enabled: true, createHook: () => isListening };
registerInstrumentations({
  tracerProvider: provider,
  instrumentations: [getNodeAutoInstrumentations({ "@opentelemetry/instrumentation-fs": fileSpans })],
});
if (processor) installCrashFence(processor);

const express = require("express");
const fs = require("node:fs/promises");
const tracer = provider.getTracer("app");
const app = express();

app.get("/plain", async (_request, response) => {
  await fs.readFile(__filename);
  response.send("plain");
});
app.get("/chat/:session", (request, response) => answer(request, response, 0));
app.get("/slow/:session", (request, response) => answer(request, response, 400));

function answer(request, response, millis) {
  context.with(setSessionId(context.active(), request.params.session), () =>
    tracer.startActiveSpan("chat gpt", async (generation) => {
      counts.started++;
      tracer.startSpan("execute_tool read").end();
      if (millis > 0) await new Promise((resolve) => setTimeout(resolve, millis));
      generation.end();
      counts.generations++;
      response.send("chat");
    }),
  );
}

const server = app.listen(0, "127.0.0.1", () => {
  isListening = true;
  process.send({ port: server.address().port });
});
process.on("message", () => process.send({ stats: exporter?.stats(), ...counts }));
if (SERVER_DRAINS) {
  process.on("SIGTERM", () => {
    server.close(async () => {
      await provider.shutdown();
      process.exit(0);
    });
  });
}
