// Shows an agent's turns arrive at a collector, one by one, as they finish; and what is left where when it is killed.
//
//   npm run build && node examples/hosted-otlp/demo.mjs
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 node examples/hosted-otlp/demo.mjs    (a collector of yours)
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { readTrace, recoverTraces } from "opentelemetry-exporter-crash-safe-file";
import { drawTrace, startCollector } from "./collector.mjs";

const program = fileURLToPath(new URL("agent.mjs", import.meta.url));
const dir = await mkdtemp(join(tmpdir(), "hosted-otlp-"));
const endpoint = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;

/** Runs the agent; all that differs from run to run is its environment. `onLine` hears what it prints. */
function run(sessionId, env, onLine = () => {}) {
  const child = spawn(process.execPath, [program, dir, sessionId], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, OTEL_SERVICE_NAME: "librarian", ...env },
  });
  createInterface(child.stdout).on("line", (line) => {
    console.log(line);
    onLine(line, child);
  });
  return new Promise((done) => child.once("close", (code, signal) => done(signal ?? code)));
}

if (endpoint) {
  process.exitCode = await run(`ses_${Date.now()}`, { OTEL_TRACES_EXPORTER: "otlp" });
  console.log(`Three turns of the service "librarian" are at ${endpoint}.`);
} else {
  await show();
}
await rm(dir, { recursive: true, force: true });

async function show() {
  let arrived = 0;
  let onTurn = () => {};
  const collector = await startCollector((spans) => {
    console.log(`\n  turn ${++arrived} has arrived: ${JSON.stringify(questionOf(spans))}`);
    for (const line of drawTrace(spans)) console.log(`    ${line}`);
    onTurn();
  });
  const otlp = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" };

  console.log("1  OTEL_TRACES_EXPORTER=otlp: the agent sends each turn as it finishes, and writes no file");
  await run("ses_hosted", { ...otlp, OTEL_TRACES_EXPORTER: "otlp" });

  console.log(
    "\n2  OTEL_TRACES_EXPORTER=crash-safe-file,otlp: the same agent, killed in the middle of turn 3",
  );
  arrived = 0;
  const both = { ...otlp, OTEL_TRACES_EXPORTER: "crash-safe-file,otlp", EXAMPLE_STOPS_IN: "read_head" };
  const end = await run("ses_killed", both, (line, child) => {
    if (!line.includes("read_head")) return;
    onTurn = () => arrived === 2 && child.kill("SIGKILL");
    onTurn();
  });
  console.log(`\n  killed: ${end}. The collector has ${arrived} turns: all that were finished.`);
  await recoverTraces(dir);
  const { trace } = await readTrace(join(dir, "ses_killed.json"));
  const questions = trace.spans.filter(({ kind }) => kind === "user-message");
  console.log(`  The file has ${questions.length}, and status ${trace.summary.status}:`);
  for (const { input } of questions) console.log(`    ${input}`);
  const running = trace.spans.find(({ kind, interrupted }) => kind === "tool" && interrupted);
  console.log(`  It was killed in ${running?.name ?? "no tool"}.`);
  collector.close();
}

/** What the user asked in a turn. */
function questionOf(spans) {
  const { attributes } = spans.find(({ parentSpanId }) => !parentSpanId);
  const [message] = JSON.parse(attributes["gen_ai.input.messages"] ?? "[]");
  return message?.parts?.[0]?.content ?? "";
}
