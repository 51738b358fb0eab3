// A data agent that is traced the way altimate-code traces its sessions.
//
//   node examples/altimate-code/agent.mjs <directory for traces> <session id>
//
// In altimate-code itself only this import changes:
import { FileExporter, Trace } from "opentelemetry-exporter-crash-safe-file/altimate";
import { scriptFor, tools } from "./warehouse.mjs";

const [dir = "traces", sessionId = "ses_example"] = process.argv.slice(2);

// 1. Where traces go: a directory, and an exporter of our own that gets the whole document after each turn.
const announcer = {
  name: "announcer",
  live: true,
  async export({ summary }) {
    say("pushed", `a document that is ${summary.status}: ${summary.narrative}`);
    return undefined;
  },
};
const trace = Trace.withExporters([new FileExporter(dir), announcer], { maxFiles: 50 });
Trace.setActive(trace);

// 2. A signal ends the process; the trace says so, and what was running.
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
]) {
  process.once(signal, () => {
    trace.flushSync(`Ended by ${signal}`);
    process.exit(128 + number);
  });
}

// 3. A session that has a trace goes on with it; another begins.
const last = await Trace.loadTrace(sessionId, dir);
const interrupted = last?.spans.find(({ kind, interrupted }) => kind === "tool" && interrupted)?.name;
const question = interrupted ? "Go on." : "Why was Tuesday's revenue so low?";
if (!(await trace.rehydrateFromFile(sessionId))) {
  trace.startTrace(sessionId, {
    title: "Tuesday's revenue",
    prompt: question,
    userId: "ada",
    tags: ["example"],
  });
}
trace.enrichFromAssistant({ modelID: "scripted-1", providerID: "example", agent: "analyst" });

// 4. One turn: what the user says, and what the agent does until it has an answer.
say("user", question);
trace.logUserMessage(question);
const turn = last?.spans.length ?? 0;
for (const [number, { text, calls }] of scriptFor(interrupted).entries()) {
  const step = { id: `prt_${turn}_${number}`, messageID: `msg_${turn}_${number}` };
  trace.logStepStart(step);
  trace.logText({ ...step, text });
  say("agent", text);
  await Promise.all(
    calls.map(([tool, input], nth) => call({ ...step, callID: `${step.id}_${nth}` }, tool, input)),
  );
  trace.logStepFinish({
    ...step,
    reason: calls.length > 0 ? "tool-calls" : "stop",
    cost: 0.002,
    tokens: {
      input: 900 + 40 * number,
      output: Math.ceil(text.length / 4),
      reasoning: 0,
      cache: { read: 700, write: 0 },
    },
  });
}
await trace.exportRemotes();

// 5. A normal end.
say("trace", await trace.endTrace());

/** Runs a tool, and logs it: as running, so that a crash leaves its name, and as it ended. */
async function call({ messageID, callID }, tool, input) {
  const start = Date.now();
  const log = (state) => trace.logToolCall({ tool, callID, messageID, state: { input, ...state } });
  log({ status: "running", time: { start } });
  say("runs", `${tool} ${JSON.stringify(input)}`);
  try {
    const { output, attributes } = await tools[tool](input);
    log({ status: "completed", output: JSON.stringify(output), time: { start, end: Date.now() } });
    trace.setSpanAttributes(attributes, "tool");
    if (tool === "sum_by_day") for (const line of chart(output)) say("", line);
  } catch (error) {
    log({ status: "error", error: error.message, time: { start, end: Date.now() } });
    say("failed", `${tool}: ${error.message}`);
  }
}

/** Bars, one for each day. */
function chart(sums) {
  const highest = Math.max(...Object.values(sums));
  return Object.entries(sums).map(([day, sum]) => `${day} ${"█".repeat((sum / highest) * 40)} ${sum}`);
}

function say(who, what) {
  console.log(`${who.padEnd(7)} ${what}`);
}
