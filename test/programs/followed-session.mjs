// Records a session in steps, one for each message of its parent, and answers when the step is recorded.
import { createSessionTracing } from "../../build/session.mjs";

const { dir, sessionId } = JSON.parse(process.argv[2]);
const tracing = createSessionTracing({ dir });
const tracer = tracing.tracer(sessionId, { title: "followed", model: "claude" });

let calls = 0;
const call = (output) => {
  const time = { start: 1_000 * ++calls, end: 1_000 * calls + 10 };
  const input = { command: `run ${calls}` };
  tracer.logToolCall({
    tool: "bash",
    callID: `n${calls}`,
    state: { status: "completed", input, output, time },
  });
};

const steps = {
  long: () => {
    for (let n = 0; n < 400; n++) call("x".repeat(9_000));
  },
  call: () => call("new"),
  flush: () => tracer.flush(),
  message: () => tracer.logUserMessage("Run the tests"),
  step: () => tracer.logStepStart({ id: "s1" }),
  tool: () =>
    tracer.logToolCall({
      tool: "bash",
      callID: "c1",
      state: { status: "running", input: { command: "npm test" } },
    }),
  result: () =>
    tracer.logToolCall({
      tool: "bash",
      callID: "c1",
      state: { status: "completed", input: { command: "npm test" }, output: "ok" },
    }),
  end: () => tracing.shutdown(),
};

process.on("message", async (name) => {
  await steps[name]();
  process.send(name);
});
process.send("ready");
