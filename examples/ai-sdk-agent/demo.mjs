// Kills the example agent with SIGKILL in the middle of a tool call, and shows what is left: `npm run demo`.
//
//   node examples/ai-sdk-agent/demo.mjs [directory for traces]
//
// Every promise it shows is checked; it exits with 1 when one does not hold.
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { recoverTraces } from "opentelemetry-exporter-crash-safe-file";
import { byteCount, colors } from "../../test/support/text-output.mjs";
import { AgentProcess, inTime } from "./agent-process.mjs";
import { show } from "./show.mjs";
import { historyCommand } from "./tools.mjs";

const longTool = "time_disk_sync";
const dir = resolve(process.argv[2] ?? mkdtempSync(join(tmpdir(), "crash-safe-demo-")));
mkdirSync(dir, { recursive: true });
const sessionId = `ses_${randomBytes(4).toString("hex")}`;
const fileName = `${sessionId}.json`;
const broken = [];

say("An AI agent is killed in the middle of a tool call. What does its trace tell?");
say(`Traces: ${dir}`);

step(1, "An agent starts, in a process of its own");
const { command } = await historyCommand();
if (command !== "git") note("(No git checkout here: its tool `run` asks for the version of Node instead.)");
const first = new AgentProcess(dir, sessionId, note);
await first.says("round   3 ");

step(2, "While the tool runs, the document already says so");
const isOpen = (span) => span.endTime === undefined;
const running = await documentWith((document) => namesOf(document, isOpen).includes(longTool));
note(`${fileName}, ${size(fileName)}`);
shell("jq -r .summary.status", running.summary.status);
shell("jq -r '.spans[] | select(.endTime == null).name'", ...namesOf(running, isOpen));
promise('its status is "running"', running.summary.status === "running");

step(3, `kill -9 ${first.pid}`);
const killed = await first.kill();
const left = readDocument();
promise("the process is gone; no code of its own could run", killed === "SIGKILL");
promise("the document is whole: it parses, as at every instant", left?.version === 2);
promise('its status is "running" still: nobody was left to change it', left?.summary.status === "running");
note("In the directory:");
for (const name of files()) note(`  ${roleOf(name)}  ${size(name).padStart(7)}  ${shortened(name)}`);

step(4, "recoverTraces(dir): what a new exporter also does, in the background");
const { sessions, failures } = await recoverTraces(dir);
const crashed = readDocument();
const isInterrupted = (span) => span.interrupted === true;
shell("jq -r '.summary | .status, .error'", crashed?.summary.status, crashed?.summary.error);
shell("jq -r '.spans[] | select(.interrupted).name'", ...namesOf(crashed, isInterrupted));
draw();
promise("one session was recovered, without a failure", sessions.length === 1 && failures.length === 0);
promise('its status is "crashed"', crashed?.summary.status === "crashed");
promise(`${longTool} is there, marked interrupted`, namesOf(crashed, isInterrupted).includes(longTool));
promise(`so is ${first.started}, which had just begun`, namesOf(crashed, () => true).includes(first.started));
promise(
  `all ${first.done.length} that had ended are there, ${first.done.at(-1)} the last`,
  hasAll(crashed, first.done),
);
promise("the side files are gone", files().join() === fileName);

step(5, "The agent starts again, on the same session");
const second = new AgentProcess(dir, sessionId, note);
const exitCode = await second.end();
promise("it ended normally", exitCode === 0);

step(6, "One document tells both runs");
const whole = readDocument();
const { status, totalTokens } = whole?.summary ?? {};
shell("jq -r '.summary | .status, .totalTokens'", status, totalTokens);
draw();
const kept = new Set(whole?.spans.map(({ spanId }) => spanId));
promise('its status is "completed"', status === "completed");
promise(`the interrupted ${longTool} is still there`, namesOf(whole, isInterrupted).includes(longTool));
promise(
  "so is every other span of the first run",
  crashed?.spans.every(({ spanId }) => kept.has(spanId)),
);
promise("the second run's tool calls are there too", hasAll(whole, [...first.done, ...second.done]));
promise("the document is all there is in the directory", files().join() === fileName);

say("");
if (broken.length === 0) {
  say("Everything was as promised. To look on:");
  note(`npx crash-safe-file open ${sessionId} --dir ${dir}`);
  note(`npx crash-safe-file show ${sessionId} --dir ${dir}`);
  note(`jq . ${join(dir, fileName)}`);
} else {
  say(colors.red(`Not as promised: ${broken.join("; ")}`));
  process.exitCode = 1;
}

function say(line) {
  console.log(line);
}

function step(number, title) {
  say(`\n${colors.bold(`${number}  ${title}`)}`);
}

function note(line) {
  say(`   ${line}`);
}

/** A command to try, and what it prints here. */
function shell(line, ...output) {
  note(colors.dim(`$ ${line} ${fileName}`));
  for (const text of output) note(String(text));
}

function promise(what, isKept) {
  note(isKept ? `${colors.green("✓")} ${what}` : colors.red(`✗ ${what}`));
  if (!isKept) broken.push(what);
}

function draw() {
  note(colors.dim(`$ npx crash-safe-file show ${sessionId}`));
  say("");
  show(sessionId, dir);
  say("");
}

function files() {
  return readdirSync(dir).filter((name) => name.startsWith(sessionId));
}

function size(name) {
  return byteCount(statSync(join(dir, name)).size);
}

function roleOf(name) {
  if (name.endsWith(".open")) return "ended spans  ";
  if (name.endsWith(".live")) return "what was open";
  // The kill can meet a publish: then an unfinished copy of the document, or its lock, is left.
  if (name.includes(".json.tmp.")) return "a half copy  ";
  if (name.endsWith(".lock")) return "its lock     ";
  return "the document ";
}

function shortened(name) {
  return name.replace(/\.json\.(tmp\.)?.+\.(open|live|\d+)$/, ".json.$1….$2");
}

/** The document as any other program sees it: by reading the file. */
function readDocument() {
  try {
    return JSON.parse(readFileSync(join(dir, fileName), "utf8"));
  } catch {
    return undefined;
  }
}

/** The document catches up with the agent by itself; this looks until it has. */
async function documentWith(condition) {
  const look = async (signal) => {
    while (!signal.aborted) {
      const document = readDocument();
      if (document && condition(document)) return document;
      await pause(20);
    }
  };
  return inTime(look, "the document did not catch up with the agent");
}

function namesOf(document, condition) {
  return document?.spans.filter(condition).map(({ name }) => name) ?? [];
}

/** Whether the document has these spans, ended and not interrupted; a name may come more than once. */
function hasAll(document, names) {
  const ended = namesOf(document, (span) => span.endTime !== undefined && !span.interrupted);
  const isThere = (name) => {
    const at = ended.indexOf(name);
    if (at >= 0) ended.splice(at, 1);
    return at >= 0;
  };
  return names.length > 0 && names.every(isThere);
}
