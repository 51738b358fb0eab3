// A session that is killed: logs turns, stops in the middle of the last turn, and reports it. Arguments: directory,
// session id, and the numbers of its turns, such as "1,2".
import { createSessionTracing } from "../../build/session.mjs";

const [, , dir, sessionId, turns] = process.argv;
const tracing = createSessionTracing({ dir });
const tracer = tracing.tracer(sessionId, { agent: "tester", title: "killed" });
tracer.enrichFromAssistant({ modelID: "m", providerID: "p" });

const numbers = turns.split(",").map(Number);
for (const number of numbers) {
  const id = `step ${number}`;
  const state = { status: "completed", input: { number }, output: `output ${number}` };
  tracer.logUserMessage(`question ${number}`);
  tracer.logStepStart({ id });
  tracer.logToolCall({ tool: "look", callID: `call ${number}`, state });
  tracer.logText({ text: `answer ${number}` });
  if (number === numbers.at(-1)) break;
  const tokens = { input: 3, output: 2, reasoning: 1, cache: { read: 4, write: 0 } };
  tracer.logStepFinish({ id, reason: "stop", cost: 0.5, tokens });
}
tracer.logToolCall({
  tool: "bash",
  callID: "running",
  state: { status: "running", input: { command: "sleep" } },
});
process.stdout.write("ready\n");
setInterval(() => {}, 1000);
