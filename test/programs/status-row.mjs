// Brings a session into a state of the status table, through one of the ways in which spans come, and then lives, or shuts
// down. Arguments: directory, way (tracer, plain, ai), state (open, tools, idle, ended, error), fate (lives, shutdown,
// silent).
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../build/index.mjs";
import { createSessionTracing } from "../../build/session.mjs";

const [dir, way, state, fate] = process.argv.slice(2);
const reason = state === "tools" ? "tool-calls" : "stop";
const error = state === "error" ? "boom" : undefined;
const isOver = state === "ended" || state === "error";
const silence = fate === "silent" ? { sessionIdleMillis: 1 } : {};

async function throughTracer() {
  const tracing = createSessionTracing({ dir });
  const tracer = tracing.newTracer();
  tracer.startTrace("s");
  tracer.logUserMessage("do it");
  tracer.logStepStart({ id: "1" });
  if (state !== "open") tracer.logStepFinish({ id: "1", reason });
  await tracer.flush();
  if (isOver) await tracer.endTrace(error);
  return () => tracing.shutdown();
}

const attributesOf = {
  plain: { "gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": [reason.replace("-", "_")] },
  ai: { "ai.operationId": "ai.generateText.doGenerate", "ai.response.finishReason": reason },
};

async function throughSpans() {
  const exporter = new CrashSafeFileSpanExporter({ dir, ...silence });
  const provider = new BasicTracerProvider({ spanProcessors: [new CrashSafeSpanProcessor(exporter)] });
  const attributes = { "session.id": "s", ...attributesOf[way] };
  const span = provider.getTracer("agent").startSpan("call", { attributes });
  if (state !== "open") span.end();
  await provider.forceFlush();
  if (isOver) await exporter.endSession("s", { error });
  return () => provider.shutdown();
}

const shutdown = await (way === "tracer" ? throughTracer() : throughSpans());
// Idle time, which is no work.
await new Promise((resolve) => setTimeout(resolve, 100));
if (fate === "shutdown") await shutdown();
else setInterval(() => {}, 1_000);
process.stdout.write("ready\n");
