// Leaves a session in one of the states that a reader meets. Arguments: directory, state. Prints "ready" when the document
// shows the state of a session that lives; then waits for its end.
import { installCrashFence } from "../../build/index.mjs";
import { createSessionTracing } from "../../build/session.mjs";

const [, , dir, state] = process.argv;
// The cap is read when the entry is loaded.
if (state === "capped") process.env.ALTIMATE_TRACE_MAX_SPANS = "60";
const { FileExporter, Trace } = await import("../../build/altimate.mjs");

const id = `ses_${state.replaceAll(" ", "-")}`;
const options = {
  title: `Session that is ${state}`,
  agent: "analyst",
  model: "example/scripted-1",
  providerId: "example",
  prompt: "Why was Tuesday's revenue so low?",
};
const newTrace = () => Trace.withExporters([new FileExporter(dir, 0)]);
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

const outputs = {
  read: "order_id,amount\n1,20\n2,35\n",
  grep: "models/orders.sql:12: from {{ ref('payments') }}",
  bash: "3 passed, 0 failed",
};

/** A step of the agent: its tools run side by side, and end in the opposite order. */
async function step(trace, number, { tools = ["read"], text = "Let me look.", isLast = false } = {}) {
  const part = { id: `prt_${number}`, messageID: `msg_${number}` };
  trace.logStepStart(part);
  trace.logText({ ...part, text });
  const calls = tools.map((tool, nth) => ({
    tool,
    callID: `call_${number}_${nth}`,
    messageID: part.messageID,
  }));
  const input = (nth) => ({ path: `models/${nth}.sql` });
  const starts = [];
  for (const [nth, call] of calls.entries()) {
    starts.push(Date.now());
    trace.logToolCall({
      ...call,
      state: { status: "running", input: input(nth), time: { start: starts[nth] } },
    });
    await pause(2);
  }
  for (const [nth, call] of [...calls.entries()].reverse()) {
    const output = outputs[call.tool];
    const ended = { input: input(nth), time: { start: starts[nth], end: Date.now() } };
    if (output === undefined)
      trace.logToolCall({ ...call, state: { ...ended, status: "error", error: "no such table: orders" } });
    else trace.logToolCall({ ...call, state: { ...ended, status: "completed", output } });
    await pause(2);
  }
  const tokens = { input: 900, output: 40, reasoning: 5, cache: { read: 700, write: 10 } };
  trace.logStepFinish({ ...part, reason: isLast ? "stop" : "tool-calls", cost: 0.002, tokens });
}

/** A turn with three steps. */
async function turn(trace, number, question) {
  trace.logUserMessage(question);
  await step(trace, `${number}_1`, { tools: ["grep", "read", "bash"] });
  await step(trace, `${number}_2`, { tools: ["sql"] });
  await step(trace, `${number}_3`, { tools: [], text: `Answer ${number}: a load was late.`, isLast: true });
}

/** A turn in the middle of a tool. */
function openTurn(trace, number, question) {
  trace.logUserMessage(question);
  const part = { id: `prt_open_${number}`, messageID: `msg_open_${number}` };
  trace.logStepStart(part);
  trace.logText({ ...part, text: "Let me run it." });
  const running = { status: "running", input: { command: "dbt build" }, time: { start: Date.now() } };
  trace.logToolCall({
    tool: "bash",
    callID: `call_open_${number}`,
    messageID: part.messageID,
    state: running,
  });
}

async function begun() {
  const trace = newTrace();
  trace.startTrace(id, options);
  await turn(trace, 1, options.prompt);
  return trace;
}

/** A session of a tracing with a crash fence, in the middle of a tool. */
async function fenced() {
  const tracing = createSessionTracing({ dir });
  installCrashFence(tracing);
  const tracer = tracing.tracer(id, options);
  await turn(tracer, 1, options.prompt);
  openTurn(tracer, 2, "And on Wednesday?");
}

async function ready(trace) {
  await trace?.flush();
  process.stdout.write("ready\n");
  setInterval(() => {}, 1_000);
}

