// Stops the data agent with SIGTERM in the middle of a tool call, and lets it go on:
//
//   npm run build && node examples/altimate-code/demo.mjs [directory for traces]
//
// Every promise it shows is checked; it exits with 1 when one does not hold.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Trace } from "opentelemetry-exporter-crash-safe-file/altimate";
import { colors } from "../../test/support/text-output.mjs";
import { show } from "../ai-sdk-agent/show.mjs";

const agent = fileURLToPath(new URL("agent.mjs", import.meta.url));
const dir = resolve(process.argv[2] ?? mkdtempSync(join(tmpdir(), "altimate-code-")));
const sessionId = "ses_tuesday";
const broken = [];

step(1, "An agent is asked why Tuesday's revenue was so low, and is stopped while it looks");
const first = start();
await first.says(/^runs +find_gaps/);
const running = await documentWith((document) => tool(document, "find_gaps") !== undefined);
first.child.kill("SIGTERM");
const [exitCode] = await first.closed;

step(2, "What its trace says");
promise('while it ran, its status was "running", and find_gaps was open', () => {
  return running.summary.status === "running" && tool(running, "find_gaps").endTime === undefined;
});
const crashed = document();
draw();
promise("the signal ended it: exit code 143", () => exitCode === 143);
promise('the status is "crashed", and why: "Ended by SIGTERM"', () => {
  return crashed.summary.status === "crashed" && crashed.summary.error === "Ended by SIGTERM";
});
promise(
  "find_gaps is there, marked interrupted: not a failure of the tool",
  () => tool(crashed, "find_gaps").interrupted,
);
promise("sum_by_day failed by itself, once, and says why", () => {
  const [failed, ...more] = crashed.spans.filter(
    ({ status, interrupted }) => status === "error" && !interrupted,
  );
  return failed.statusMessage.includes('"revenue" does not exist') && more.length === 0;
});
promise(
  "the document is all there is in the directory",
  () => readdirSync(dir).join() === `${sessionId}.json`,
);

step(3, "The agent starts again, on the same session");
const [secondCode] = await start().closed;

step(4, "One document tells both runs");
const whole = document();
draw();
note(whole.summary.narrative);
promise("it ended normally", () => secondCode === 0 && whole.summary.status === "completed");
promise("nothing of the first run is lost", () => {
  const kept = new Set(whole.spans.map(({ spanId }) => spanId));
  return crashed.spans.every(({ spanId }) => kept.has(spanId));
});
promise("the counters count both runs", () => {
  const { totalGenerations, totalToolCalls } = whole.summary;
  return totalGenerations === 6 && totalToolCalls === 6;
});
promise("what the tools know of their work is with them", () => {
  return tool(whole, "describe_table").attributes["de.table"] === "orders";
});
const [listed] = await Trace.listTraces(dir);
const loaded = await Trace.loadTrace(sessionId, dir);
promise("listTraces and loadTrace find it", () => {
  return listed.sessionId === sessionId && loaded.summary.totalToolCalls === 6;
});

console.log(
  broken.length === 0
    ? `\nEverything was as promised. The trace: ${join(dir, `${sessionId}.json`)}`
    : colors.red(`\nNot as promised: ${broken.join("; ")}`),
);
process.exitCode = broken.length === 0 ? 0 : 1;

/** Starts the agent, and shows what it says. */
function start() {
  const child = spawn(process.execPath, [agent, dir, sessionId], { stdio: ["ignore", "pipe", "inherit"] });
  // Whatever becomes of the demo, its agent does not outlive it.
  process.once("exit", () => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout });
  lines.on("line", note);
  const closed = once(child, "close");
  const says = (pattern) =>
    Promise.race([
      new Promise((heard) => {
        lines.on("line", (line) => pattern.test(line) && heard());
      }),
      closed.then(() => {
        throw new Error("the agent ended too early");
      }),
    ]);
  return { child, closed, says };
}

function document() {
  return JSON.parse(readFileSync(join(dir, `${sessionId}.json`), "utf8"));
}

/** The document, as soon as it is like this. */
async function documentWith(isLike) {
  for (;;) {
    const now = document();
    if (isLike(now)) return now;
    await new Promise((later) => setTimeout(later, 5));
  }
}

function tool({ spans }, name) {
  return spans.find((span) => span.kind === "tool" && span.name === name);
}

function draw() {
  console.log("");
  show(sessionId, dir);
  console.log("");
}

function step(number, title) {
  console.log(colors.bold(`\n${number}  ${title}`));
}

function note(line) {
  console.log(`   ${line}`);
}

function promise(what, isKept) {
  const kept = isKept();
  note(kept ? `${colors.green("✓")} ${what}` : colors.red(`✗ ${what}`));
  if (!kept) broken.push(what);
}
