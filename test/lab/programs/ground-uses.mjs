// What a user does with sessions on an unusual ground, beside recording. Prints a line of JSON: what was done, what was wrong.
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { commandRun } from "../../support/command-run.mjs";

const [, , build, dir] = process.argv;
const fromBuild = createRequire(`${build}/index.js`);
const { BasicTracerProvider, InMemorySpanExporter } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, listTraces, readTrace } = fromBuild(
  `${build}/index.js`,
);
const { replayTraces } = fromBuild(`${build}/replay/replay-traces.js`);
const { FileExporter } = fromBuild(`${build}/altimate.js`);
const { runCommandLine } = fromBuild(`${build}/cli/command-line.js`);

const must = (condition, text) => {
  if (!condition) throw new Error(text);
};

const documentsIn = () => readdirSync(dir).filter((name) => name.endsWith(".json"));

async function command(...args) {
  let out = "";
  const { code, err } = await commandRun(runCommandLine, dir, args, (text) => {
    out += text;
  });
  must(code === 0, `it ended with ${code}: ${out}${err}`);
  return out;
}

/** Records ended sessions, and one that is fenced. */
async function record(ids, fenced) {
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("uses");
  for (const id of ids) tracer.startSpan("used", { attributes: { "session.id": id } }).end();
  await processor.shutdown();
  const crashing = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
  const crashTracer = new BasicTracerProvider({ spanProcessors: [crashing] }).getTracer("uses");
  crashTracer.startSpan("open", { attributes: { "session.id": fenced } });
  crashing.crash("fenced");
}

const ids = ["one", "two", '<who?> said "a|b"*', "n".repeat(110), "m".repeat(200)];

const uses = {
  recording: async () => {
    await record(ids, "fenced");
    must(documentsIn().length === ids.length + 1, `there is ${readdirSync(dir)}`);
  },
  listing: async () => {
    const { traces } = await listTraces(dir);
    must(traces.length === ids.length + 1, `${traces.length} sessions are listed`);
    for (const { path } of traces)
      must((await readTrace(path)).trace.spans.length === 2, `${path} is not read`);
  },
  replay: async () => {
    for (const sessions of [1, 0]) {
      const report = await replayTraces(dir, new InMemorySpanExporter());
      must(report.failures.length === 0, `${report.failures[0]?.error}`);
      must(report.sessions.length === sessions, `${report.sessions.length} sessions are sent`);
    }
  },
  "verify --ground": async () => {
    const out = await command("verify", "--ground", "--json");
    const seen = JSON.parse(out).capabilities;
    uses.seen = Object.fromEntries(
      seen.filter(({ isGiven }) => !isGiven).map(({ capability, seen }) => [capability, seen]),
    );
  },
  "the commands": async () => {
    for (const line of [
      "list",
      "show one",
      "tail one --exit",
      "postmortem fenced",
      "stats",
      "verify",
      "recover",
    ])
      await command(...line.split(" "));
    await command("export", "one", "--format", "jsonl");
    await command("replay", "--otlp", "http://127.0.0.1:9", "--dry-run");
  },
  "whole documents": async () => {
    const exporter = new FileExporter(dir, 100);
    for (const name of ["one", "two"]) {
      const span = {
        spanId: "1",
        parentSpanId: null,
        name,
        kind: "session",
        startTime: 1,
        endTime: 2,
        status: "ok",
      };
      const trace = {
        version: 2,
        traceId: "t",
        sessionId: "d",
        startedAt: "2026-01-01T00:00:00.000Z",
        spans: [span],
        summary: {},
      };
      must((await exporter.export(trace)) === `${dir}/d.json`, "it is not written");
    }
  },
  retention: async () => {
    await command("prune", "--keep", "3");
    must(documentsIn().length === 3, `there is ${documentsIn()}`);
    new FileExporter(dir, 2).pruneSync();
    must(documentsIn().length === 2, `there is ${documentsIn()}`);
  },
  "a settled directory": () => {
    const others = readdirSync(dir).filter((name) => !/\.json(\.replayed)?$/.test(name));
    must(others.length === 0 && existsSync(dir), `${others} is left over`);
  },
};

const [done, problems] = [[], []];
for (const [name, use] of Object.entries(uses)) {
  try {
    await use();
    done.push(name);
  } catch (error) {
    problems.push(`${name}: ${error?.stack ?? error}`);
  }
}
console.log(JSON.stringify({ done, problems, seen: uses.seen }));
process.exit(0);
