// A program whose environment names the destination of its sessions. Arguments: directory, session id, and the end:
// "end" ends normally, "exit" and "SIGTERM" end after the second turn, "turn 2" stays in the second turn.
import { installCrashFence } from "../../build/index.mjs";
import { createSessionTracing } from "../../build/session.mjs";

const [, , dir, sessionId, stop = "end"] = process.argv;
const tracing = createSessionTracing({ dir });
installCrashFence(tracing);
const tracer = tracing.tracer(sessionId, { agent: "tester", title: "two turns" });
tracer.enrichFromAssistant({ modelID: "m", providerID: "p" });

function turn(number) {
  const id = `step ${number}`;
  const state = { status: "completed", input: { number }, output: `output ${number}` };
  tracer.logUserMessage(`question ${number}`);
  tracer.logStepStart({ id });
  tracer.logToolCall({ tool: "look", callID: `call ${number}`, state });
  tracer.logText({ text: `answer ${number}` });
  if (stop === `turn ${number}`) return;
  const tokens = { input: 3, output: 2, reasoning: 1, cache: { read: 4, write: 0 } };
  tracer.logStepFinish({ id, reason: "stop", cost: 0.5, tokens });
}

turn(1);
turn(2);
switch (stop) {
  case "end":
    await tracing.shutdown();
    break;
  case "exit":
    process.exit(3);
    break;
  case "SIGTERM":
    process.kill(process.pid, stop);
    setInterval(() => {}, 1000);
    break;
  default:
    setInterval(() => {}, 1000);
}
