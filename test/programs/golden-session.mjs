// A session as agents log it, with fixed arguments. The fixtures have its document. Run as a program it logs and
// waits to be killed. Arguments: directory, session id, time.
import { fileURLToPath } from "node:url";

export const options = {
  instance_id: "agent run",
  title: "Fix the orders model",
  model: "anthropic/claude-sonnet",
  providerId: "anthropic",
  agent: "builder",
  variant: "high",
  prompt: "Why is fct_orders late?",
  userId: "user-1",
  environment: "staging",
  version: "1.2.3",
  tags: ["data", "nightly"],
};

const tokens = (input, output) => ({ input, output, reasoning: 3, cache: { read: 40, write: 5 } });

// Each function gets the tracer, and a function that sets the time in milliseconds after the start.
export function firstTurn(tracer, at) {
  at(100);
  tracer.logUserMessage("Why is fct_orders late?");
  at(200);
  tracer.logStepStart({ id: "step-1", messageID: "msg-1" });
  tracer.logText({ text: "Looking at ", messageID: "msg-1" });
  tracer.logText({ text: "the model.", messageID: "msg-1" });
  tracer.logToolCall({
    tool: "sql_execute",
    callID: "call-1",
    messageID: "msg-1",
    state: {
      status: "completed",
      input: { sql: "select count(*) from fct_orders", limit: 10 },
      output: "count\n42",
      time: { start: 1_767_323_045_250, end: 1_767_323_045_900 },
    },
  });
  tracer.setSpanAttributes(
    {
      "de.warehouse": "snowflake",
      "de.tables": ["fct_orders", "dim_customers"],
      "de.rows": 42,
      "de.cost.credits": 0.0125,
      "de.lineage": { upstream: ["stg_orders"], downstream: [] },
      "de.cached": false,
      "de.partition": null,
    },
    "tool",
  );
  tracer.logToolCall({
    tool: "read",
    callID: "call-2",
    state: {
      status: "error",
      input: { path: "models/fct_orders.sql" },
      error: "ENOENT: no such file or directory",
      time: { start: 1_767_323_046_000, end: 1_767_323_046_003 },
    },
  });
  at(1_500);
  tracer.logStepFinish({
    id: "end of 1",
    messageID: "msg-1",
    reason: "tool-calls",
    cost: 0.25,
    tokens: tokens(100, 20),
  });
  tracer.setSpanAttributes({ "de.project": "analytics" }, "session");
}

// Two concurrent generations with tools of their own. One of the tools runs in a loop.
export function secondTurn(tracer, at) {
  at(2_000);
  tracer.logUserMessage("Rebuild it; ünïcödé \u{1f680}, and “quotes” too.");
  tracer.logStepStart({ id: "step-2", messageID: "msg-2" });
  at(2_100);
  tracer.logStepStart({ id: "step-3", messageID: "msg-3" });
  for (let n = 0; n < 3; n++) {
    const time = { start: 1_767_323_047_200 + n, end: 1_767_323_047_300 + 2 * n };
    const state = { status: "completed", input: { select: "fct_orders" }, output: `attempt ${n}`, time };
    tracer.logToolCall({ tool: "dbt_build", callID: `loop-${n}`, messageID: "msg-2", state });
  }
  const start = 1_767_323_047_400;
  const bash = { tool: "bash", callID: "call-3", messageID: "msg-3" };
  tracer.logToolCall({
    ...bash,
    state: { status: "running", input: { command: "dbt test" }, time: { start } },
  });
  const time = { start, end: start + 100 };
  tracer.logToolCall({ ...bash, state: { status: "completed", output: "ok\n".repeat(5_000), time } });
  tracer.logText({ text: "Done.", messageID: "msg-3" });
  at(3_000);
  tracer.logStepFinish({ id: "step-2", reason: "tool-calls", cost: 0.5, tokens: tokens(200, 30) });
  at(3_100);
  tracer.logStepFinish({ id: "step-3", reason: "stop", cost: 0.125, tokens: tokens(300, 40) });
  tracer.logSpan({
    name: "compile",
    startTime: 1_767_323_047_000,
    endTime: 1_767_323_047_020,
    status: "error",
    input: { models: ["fct_orders"] },
    output: { compiled: 0 },
    attributes: { "de.adapter": "duckdb" },
  });
}

// Stops in the middle: a generation has text, and a tool runs.
export function openTurn(tracer, at) {
  at(4_000);
  tracer.logUserMessage("And now?");
  tracer.logStepStart({ id: "step-4", messageID: "msg-4" });
  tracer.logText({ text: "Running ", messageID: "msg-4" });
  const state = { status: "running", input: { command: "dbt run" }, time: { start: 1_767_323_049_010 } };
  tracer.logToolCall({ tool: "bash", callID: "call-4", messageID: "msg-4", state });
  tracer.setSpanAttributes({ "de.threads": 4 }, "tool");
  at(4_500);
}

export function manyCalls(tracer, at) {
  firstTurn(tracer, at);
  for (let n = 0; n < 60; n++) {
    const time = { start: 1_767_323_046_100 + n, end: 1_767_323_046_105 + n };
    const state = { status: "completed", input: { n }, output: `result ${n}`, time };
    tracer.logToolCall({ tool: `tool_${n % 4}`, callID: `many-${n}`, state });
  }
  at(2_000);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { createSessionTracing } = await import("../../build/session.mjs");
  const [, , dir, sessionId, begin] = process.argv;
  let now = Number(begin);
  Date.now = () => now;
  const at = (millis) => {
    now = Number(begin) + millis;
  };
  const tracer = createSessionTracing({ dir }).tracer(sessionId, options);
  firstTurn(tracer, at);
  secondTurn(tracer, at);
  openTurn(tracer, at);
  process.stdout.write("ready\n");
  setInterval(() => {}, 1_000);
}
