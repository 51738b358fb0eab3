/**
 * SIGKILL before the first, second, third … occurrence of each system call that a writer makes on its directory, on
 * each of its threads, until its life is complete. Everything acknowledged before must be in the document.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AcknowledgedSessions } from "../../support/acknowledged-sessions.mjs";
import { recoverAndCheck } from "../aftermath.mjs";
import { inLanes, spread } from "../lanes.mjs";
import { directoryAfter, lifeBefore, recall } from "../life-before.mjs";
import { Reader } from "../reader.mjs";
import { lacksStrace, runtimes } from "../tools.mjs";
import { changingCalls, TracedProcess } from "../traced-process.mjs";

/**
 * `before`: a life in the same directory, which may have been killed there. `mayDrop`: a cap or retention removes
 * spans. `resumes`: how often an ended session runs again.
 */
const lives = [
  { title: "start, record, publish" },
  { title: "seal, resume", resumes: 1 },
  { title: "fence, resume", resumes: 1 },
  { title: "compact", mayDrop: true },
  { title: "large" },
  { title: "durable" },
  { title: "recover a running one", life: "recover", before: "start, record, publish", killedAt: "write 13" },
  { title: "recover a sealed one", life: "recover", before: "seal, resume", killedAt: "link 1" },
  { title: "recover one in the lock", life: "recover", before: "seal, resume", killedAt: "rename 3" },
  {
    title: "resume what is dead",
    before: "start, record, publish",
    killedAt: "write 11",
    resumes: 1,
  },
  {
    title: "prune",
    before: "several to prune",
    mayDrop: true,
    prunable: ["a", "b", "c", "d"],
    resumes: 1,
  },
];
/** Kills per runtime. */
const most = { ci: 60, full: Number.POSITIVE_INFINITY };
/** Calls beyond the number of one run, because another run may make more. */
const beyond = { ci: 0, full: 1 };

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
          file: "processor/span-processor.js",
          from: /forceFlush\(\) \{/,
          to: "forceFlush() { void this.forceFlushLater(); return Promise.resolve(); }\n    forceFlushLater() {",
        },
      ],
      catches: /was flushed/,
    },
    {
      name: "a recovery that lets go before it commits",
      title: "recover a running one",
      patch: [
        {
          file: "recovery/recover-session.js",
          from: 'if (recovered.report.action === "rebuilt") {',
          to: 'removeSideFiles(fileSystem.sync, orphans, new Set());\n            if (recovered.report.action === "rebuilt") {',
        },
      ],
      catches: /lost span|has no document|was running, and is not interrupted/,
    },
  ],
});

export default ["node", "bun"].map(scenarioOf);

async function run(runtime, { size, seed, build, broken, scratch, report }) {
  const here = { runtime, build, fault: broken?.fault, scratch, beyond: beyond[size] };
  const chosen = broken ? lives.filter(({ title }) => title === (broken.title ?? lives[0].title)) : lives;
  const points = (await inLanes(chosen, (life) => pointsOf(life, here))).flat();
  const group = ({ life, threads, call }) => `${life.title} ${threads} ${call}`;
  const plans = spread(points, group, broken ? 60 : most[size], seed);
  const failures = [];
  const hits = new Set();
  let [made, killed, looks] = [0, 0, 0];
  await inLanes(plans, async (point) => {
    if (failures.some((text) => broken?.catches.test(text))) return;
    report(`${++made} of ${plans.length}`);
    const trial = await killAt(point, here);
    looks += trial.looks;
    if (trial.wasKilled) {
      killed++;
      hits.add(point);
    }
    const where = `killed before ${point.call} ${point.n} of its ${point.threads} thread in "${point.life.title}"`;
    failures.push(...trial.problems.map((problem) => `${where}: ${problem}`));
  });
  const calls = [...new Set([...hits].map(({ call }) => call))];
  if (!broken && killed < plans.length / 2) failures.push(`only ${killed} of ${plans.length} were killed`);
  const notes = [
    `${killed} kills, before ${[...hits].filter(({ isSeen }) => isSeen).length} of ` +
      `${points.filter(({ isSeen }) => isSeen).length} system calls seen; ${made - killed} lives complete; ` +
      `${looks} looks of a reader`,
    `calls: ${calls.join(", ")}; never made: ${changingCalls.filter((name) => !points.some(({ call }) => call === name)).join(", ")}`,
  ];
  return { trials: made, failures, notes };
}

/** A child in a new directory, with the files of the life before. */
function begin({ title, life = title, past }, { runtime, build, fault, scratch }, hear) {
  const dir = directoryAfter(past, scratch);
  return new TracedProcess(runtime, "lives.mjs", { life, dir, build, fault, sessions: ["alpha"] }, { hear });
}

/** All calls that a life makes on its directory, by thread: the points where it can be killed. */
async function pointsOf({ before, killedAt, ...rest }, here) {
  const life = { ...rest, past: before && (await lifeBefore(before, killedAt, here)) };
  const log = join(here.scratch.dir, `log ${life.title}`);
  const child = begin(life, here);
  await child.attach("all", [`trace=${changingCalls.join()}`], log);
  child.send("go");
  const { code } = await child.ended();
  if (code !== 0) throw new Error(`"${life.title}" fails by itself: ${child.stderr}`);
  return child.callsIn(log).flatMap(({ threads, call, count }) =>
    Array.from({ length: count + here.beyond }, (_, before) => {
      return { life, threads, call, n: before + 1, isSeen: before < count };
    }),
  );
}

async function killAt({ life, threads, call, n }, here) {
  const acknowledged = new AcknowledgedSessions();
  recall(life.past, acknowledged);
  for (const session of life.prunable ?? []) acknowledged.allowRemoval(session);
  const child = begin(life, here, (word) => acknowledged.take(word));
  const { dir } = child.plan;
  await child.attach(threads, [`trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`]);
  const { mayDrop = false, resumes = 0 } = life;
  const reader = new Reader(dir, { mayResume: resumes > 0, mayDrop }).watch();
  child.send("go");
  const { code, signal } = await child.ended();
  reader.stop();
  acknowledged.died();
  const problems = [...reader.problems];
  for (const [name, count] of reader.resumes)
    if (count > resumes) problems.push(`${name} ended and ran again ${count} times`);
  if (signal !== "SIGKILL" && code !== 0) problems.push(`it ended by itself with ${code}: ${child.stderr}`);
  for (const [verb, ...what] of child.words) {
    if (verb === "threw" || verb === "rejected") problems.push(`${verb}: ${what.join(" ")}`);
  }
  if (existsSync(dir)) problems.push(...(await recoverAndCheck(here.build, dir, acknowledged, { mayDrop })));
  return { problems, wasKilled: signal === "SIGKILL", looks: reader.looks };
}
