/**
 * SIGKILL before the first, second, third … occurrence of each system call that a writer makes on its directory, on
 * each of its threads, until its life is complete. What it had acknowledged by then must be in the document.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Acknowledged } from "../acknowledged.mjs";
import { recoverAndCheck } from "../aftermath.mjs";
import { inLanes, sampled } from "../lanes.mjs";
import { Reader } from "../reader.mjs";
import { lacksStrace, runtimes } from "../tools.mjs";
import { changingCalls, TracedProcess } from "../traced-process.mjs";

/** `before`: a life that was killed in the same directory; `mayDrop`: a cap or retention takes spans away. */
const lives = [
  { life: "start, record, publish" },
  { life: "seal, resume" },
  { life: "fence, resume" },
  { life: "compact", mayDrop: true },
  { life: "recover", before: { life: "start, record, publish", killAt: 13 } },
  { life: "recover", before: { life: "seal, resume", killAt: 10 } },
  { life: "resume what is dead", before: { life: "start, record, publish", killAt: 11 } },
  { life: "prune", before: { life: "several to prune" }, mayDrop: true, prunable: ["a", "b", "c", "d"] },
];
const sessions = ["alpha", "a", "b", "c", "d"];
/** Kills per runtime. */
const most = { ci: 70, full: Number.POSITIVE_INFINITY };
/** Past the number of a call that one run saw: another may make more. */
const beyond = 2;

const scenarioOf = (runtime) => ({
  name: `kill-${runtime}`,
  title: `${runtimes[runtime].title}: SIGKILL before each system call`,
  promise: "P1 P2 P5",
  needs: () => runtimes[runtime].lacks() ?? lacksStrace(),
  run: (context) => run(runtime, context),
  brokenWriters: [
    { name: "one that writes its document in place", fault: "writes in place", catches: /does not parse/ },
    {
      name: "one that records a turn later",
      fault: "records later",
      catches: /which had ended|is interrupted/,
    },
    {
      name: "a flush that resolves before its commit",
      patch: [
        {
          file: "span-processor.js",
          from: /forceFlush\(\) \{/,
          to: "forceFlush() { void this.forceFlushLater(); return Promise.resolve(); }\n    forceFlushLater() {",
        },
      ],
      catches: /was flushed/,
    },
    {
      name: "a recovery that lets go before it commits",
      lives: ["recover"],
      patch: [
        {
          file: "recover.js",
          from: 'if (rebuilt.report.action === "rebuilt") {',
          to: 'removeSideFiles(calls, dead, new Set());\n            if (rebuilt.report.action === "rebuilt") {',
        },
      ],
      catches: /lost span|has no document/,
    },
  ],
});

export default ["node", "bun"].map(scenarioOf);

async function run(runtime, { size, seed, build, broken, scratch, report }) {
  const here = { runtime, build, fault: broken?.fault, scratch };
  const chosen = broken
    ? lives.filter(({ life }) => (broken.lives ?? [lives[0].life]).includes(life))
    : lives;
  const points = (await inLanes(chosen, (life) => pointsOf(life, here))).flat();
  const plans = sampled(points, broken ? 50 : most[size], seed);
  const failures = [];
  const hits = new Set();
  let [killed, looks] = [0, 0];
  await inLanes(plans, async (point, index) => {
    if (failures.some((text) => broken?.catches.test(text))) return;
    report(`${index} of ${plans.length}`);
    const trial = await killAt(point, here);
    looks += trial.looks;
    if (trial.wasKilled) {
      killed++;
      hits.add(keyOf(point));
    }
    const where = `killed before ${point.call} ${point.n} of its ${point.threads} thread in "${point.life.life}"`;
    failures.push(...trial.problems.map((problem) => `${where}: ${problem}`));
  });
  const calls = [...new Set(points.filter((point) => hits.has(keyOf(point))).map(({ call }) => call))];
  if (!broken && killed < plans.length / 2) failures.push(`only ${killed} of ${plans.length} were killed`);
  const notes = [
    `${killed} kills at ${hits.size} of ${points.filter(({ isSeen }) => isSeen).length} system calls seen, ` +
      `${plans.length - killed} lives complete; ${looks} looks of a reader`,
    `calls: ${calls.join(", ")}`,
  ];
  return { trials: plans.length, failures, notes };
}

const keyOf = ({ life, threads, call, n }) => `${lives.indexOf(life)} ${threads} ${call} ${n}`;

/** All calls that a life makes on its directory, by thread: where it can be killed. */
async function pointsOf(life, here) {
  const points = [];
  for (const threads of ["main", "pool"]) {
    const log = join(here.scratch.dir, `log ${lives.indexOf(life)} ${threads}`);
    const child = await begin(life, here);
    await child.attach(threads, [`trace=${changingCalls.join()}`], log);
    child.tell("go");
    const { code } = await child.ended();
    if (code !== 0) throw new Error(`"${life.life}" fails by itself: ${child.stderr}`);
    const counts = new Map();
    // A number that a thread was interrupted at is told in two lines.
    for (const [, call] of readFileSync(log, "utf8").matchAll(/^(?:\d+ +)?([a-z0-9_]+)\(/gm)) {
      counts.set(call, (counts.get(call) ?? 0) + 1);
    }
    for (const [call, count] of counts) {
      for (let n = 1; n <= count + beyond; n++) points.push({ life, threads, call, n, isSeen: n <= count });
    }
  }
  return points;
}

/** A child in a new directory, in which the life before was lived. */
async function begin(life, here, hear = () => {}) {
  const dir = here.scratch.newDirectory();
  if (life.before) await liveBefore(life.before, dir, here, hear);
  return newChild(life.life, dir, here, hear);
}

const newChild = (life, dir, { runtime, build, fault }, hear) =>
  new TracedProcess(runtime, "lives.mjs", { life, dir, build, fault, sessions }, { hear });

async function liveBefore({ life, killAt }, dir, here, hear) {
  const child = newChild(life, dir, here, hear);
  await child.heard("ready");
  if (killAt) await child.attach("main", ["trace=write", `inject=write:signal=SIGKILL:when=${killAt}`]);
  child.tell("go");
  const { signal } = await child.ended();
  if (killAt && signal !== "SIGKILL") throw new Error(`"${life}" has no write ${killAt} to be killed at`);
}

async function killAt({ life, threads, call, n }, here) {
  const said = new Acknowledged();
  const child = await begin(life, here, (word) => said.take(word));
  // What the life before said is settled.
  const { dir } = child.plan;
  await child.attach(threads, [`trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`]);
  const mayDrop = life.mayDrop === true;
  const reader = new Reader(dir, { mayResume: true, mayDrop }).watch();
  if (life.before) said.died();
  for (const session of life.prunable ?? []) said.allowRemoval(session);
  child.tell("go");
  const { code, signal } = await child.ended();
  reader.stop();
  said.died();
  const problems = [...reader.problems];
  if (signal !== "SIGKILL" && code !== 0) problems.push(`it ended by itself with ${code}: ${child.stderr}`);
  for (const [verb, ...what] of child.words) {
    if (verb === "threw" || verb === "rejected") problems.push(`${verb}: ${what.join(" ")}`);
  }
  if (existsSync(dir)) problems.push(...(await recoverAndCheck(here.build, dir, said, { mayDrop })));
  return { problems, wasKilled: signal === "SIGKILL", looks: reader.looks };
}
