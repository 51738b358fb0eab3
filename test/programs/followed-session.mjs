// Records a session in steps, one for each message of its parent, and answers when the step is recorded.
import { createSessionTracing } from "../../build/session.mjs";

const { dir, sessionId } = JSON.parse(process.argv[2]);
const tracing = createSessionTracing({ dir });
const tracer = tracing.tracer(sessionId, { title: "followed", model: "claude" });

const steps = {
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
