/**
 * SIGKILL before each system call of a life in which spans move to the sessions that are named late. After a recovery every
 * acknowledged span is in one document, once, under a parent that is there, and nothing is left over.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inLanes, spread } from "../lanes.mjs";
import { directoryAfter } from "../life-before.mjs";
import { lacksStrace } from "../tools.mjs";
import { changingCalls, TracedProcess } from "../traced-process.mjs";

const lives = ["ours", "stock"];
const traces = ["1".repeat(32), "2".repeat(32)];
/** Kills. */
const most = { ci: 16, full: Number.POSITIVE_INFINITY };

export default {
  name: "names",
  title: "SIGKILL before each system call while spans move to a session that is named late",
  promise: "P2 P7 P11",
  needs: lacksStrace,
  run,
  brokenWriters: [
    {
      name: "one that moves spans without a record of the move",
      patch: [
        { file: "directory/provisional-spans.js", from: "this.#file.append(this.#moving);", to: "" },
        { file: "directory/moves.js", from: "writer.session.moveTo(to.id);", to: "" },
      ],
      catches: /twice|although its trace/,
    },
    {
      name: "one that forgets spans before they are in their session",
      patch: [
        {
          file: "directory/provisional-spans.js",
          from: "this.#file.append(this.#moving);",
          to: "this.settle(trace, spans);",
        },
      ],
      catches: /is lost/,
    },
  ],
};

async function run({ size, seed, build, broken, scratch, report }) {
  const here = { build, scratch };
  const points = (await inLanes(lives, (life) => pointsOf(life, here))).flat();
  const group = ({ life, threads, call }) => `${life} ${threads} ${call}`;
  // The records of a move are writes.
  const chosen = broken ? points.filter(({ call }) => call === "write") : points;
  const plans = spread(chosen, group, broken ? Number.POSITIVE_INFINITY : most[size], seed);
  const failures = [];
  let [made, killed] = [0, 0];
  await inLanes(plans, async (point) => {
    if (failures.some((text) => broken?.catches.test(text))) return;
    report(`${++made} of ${plans.length}`);
    const { problems, wasKilled } = await killAt(point, here);
    if (wasKilled) killed++;
    const where = `killed before ${point.call} ${point.n} of its ${point.threads} thread in "${point.life}"`;
    failures.push(...problems.map((problem) => `${where}: ${problem}`));
  });
  if (!broken && killed < plans.length / 2) failures.push(`only ${killed} of ${plans.length} were killed`);
  return { trials: made, failures, notes: [`${killed} kills at ${points.length} system calls seen`] };
}

function begin(life, { build, scratch }, hear) {
  const dir = directoryAfter(undefined, scratch);
  const sessions = ["alpha", "beta", "unnamed", ...traces];
  return new TracedProcess("node", "names-life.mjs", { life, dir, build, sessions, traces }, { hear });
}

async function pointsOf(life, here) {
  const log = join(here.scratch.dir, `log ${life}`);
  const child = begin(life, here);
  await child.attach("all", [`trace=${changingCalls.join()}`], log);
  child.send("go");
  const { code } = await child.ended();
  if (code !== 0) throw new Error(`"${life}" fails by itself: ${child.stderr}`);
  return child
    .callsIn(log)
    .flatMap(({ threads, call, count }) =>
      Array.from({ length: count }, (_, before) => ({ life, threads, call, n: before + 1 })),
    );
}

async function killAt({ life, threads, call, n }, here) {
  const words = [];
  const child = begin(life, here, (word) => words.push(word));
  await child.attach(threads, [`trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`]);
  child.send("go");
  const { code, signal } = await child.ended();
  const problems = [];
  if (signal !== "SIGKILL" && code !== 0) problems.push(`it ended by itself with ${code}: ${child.stderr}`);
  problems.push(...words.filter(([verb]) => verb === "threw").map((word) => word.join(" ")));
  const named = (verb) => new Set(words.filter(([one]) => one === verb).map(([, name]) => name));
  const known = { started: life === "ours" ? named("started") : new Set(), ended: named("ended") };
  if (existsSync(child.plan.dir)) {
    problems.push(...parentsMissingIn(child.plan.dir).map((text) => `before the recovery, ${text}`));
    problems.push(...(await recoverAndCompare(here.build, child.plan.dir, known)));
  }
  return { problems, wasKilled: signal === "SIGKILL" };
}

/** Spans of raw documents, as any reader finds them, whose parents their documents lack. */
function parentsMissingIn(dir) {
  return readdirSync(dir)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => {
      const { spans } = JSON.parse(readFileSync(join(dir, file), "utf8"));
      const ids = new Set(spans.map(({ spanId }) => spanId));
      return spans
        .filter(({ kind, parentSpanId }) => kind !== "session" && !ids.has(parentSpanId))
        .map(({ name }) => `the parent of ${name} is not in ${file}`);
    });
}

/** Recovers, and compares with the spans that were acknowledged. Returns the problems as text. */
async function recoverAndCompare(build, dir, { started, ended }) {
  const { recoverTraces } = await import(pathToFileURL(`${build}/index.js`));
  const { failures, running } = await recoverTraces(dir);
  const problems = failures.map(({ path, error }) => `recovery of ${path} failed: ${error}`);
  if (running > 0) problems.push(`recovery takes ${running} dead writers for alive`);
  problems.push(...parentsMissingIn(dir));
  const homes = new Map();
  for (const file of readdirSync(dir)) {
    if (!file.endsWith(".json")) {
      problems.push(`${file} is left over`);
      continue;
    }
    const { spans } = JSON.parse(readFileSync(join(dir, file), "utf8"));
    if (spans.length === 1) problems.push(`${file} has no spans`);
    for (const { kind, name, interrupted } of spans) {
      if (kind === "session") continue;
      if (homes.has(name)) problems.push(`${name} is there twice`);
      if (interrupted && ended.has(name)) problems.push(`${name} is interrupted, which had ended`);
      homes.set(name, file.slice(0, -5));
    }
  }
  for (const name of new Set([...started, ...ended]))
    if (!homes.has(name)) problems.push(`${name} is lost, which was acknowledged`);
  // A trace whose span has named a session has no document of its own.
  for (const [name, id] of [
    ["chat", traces[0]],
    ["other chat", traces[1]],
  ])
    if ((ended.has(name) || started.has(name)) && [...homes.values()].includes(id))
      problems.push(`${id}.json is there although its trace has named a session`);
  if ((await recoverTraces(dir)).sessions.length > 0)
    problems.push("a second recovery found something to do");
  return problems;
}
