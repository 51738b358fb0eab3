// Logs tool calls to a session through the altimate API, as a process or as a thread, and ends as requested.
// Reports its progress to its parent.
import { parentPort, workerData } from "node:worker_threads";
import { FileExporter, Trace } from "../../build/altimate.mjs";

const { dir, sessionId, name, calls, end, isQuiet, exits } = workerData ?? JSON.parse(process.argv[2]);
const report = (word) => (parentPort ? parentPort.postMessage(word) : process.send(word));
const heard = new Map();
const hear = (word) => new Promise((resolve) => heard.set(word, resolve));
(parentPort ?? process).on("message", (word) => heard.get(word)?.());

const callsPerStep = 20;
const begin = 1_750_000_000_000;
const trace = Trace.withExporters([new FileExporter(dir)]);

function step(n) {
  const number = Math.floor(n / callsPerStep);
  const tokens = { input: 3, output: 2, reasoning: 0, cache: { read: 1, write: 0 } };
  const id = (of) => ({ id: `${name} step ${of}`, messageID: `${name} message ${of}` });
  if (number > 0) trace.logStepFinish({ ...id(number - 1), reason: "tool-calls", cost: 0.5, tokens });
  if (n < calls) trace.logStepStart(id(number));
}

function call(n) {
  if (n % callsPerStep === 0) step(n);
  const part = { tool: `tool ${n % 5}`, callID: `${name} ${n}` };
  const input = { n, name };
  const start = begin + n;
  if (n % 3 === 0) trace.logToolCall({ ...part, state: { status: "running", input, time: { start } } });
  const time = { start, end: start + 1 + (n % 7) };
  trace.logToolCall({ ...part, state: { status: "completed", input, output: "x".repeat(300), time } });
}
const late = (n) => trace.setSpanAttributes({ late: `${name} ${n}` }, "tool");

const ends = {
  "the last call": () => {},
  "a running tool": () => {
    const state = { status: "running", input: {}, time: { start: begin } };
    trace.logToolCall({ tool: "sleep", callID: `${name} runs`, state });
  },
  flush: () => trace.flush(),
  endTrace: () => trace.endTrace(),
  finalizeSync: () => trace.finalizeSync(),
  flushSync: () => trace.flushSync("stopped"),
};

trace.startTrace(sessionId, { title: "logged" });
if (isQuiet) {
  // In one turn of an event loop without other work.
  for (let n = 0; n < calls; n++) {
    call(n);
    late(n);
  }
  void ends[end]();
  if (exits) process.exit(0);
  report("ended");
} else {
  const [go, theEnd] = [hear("go"), hear("end")];
  report("ready");
  await go;
  for (let n = 0; n < calls; n++) {
    call(n);
    // Some calls get their attributes when a peer writer may have published them without.
    if (n % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 1));
    late(n);
  }
  step(calls);
  report("logged");
  await theEnd;
  await ends[end]();
  report("ended");
}
