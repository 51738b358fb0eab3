// An instrumented agent: what you would write in your own program.
//
//   node examples/ai-sdk-agent/agent.mjs [directory for traces] [session id]
//
// Run it twice with the same session id and it goes on where it stopped.
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { stepCountIs, ToolLoopAgent } from "ai";
import {
  CrashSafeFileSpanExporter,
  CrashSafeSpanProcessor,
  installCrashFence,
  readTrace,
  setSessionId,
} from "opentelemetry-exporter-crash-safe-file";
import { scriptedModel } from "./scripted-model.mjs";
import { tools } from "./tools.mjs";

const [dir = "traces", sessionId = "ses_example"] = process.argv.slice(2);

// 1. OpenTelemetry, with the crash-safe exporter on its provider. The context manager makes spans nest.
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const exporter = new CrashSafeFileSpanExporter({ dir });
const processor = new CrashSafeSpanProcessor(exporter);
const provider = new BasicTracerProvider({ spanProcessors: [processor] });
trace.setGlobalTracerProvider(provider);
installCrashFence(processor);

// 2. An agent that makes spans: any instrumented framework will do. Here it is the AI SDK's own telemetry.
const agent = new ToolLoopAgent({
  model: scriptedModel(),
  instructions: "You review a package before it is released.",
  tools,
  stopWhen: stepCountIs(10),
  experimental_telemetry: { isEnabled: true, tracer: provider.getTracer("ai") },
  onStepFinish: ({ toolResults, text }) => {
    for (const { toolName } of toolResults) console.log(`done    ${toolName}`);
    if (toolResults.length === 0) console.log(`answer  ${text}`);
  },
});

// 3. Every span started in this context belongs to the session.
const prompt = (await interruptedWork()) ?? "Can this package be released? Check the code and this disk.";
console.log(`prompt  ${prompt}`);
await context.with(setSessionId(context.active(), sessionId), () => agent.generate({ prompt }));

// 4. A normal end: the document's status becomes "completed".
await provider.shutdown();

/** The trace tells what the last run was doing when it was killed; `undefined` when there was none. */
async function interruptedWork() {
  const last = await readTrace(exporter.tracePath(sessionId)).catch(() => undefined);
  const tool = last?.trace.spans.find((span) => span.kind === "tool" && span.interrupted);
  return tool && `Go on. Your ${tool.name} was interrupted; a second will do.`;
}
