/**
 * How many files and functions of the package a span passes, by V8's precise coverage: shows where a concept is
 * spread over too many files.
 *
 *     npm run hops                      # the build of this project
 *     npm run hops -- <dir> --list      # another build, with the names of the files
 *
 * Each step runs a few times first. Then only functions that run during one more step are counted. "On the way" are the
 * files on the stack when the step writes, syncs or renames a file: those that a reader follows. The other files answer a
 * question for one of these, and return. A recovery is made of async functions, which have no stack.
 */
import { spawnSync } from "node:child_process";
import fs, { mkdtempSync, rmSync, statSync } from "node:fs";
import { Session } from "node:inspector";
import { tmpdir } from "node:os";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { trace as api, ROOT_CONTEXT } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { printTable, right } from "../support/text-output.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: "boolean", default: false },
    /** For the child process: record a session in each of these directories, then die. */
    die: { type: "string", multiple: true },
  },
});
const build = resolve(positionals[0] ?? fileURLToPath(new URL("../../build", import.meta.url)));
const warmRounds = 3;

/** Files that translate attributes, with their names in builds from before `src` had folders. */
const isProjection = (file) => /^(projection[/.-]|dialect-|span-record\.|record-attributes\.)/.test(file);

const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, recoverTraces } = await import(
  pathToFileURL(join(build, "index.mjs")).href
);
const tracer = new BasicTracerProvider().getTracer("hops");

const message = (role, content) => JSON.stringify([{ role, parts: [{ type: "text", content }] }]);

/** A turn of an agent with a root span that stays open. The measured spans are generations below the root span. */
class Turn {
  #parent;

  constructor(dir, sessionId) {
    this.sessionId = sessionId;
    this.exporter = new CrashSafeFileSpanExporter({ dir });
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    const root = tracer.startSpan("invoke_agent", { attributes: { "session.id": sessionId } });
    this.processor.onStart(root, ROOT_CONTEXT);
    this.#parent = api.setSpan(ROOT_CONTEXT, root);
  }

