// A writer that is killed: one session published in its middle, with running calls, and one that was never
// published. Arguments: the build, the directory.
import { writeSync } from "node:fs";

const [build, dir] = process.argv.slice(2);
const { createSessionTracing } = await import(`${build}/session.js`);

const texts = [
  "git status",
  "日本語 🦩",
  'quotes " and \\',
  'a\nb\u2028c\u0000"tailStart":7}}',
  '{"spanId":"s1"}',
];
const tokens = { input: 100, output: 20, reasoning: 3, cache: { read: 40, write: 5 } };

function turn(tracer, n) {
  const id = `step ${n}`;
  const done = (m) => ({ status: "completed", input: { m, text: texts[m] }, output: texts[m] });
  tracer.logUserMessage(`question ${n}`);
  tracer.logStepStart({ id });
  for (let m = 0; m < texts.length; m++)
    tracer.logToolCall({ tool: "read", callID: `call ${n} ${m}`, state: done(m) });
  tracer.setSpanAttributes({ "a.list": [1, 2], "a.nested": { b: null } }, "tool");
  tracer.logToolCall({ tool: "bash", callID: `bad ${n}`, state: { status: "error", error: "ENOENT" } });
  tracer.logText({ text: `answer ${n}` });
  tracer.logStepFinish({ id, reason: "stop", cost: 0.25, tokens });
}

function leaveRunning(tracer) {
  tracer.logStepStart({ id: "last" });
  tracer.logToolCall({ tool: "bash", callID: "running", state: { status: "running", input: { n: 1 } } });
}

const tracing = createSessionTracing({ dir });
const published = tracing.tracer("ses_f", { agent: "tester", title: "killed", tags: ["a"] });
turn(published, 1);
await tracing.forceFlush();
turn(published, 2);
leaveRunning(published);
const other = createSessionTracing({ dir: `${dir}/other` }).tracer("ses_f", { agent: "tester" });
turn(other, 1);
leaveRunning(other);
writeSync(1, "ready\n");
setInterval(() => {}, 1000);
