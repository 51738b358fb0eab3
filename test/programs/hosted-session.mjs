// A program whose environment names the destination of its sessions. Arguments: directory, session id, and the end:
// "end" ends normally, "exit" and "SIGTERM" end after the second turn, "exit in turn 2" and "SIGTERM in turn 2" in the
// second turn, and "turn 2" stays there.
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
  if (stop.endsWith(`turn ${number}`)) return;
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
  case "exit in turn 2":
    process.exit(3);
    break;
  case "SIGTERM":
  case "SIGTERM in turn 2":
    process.kill(process.pid, "SIGTERM");
    setInterval(() => {}, 1000);
    break;
  default:
    setInterval(() => {}, 1000);
}