  newGeneration() {
    const attributes = {
      "session.id": this.sessionId,
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "acme",
      "gen_ai.request.model": "large",
      "gen_ai.input.messages": message("user", "What does this file do?"),
    };
    return tracer.startSpan("chat large", { attributes }, this.#parent);
  }

  start(span) {
    this.processor.onStart(span, this.#parent);
  }

  complete(span) {
    span.setAttributes({
      "gen_ai.response.model": "large-1",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": 4_000,
      "gen_ai.usage.output_tokens": 300,
      "gen_ai.output.messages": message("assistant", "It counts files."),
    });
    span.end();
  }

  /** Starts and ends a generation. */
  record() {
    const span = this.newGeneration();
    this.start(span);
    this.complete(span);
    this.processor.onEnd(span);
  }
}

/** The functions of the build that `step` runs, by file. */
class Coverage {
  #session = new Session();
  #root = `${pathToFileURL(build).href}/`;

  constructor() {
    this.#session.connect();
    this.#post("Profiler.enable");
    this.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  async of(step) {
    this.#take();
    const pending = step();
    // A synchronous step is measured before any timer can run.
    return pending instanceof Promise ? pending.then(() => this.#take()) : this.#take();
  }

  /** The callback runs before `post` returns, because the session inspects its own thread. */
  #post(method, parameters) {
    let answer;
    this.#session.post(method, parameters, (error, result) => {
      if (error) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }

  /** What has run since the last call. */
  #take() {
    const found = new Map();
    for (const { url, functions } of this.#post("Profiler.takePreciseCoverage").result) {
      if (!url.startsWith(this.#root)) continue;
      const count = functions.filter(({ ranges }) => ranges[0].count > 0).length;
      if (count > 0) found.set(relative(build, fileURLToPath(url)).replaceAll(sep, "/"), count);
    }
    return found;
  }
}

/** Calls that change a file. */
const changes = ["write", "fdatasync", "link", "rename"].flatMap((name) => [name, `${name}Sync`]);

/** The files on the stack at each call that changes a file while `step` runs. */
async function wayOf(step) {
  const way = new Set();
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 200;
  const originals = changes.map((name) => [name, fs[name]]);
  for (const [name, call] of originals) {
    fs[name] = (...args) => {
      for (const [, file] of new Error().stack.matchAll(/(?:file:\/\/)?(\/[^():\s]+\.m?js):/g))
        if (file.startsWith(build + sep)) way.add(relative(build, file).replaceAll(sep, "/"));
      return call(...args);
    };
  }
  await step();
  Object.assign(fs, Object.fromEntries(originals));
  Error.stackTraceLimit = limit;
  return way;
}

const inodeOf = (path) => statSync(path, { throwIfNoEntry: false })?.ino;

/** Resolves when another file has been renamed to `path`, and the work after the rename is done. */
async function replaced(path, inode) {
  while (inodeOf(path) === inode) await new Promise((done) => setTimeout(done, 5));
  await new Promise((done) => setTimeout(done, 50));
}

/** Records a session with two open spans in each directory, then kills this process. */
function die(dirs) {
  for (const dir of dirs) {
    const turn = new Turn(dir, "killed");
    turn.record();
    turn.start(turn.newGeneration());
  }
  process.kill(process.pid, "SIGKILL");
}

async function measure(dir) {
  const coverage = new Coverage();
  const turn = new Turn(dir, "steps");
  for (let round = 0; round < warmRounds; round++) turn.record();

  const span = turn.newGeneration();
  const start = await coverage.of(() => turn.start(span));
  turn.complete(span);
  const end = await coverage.of(() => turn.processor.onEnd(span));
  const next = turn.newGeneration();
  const ways = { start: await wayOf(() => turn.start(next)) };
  turn.complete(next);
  ways.end = await wayOf(() => turn.processor.onEnd(next));

  let publish;
  const path = turn.exporter.tracePath(turn.sessionId);
  for (let round = 0; round <= warmRounds; round++) {
    await turn.processor.forceFlush();
    const inode = inodeOf(path);
    turn.record();
    if (round < warmRounds) publish = await coverage.of(() => replaced(path, inode));
    else ways.publish = await wayOf(() => replaced(path, inode));
  }

  let flush;
  for (let round = 0; round <= warmRounds; round++) {
    turn.record();
    if (round < warmRounds) flush = await coverage.of(() => turn.processor.forceFlush());
    else ways.flush = await wayOf(() => turn.processor.forceFlush());
  }
  await turn.processor.shutdown();

  let fence;
  for (let round = 0; round <= warmRounds; round++) {
    const fenced = new Turn(dir, `fenced ${round}`);
    fenced.record();
    await fenced.processor.forceFlush();
    if (round < warmRounds) fence = await coverage.of(() => fenced.processor.crash("Received SIGTERM"));
    else ways.fence = await wayOf(() => fenced.processor.crash("Received SIGTERM"));
  }

  const dirs = Array.from({ length: warmRounds + 1 }, (_, round) => join(dir, `dead-${round}`));
  const victim = [fileURLToPath(import.meta.url), build, ...dirs.map((dead) => `--die=${dead}`)];
  spawnSync(process.execPath, victim, { stdio: "inherit" });
  let recovery;
  for (const dead of dirs) {
    let report;
    recovery = await coverage.of(async () => {
      report = await recoverTraces(dead);
    });
    if (report.sessions.length !== 1) throw new Error(`not recovered: ${JSON.stringify(report)}`);
  }
  return {
    "start of a span, journaled": { found: start, way: ways.start },
    "end of a GenAI span": { found: end, way: ways.end },
    "publish, scheduled": { found: publish, way: ways.publish },
    "flush of the processor": { found: flush, way: ways.flush },
    "fence with one open span": { found: fence, way: ways.fence },
    "recovery of one session": { found: recovery },
  };
}

function print(steps) {
  const rows = Object.entries(steps).map(([step, { found, way }]) => {
    const files = [...found.keys()];
    const functions = [...found.values()].reduce((sum, count) => sum + count, 0);
    return [
      step,
      way?.size ?? "–",
      files.length,
      files.filter((file) => !isProjection(file)).length,
      functions,
    ];
  });
  printTable(
    ["step", right("files on the way"), right("files"), right("without projection"), right("functions")],
    rows,
  );
  if (!options.list) return;
  for (const [step, { found, way }] of Object.entries(steps)) {
    console.log(`\n${step}`);
    for (const file of [...found.keys()].sort())
      console.log(`${String(found.get(file)).padStart(5)}${way?.has(file) ? " *" : "  "} ${file}`);
  }
}

if (options.die) die(options.die);

const dir = mkdtempSync(join(tmpdir(), "hops-"));
try {
  print(await measure(dir));
} finally {
  rmSync(dir, { recursive: true, force: true });
}
