// Brings one session into each state of the status table, through one of the ways in which spans come. Then this process
// meets its fate. Arguments: directory, way (tracer, plain, ai), fate. Prints "ready" before the fate, and "met" after it.
import { EventEmitter, once } from "node:events";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { generateText, jsonSchema, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } from "../../build/index.mjs";
import { createSessionTracing } from "../../build/session.mjs";

const [dir, way, fate] = process.argv.slice(2);
const states = ["open", "tools", "idle", "ended", "error"];
const idleSilence = fate === "a silence" ? { sessionIdleMillis: 1 } : {};
/** What each session has left to do, by state. */
const rests = new Map();

/** What all ways have in common: `begin` returns what the session has left to do. */
const { begin, end, flush, target, shutdown } = {
  tracer: throughTracer,
  plain: throughSpans,
  ai: throughSdk,
}[way]();

for (const state of states) rests.set(state, await begin(state));
await flush();
await end("ended");
await end("error", "boom");
// Idle time, which is no work.
await new Promise((resolve) => setTimeout(resolve, 100));
process.stdout.write("ready\n");
await fates()[fate]();

/** The process ends what is open, and lets the tools answer. */
async function finish() {
  for (const rest of rests.values()) await rest?.();
}

function fates() {
  const stay = () => setInterval(() => {}, 1_000);
  const met = () => process.stdout.write("met\n");
  const raise = () => process.kill(process.pid, "SIGTERM");
  const fail = () =>
    setTimeout(() => {
      throw new TypeError("boom");
    });
  const goOn = async (exit) => {
    await finish();
    await shutdown();
    met();
    exit?.();
  };
  return {
    lives: stay,
    "a silence": stay,
    async "a shutdown"() {
      await shutdown();
      met();
      stay();
    },
    "a signal alone"() {
      installCrashFence(target);
      stay();
      raise();
    },
    "a signal with a listener"() {
      installCrashFence(target);
      process.on("SIGTERM", () => void goOn(() => process.exit(0)));
      stay();
      raise();
    },
    "an exception"() {
      installCrashFence(target);
      fail();
    },
    "an exception survived"() {
      installCrashFence(target);
      process.on("uncaughtException", () => void goOn());
      stay();
      fail();
    },
  };
}

function throughTracer() {
  const tracing = createSessionTracing({ dir });
  const tracers = new Map();
  return {
    target: tracing,
    flush: () => tracing.forceFlush(),
    end: (state, error) => tracers.get(state).endTrace(error),
    shutdown: () => tracing.shutdown(),
    async begin(state) {
      const tracer = tracing.newTracer();
      tracers.set(state, tracer);
      tracer.startTrace(state);
      tracer.logUserMessage("do it");
      const step = (id, reason) => tracer.logStepFinish({ id, reason });
      tracer.logStepStart({ id: "1" });
      if (state === "open") return () => step("1", "stop");
      if (state !== "tools") return void step("1", "stop");
      step("1", "tool-calls");
      return () => {
        tracer.logToolCall({
          tool: "look",
          callID: "1",
          state: { status: "completed", input: {}, output: "" },
        });
        tracer.logStepStart({ id: "2" });
        step("2", "stop");
      };
    },
  };
}

function exporting() {
  const exporter = new CrashSafeFileSpanExporter({ dir, ...idleSilence });
  const target = new CrashSafeSpanProcessor(exporter);
  const provider = new BasicTracerProvider({ spanProcessors: [target] });
  return {
    tracer: provider.getTracer("agent"),
    target,
    flush: () => provider.forceFlush(),
    end: (state, error) => exporter.endSession(state, { error }),
    shutdown: () => provider.shutdown(),
  };
}

function throughSpans() {
  const { tracer, ...rest } = exporting();
  const call = (state, reason) =>
    tracer.startSpan("call", {
      attributes: {
        "session.id": state,
        "gen_ai.operation.name": "chat",
        "gen_ai.response.finish_reasons": [reason],
      },
    });
  return {
    ...rest,
    async begin(state) {
      const span = call(state, state === "tools" ? "tool_calls" : "stop");
      if (state === "open") return () => span.end();
      span.end();
      return state === "tools" ? () => call(state, "stop").end() : undefined;
    },
  };
}

/** The Vercel AI SDK, with a model that answers when it is asked to. */
function throughSdk() {
  const { tracer, ...rest } = exporting();
  const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };
  const answer = {
    content: [{ type: "text", text: "done" }],
    finishReason: { unified: "stop" },
    usage,
    warnings: [],
  };
  const look = { type: "tool-call", toolCallId: "1", toolName: "look", input: "{}" };
  const request = { ...answer, content: [look], finishReason: { unified: "tool-calls" } };
  const question = { role: "user", content: "do it" };
  const call = (sessionId, doGenerate, messages = [question]) =>
    generateText({
      model: new MockLanguageModelV3({ doGenerate }),
      messages,
      tools: { look: tool({ inputSchema: jsonSchema({ type: "object" }) }) },
      experimental_telemetry: { isEnabled: true, tracer, metadata: { sessionId } },
    });
  return {
    ...rest,
    async begin(state) {
      if (state === "open") {
        const model = new EventEmitter();
        const asked = once(model, "asked");
        const generation = call(state, async () => {
          model.emit("asked");
          await once(model, "answers");
          return answer;
        });
        await asked;
        return () => {
          model.emit("answers");
          return generation;
        };
      }
      const { response } = await call(state, async () => (state === "tools" ? request : answer));
      if (state !== "tools") return undefined;
      const result = { ...look, type: "tool-result", output: { type: "text", value: "" } };
      const messages = [question, ...response.messages, { role: "tool", content: [result] }];
      return () => call(state, async () => answer, messages);
    },
  };
}
