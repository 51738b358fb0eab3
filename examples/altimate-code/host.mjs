// A host as altimate-code is one, on the AI SDK:
//
//   node examples/altimate-code/host.mjs run <directory> <session id> <prompt>    one turn of a session, new or known
//   node examples/altimate-code/host.mjs continue <directory> <prompt>            one turn of the session that was active last
//   node examples/altimate-code/host.mjs serve <directory>                        many sessions in a worker thread, as a terminal
//                                                                                 UI has them: a line of the standard input
//                                                                                 is a session id and a prompt
import { createInterface } from "node:readline";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { FileExporter, Trace } from "opentelemetry-exporter-crash-safe-file/altimate";
import { turn } from "./scripted-agent.mjs";

if (isMainThread) {
  const [mode, dir, ...rest] = process.argv.slice(2);
  if (mode === "serve") serve(dir);
  else if (mode === "continue")
    await runOnce(dir, (await Trace.listTraces(dir))[0]?.sessionId ?? "ses_1", rest[0]);
  else await runOnce(dir, ...rest);
} else {
  work(workerData);
}

/** A trace of a session, which goes on if it is known. */
async function open(exporter, sessionId, prompt) {
  const trace = Trace.withExporters([exporter]);
  const options = { title: prompt, agent: "build", model: "example/scripted-1", providerId: "example" };
  if (!(await trace.rehydrateFromFile(sessionId))) trace.startTrace(sessionId, { ...options, prompt });
  return trace;
}

async function runOnce(dir, sessionId, prompt) {
  const trace = await open(new FileExporter(dir), sessionId, prompt);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => {
      trace.flushSync(`Ended by ${signal}`);
      process.exit(1);
    });
  }
  await turn(trace, prompt, say);
  say(`trace ${await trace.endTrace()}`);
}

/** The main thread: passes lines to the worker, and lets it end its sessions. */
function serve(dir) {
  const worker = new Worker(new URL(import.meta.url), { workerData: dir });
  worker.on("message", say);
  worker.on("exit", (code) => process.exit(code));
  createInterface({ input: process.stdin })
    .on("line", (line) => worker.postMessage(line))
    .on("close", () => worker.postMessage("end"));
  process.once("SIGTERM", () => worker.postMessage("end"));
}

/** The worker thread: a trace for each session, whose turns come one after the other. */
function work(dir) {
  const exporter = new FileExporter(dir);
  const sessions = new Map();
  parentPort.on("message", (line) => {
    if (line === "end") {
      void end();
      return;
    }
    const [sessionId, ...words] = line.split(" ");
    const prompt = words.join(" ");
    const session = sessions.get(sessionId) ?? {
      trace: open(exporter, sessionId, prompt),
      turns: Promise.resolve(),
    };
    sessions.set(sessionId, session);
    session.turns = session.turns.then(async () =>
      turn(await session.trace, prompt, (words) => parentPort.postMessage(`${sessionId} ${words}`)),
    );
  });
  async function end() {
    for (const { trace } of sessions.values()) (await trace).finalizeSync();
    process.exit(0);
  }
}

function say(words) {
  console.log(words);
}
