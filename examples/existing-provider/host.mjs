// A program that has OpenTelemetry set up already, and adds sessions to it. Two users ask at once; whatever the
// program's other instrumentation records meanwhile hangs under the right tool of the right session.
//
//   npm run build && node examples/existing-provider/host.mjs [directory for the documents]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import {
  CrashSafeFileSpanExporter,
  CrashSafeSpanProcessor,
  installCrashFence,
  readTrace,
} from "opentelemetry-exporter-crash-safe-file";
import { createSessionTracing } from "opentelemetry-exporter-crash-safe-file/session";
import { show } from "../ai-sdk-agent/show.mjs";

const dir = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "existing-provider-")));

// What the program has: a provider with processors of its own. One more is added, and named to the sessions.
const elsewhere = new InMemorySpanExporter();
const files = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(elsewhere), files] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const tracing = createSessionTracing({ tracerProvider: provider, processors: [files] });
installCrashFence(tracing);

/** Stands for an instrumented library: it knows nothing of sessions. */
const queryDatabase = (sql) =>
  trace.getTracer("database").startActiveSpan(`SELECT ${sql.split(" ").at(-1)}`, async (span) => {
    await pause(40);
    span.setAttribute("db.query.text", sql).end();
    return 42;
  });

async function ask(sessionId, question, table) {
  const tracer = tracing.tracer(sessionId, { agent: "analyst", title: question });
  tracer.enrichFromAssistant({ modelID: "scripted-1", providerID: "example" });
  tracer.logUserMessage(question);
  tracer.logStepStart({ id: "1" });
  const call = { tool: "sql", callID: `${sessionId}_1` };
  const input = { query: `select count(*) from ${table}` };
  const start = Date.now();
  tracer.logToolCall({ ...call, state: { status: "running", input, time: { start } } });
  const count = await context.with(tracer.context("tool"), () => queryDatabase(input.query));
  const time = { start, end: Date.now() };
  tracer.logToolCall({ ...call, state: { status: "completed", input, output: String(count), time } });
  tracer.logText({ text: `There are ${count} ${table}.` });
  const tokens = { input: 80, output: 9, reasoning: 0, cache: { read: 0, write: 0 } };
  tracer.logStepFinish({ id: "1", reason: "stop", cost: 0.0002, tokens });
  const path = await tracer.endTrace();
  return (await readTrace(path)).trace;
}

const documents = await Promise.all([
  ask("ses_ada", "How many customers?", "customers"),
  ask("ses_bob", "How many orders?", "orders"),
]);
for (const document of documents) {
  console.log("");
  show(document.sessionId, dir);
}

await tracing.shutdown();
console.log(`\nThe provider's other processor has had ${elsewhere.getFinishedSpans().length} spans as well.`);
await provider.shutdown();
if (process.argv[2] === undefined) await rm(dir, { recursive: true, force: true });
