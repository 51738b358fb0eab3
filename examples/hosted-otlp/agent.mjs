// An agent that answers three questions about this repository, with its sessions traced. Where the trace goes is not
// written here: it goes to files in the directory, and with OTEL_TRACES_EXPORTER=otlp to a collector instead.
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { installCrashFence } from "opentelemetry-exporter-crash-safe-file";
import { createSessionTracing } from "opentelemetry-exporter-crash-safe-file/session";

const src = fileURLToPath(new URL("../../src", import.meta.url));

const tracing = createSessionTracing({ dir: process.argv[2] ?? "traces" });
installCrashFence(tracing);
const tracer = tracing.tracer(process.argv[3] ?? "ses_librarian", {
  agent: "librarian",
  title: "Three questions",
});
tracer.enrichFromAssistant({ modelID: "scripted-1", providerID: "example" });

const tools = {
  list_files: async () => (await readdir(src)).filter((name) => name.endsWith(".ts")),
  count_lines: async (names) => {
    const texts = await Promise.all(names.map((name) => readFile(`${src}/${name}`, "utf8")));
    return Object.fromEntries(texts.map((text, i) => [names[i], text.split("\n").length - 1]));
  },
  read_head: async (name) => (await readFile(`${src}/${name}`, "utf8")).split("*/")[0],
};

let step = 0;

/** What a model would do: think, and then either say something or call a tool. */
async function generate(text) {
  const id = `step_${++step}`;
  tracer.logStepStart({ id });
  await pause(150);
  if (text) tracer.logText({ text });
  return (reason) =>
    tracer.logStepFinish({
      id,
      reason,
      cost: 0.0004,
      tokens: { input: 200 * step, output: 20, reasoning: 0, cache: { read: 150 * (step - 1), write: 0 } },
    });
}

async function use(tool, input) {
  const finish = await generate("");
  const call = { tool, callID: `call_${step}` };
  const start = Date.now();
  tracer.logToolCall({ ...call, state: { status: "running", input, time: { start } } });
  console.log(`  the agent uses ${tool}`);
  // Where the demo pulls the plug.
  if (process.env.EXAMPLE_STOPS_IN === tool) await new Promise(() => setInterval(() => {}, 1000));
  const output = await tools[tool](input);
  await pause(80);
  const time = { start, end: Date.now() };
  tracer.logToolCall({
    ...call,
    state: { status: "completed", input, output: JSON.stringify(output), time },
  });
  finish("tool-calls");
  return output;
}

async function answer(text) {
  const finish = await generate(text);
  finish("stop");
}

tracer.logUserMessage("How many files has the library?");
const names = await use("list_files");
await answer(`${names.length}.`);

tracer.logUserMessage("Which is the longest?");
const lines = Object.entries(await use("count_lines", names)).sort(([, a], [, b]) => b - a);
await answer(`${lines[0][0]}, with ${lines[0][1]} lines.`);

tracer.logUserMessage("And what is it for?");
const head = await use("read_head", lines[0][0]);
await answer(head.replace(/[/*\s]+/g, " ").trim());

await tracing.shutdown();
