// One of several writers of the same sessions, a process or a thread. Announces and acknowledges its actions. Ends
// a session, or itself, on request.
import { createInterface } from "node:readline";
import { isMainThread, parentPort } from "node:worker_threads";
import {
  BasicTracerProvider,
  CrashSafeFileSpanExporter,
  CrashSafeSpanProcessor,
  liveness,
  nodeFileSystem,
  pause,
  plan,
  print,
  random,
  upTo,
} from "./twin.mjs";

// A disk that is slow at the worst moment: between the last check of the document and its replacement.
const cell = new Int32Array(new SharedArrayBuffer(4));
const sync = { ...nodeFileSystem.sync };
sync.rename = (from, to) => {
  if (to.endsWith(".json") && random() < 0.2) Atomics.wait(cell, 0, 0, random() * 8);
  nodeFileSystem.sync.rename(from, to);
};
const options = { dir: plan.dir, maxFiles: plan.maxFiles ?? 0 };
const exporter = new CrashSafeFileSpanExporter(options, {
  liveness,
  fileSystem: { ...nodeFileSystem, sync },
});
const processor = new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("twins");

/** Sessions that are open here, with their open spans. */
const sessions = new Map();
const mostSessions = 3;
const mostOpen = 4;
let number = 0;

function start(session) {
  const n = ++number;
  const bytes = upTo(300);
  const attributes = {
    "session.id": session,
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "look",
    n,
    payload: String(n % 10).repeat(bytes),
  };
  print("starting", session);
  const span = tracer.startSpan(`span ${n}`, { attributes });
  print("started", session, span.spanContext().spanId, n, bytes);
  if (!sessions.has(session)) sessions.set(session, []);
  sessions.get(session).push(span);
}

function end(span) {
  const { spanId } = span.spanContext();
  print("ending", spanId);
  span.end();
  print("ended", spanId);
}

/** From here on it has its files, and a document with the status running. */
async function begin(session) {
  start(session);
  const token = liveness.own.at(-1);
  if (await isDone("a flush", () => processor.forceFlush())) print("begun", session, token);
}

/** Whether it succeeded. A writer that was reported as dead may have to retry. */
async function isDone(what, act) {
  for (let left = plan.lies ? 20 : 1; left > 0; left--) {
    try {
      await act();
      return true;
    } catch (error) {
      print("fault", `${what}: ${error}`);
    }
  }
  return false;
}

function endSpans(session) {
  for (const span of sessions.get(session) ?? []) end(span);
  sessions.delete(session);
}

async function close(session) {
  endSpans(session);
  await isDone(`the end of ${session}`, () => exporter.endSession(session));
}

const toClose = [];
let isEnding = false;
function obey({ order, session }) {
  if (order === "close") toClose.push(session);
  if (order === "end") isEnding = true;
}
if (isMainThread) {
  // The process that started this one has ended.
  createInterface({ input: process.stdin })
    .on("line", (line) => obey(JSON.parse(line)))
    .on("close", () => process.exit(3));
} else parentPort.on("message", obey);

print("up", process.pid);
while (!isEnding) {
  for (const session of toClose.splice(0)) await close(session);
  const choice = sessions.size < mostSessions ? plan.sessions : [...sessions.keys()];
  const session = choice[upTo(choice.length)];
  if (!sessions.has(session)) await begin(session);
  const open = sessions.get(session);
  for (let left = 1 + upTo(6); left > 0; left--) {
    if (open.length === 0 || (open.length < mostOpen && random() < 0.5)) start(session);
    else end(open.splice(upTo(open.length), 1)[0]);
  }
  await pause(random() * plan.restMillis);
}
for (const session of [...sessions.keys()]) endSpans(session);
await isDone("the end", () => processor.shutdown());
process.exit(0);
