/** Resumes a session with odd files, in every way: it records, ends, and throws nothing. */
import { readFileSync } from "node:fs";
import { must } from "./fuzz-model.mjs";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "00000000deadbeef";
const attributes = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "after" };

const endedSpan = (sessionId) => ({
  name: "execute_tool after",
  kind: 0,
  spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
  startTime: [1_767_323_045, 0],
  endTime: [1_767_323_046, 0],
  duration: [1, 0],
  ended: true,
  status: { code: 0 },
  attributes: { "session.id": sessionId, ...attributes },
  events: [],
  links: [],
  resource: { attributes: {} },
  instrumentationScope: { name: "fuzz" },
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
});

const ways = [byExporter, byTracer, byStart, byDropIn];

/** Resolves with the path of the document. */
export async function goOn({ dir, id, way, load }) {
  const faults = [];
  const { diag, DiagLogLevel } = await load("@opentelemetry/api");
  const report = (...words) => {
    const text = words.map(String).join(" ");
    // A trace of the altimate API is never shut down. The trace of an earlier input may still report its removed
    // directory.
    const [where] = /\/fuzz-\w+\/\d+\//.exec(text) ?? [dir];
    if (`${dir}/`.includes(where)) faults.push(text.slice(0, 300));
  };
  diag.setLogger(
    { error: report, warn: report, info() {}, debug() {}, verbose() {} },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const path = await ways[way % ways.length]({ dir, id, load });
  must(faults.length === 0, `${ways[way % ways.length].name} reported ${faults[0]}`);
  const document = JSON.parse(readFileSync(path, "utf8"));
  const isThere = document.spans.some(({ kind, name }) => kind === "tool" && name === "after");
  must(isThere, `${ways[way % ways.length].name} did not keep a new span`);
  must(document.summary.status === "completed", `a resumed session ended as ${document.summary.status}`);
  return path;
}

async function byExporter({ dir, id, load }) {
  const { CrashSafeFileSpanExporter } = await load("index.js");
  const exporter = new CrashSafeFileSpanExporter({ dir });
  exporter.recordEnd(endedSpan(id));
  const path = exporter.tracePath(id);
  await exporter.forceFlush();
  await exporter.shutdown();
  return path;
}

const call = { tool: "after", callID: "after", state: { status: "completed", input: {}, output: "x" } };

async function byTracer({ dir, id, load }) {
  const { createSessionTracing } = await load("session.js");
  const tracing = createSessionTracing({ dir });
  const tracer = tracing.newTracer();
  if (!(await tracer.rehydrateFromFile(id))) tracer.startTrace(id);
  tracer.logUserMessage("and now?");
  tracer.logToolCall(call);
  const path = await tracer.endTrace();
  await tracing.shutdown();
  return path;
}

async function byStart({ dir, id, load }) {
  const { createSessionTracing } = await load("session.js");
  const tracing = createSessionTracing({ dir });
  const tracer = tracing.tracer(id, { agent: "new", title: "new" });
  tracer.logToolCall(call);
  const path = tracer.finalizeSync();
  await tracing.shutdown();
  return path;
}

async function byDropIn({ dir, id, load }) {
  const { FileExporter, Trace } = await load("altimate.js");
  const trace = Trace.withExporters([new FileExporter(dir, 0)]);
  if (!(await trace.rehydrateFromFile(id))) trace.startTrace(id, {});
  trace.logToolCall(call);
  await trace.exportRemotes();
  return trace.endTrace();
}