const states = {
  async live() {
    const trace = await begun();
    openTurn(trace, 2, "And on Wednesday?");
    await ready(trace);
  },
  async idle() {
    await ready(await begun());
  },
  async ended() {
    await (await begun()).endTrace();
  },
  async errored() {
    const trace = await begun();
    openTurn(trace, 2, "And on Wednesday?");
    await trace.endTrace("The model refused: rate limit");
  },
  async signalled() {
    await fenced();
    process.kill(process.pid, "SIGTERM");
    setInterval(() => {}, 1_000);
  },
  async thrown() {
    await fenced();
    setImmediate(() => {
      throw new TypeError("orders is not iterable");
    });
  },
  async killed() {
    const trace = await begun();
    openTurn(trace, 2, "And on Wednesday?");
    process.kill(process.pid, "SIGKILL");
  },
  async fenced() {
    const trace = await begun();
    openTurn(trace, 2, "And on Wednesday?");
    trace.flushSync("Ended by SIGINT");
  },
  async resumed() {
    await (await begun()).endTrace();
    const again = newTrace();
    await again.rehydrateFromFile(id);
    await turn(again, 2, "And on Wednesday?");
    await again.endTrace();
  },
  async "resumed after a crash"() {
    const trace = await begun();
    openTurn(trace, 2, "And on Wednesday?");
    trace.flushSync("Ended by SIGINT");
    const again = newTrace();
    again.startTrace(id, { ...options, prompt: "Go on." });
    await turn(again, 3, "Go on.");
    await again.endTrace();
  },
  async capped() {
    const trace = newTrace();
    trace.startTrace(id, options);
    for (let number = 1; number <= 20; number++) await turn(trace, number, `Question ${number}`);
    await trace.endTrace();
  },
  async "with subagents"() {
    const trace = await begun();
    trace.logUserMessage("Ask two others.");
    const part = { id: "prt_task", messageID: "msg_task" };
    trace.logStepStart(part);
    const start = Date.now();
    const call = (nth, state) =>
      trace.logToolCall({ tool: "task", callID: `task_${nth}`, messageID: part.messageID, state });
    for (const nth of [1, 2])
      call(nth, { status: "running", input: { prompt: `Part ${nth}` }, time: { start: start + nth } });
    for (const nth of [2, 1]) {
      const child = newTrace();
      child.startTrace(`${id}-${nth}`, {
        ...options,
        title: `Part ${nth}`,
        prompt: `Part ${nth}`,
        parent: trace,
      });
      await turn(child, 1, `Part ${nth}`);
      await child.endTrace();
      call(nth, {
        status: "completed",
        input: { prompt: `Part ${nth}` },
        output: "done",
        time: { start: start + nth, end: Date.now() },
      });
    }
    trace.logSpan({ name: "warehouse: resume", startTime: start, endTime: Date.now() });
    trace.logStepFinish({ ...part, reason: "stop", cost: 0.1, tokens: { input: 1, output: 1 } });
    await trace.endTrace();
  },
  async long() {
    const trace = newTrace();
    trace.startTrace(id, options);
    for (let number = 0; number < 50; number++) {
      trace.logUserMessage(`Question ${number}`);
      for (let nth = 0; nth < 9; nth++) {
        const part = { id: `prt_${number}_${nth}`, messageID: `msg_${number}_${nth}` };
        trace.logStepStart(part);
        // 5,000 spans with the session's own.
        for (let call = part.id === "prt_0_0" ? 1 : 0; call < 10; call++) {
          const time = { start: Date.now(), end: Date.now() };
          const state = { status: "completed", input: { call }, output: outputs.read, time };
          trace.logToolCall({ tool: "read", callID: `${part.id}_${call}`, messageID: part.messageID, state });
        }
        trace.logText({ ...part, text: `Answer ${number}, ${nth}` });
        trace.logStepFinish({
          ...part,
          reason: nth === 8 ? "stop" : "tool-calls",
          cost: 0.001,
          tokens: { input: 10, output: 2 },
        });
      }
    }
    await trace.endTrace();
  },
};

await states[state]();
