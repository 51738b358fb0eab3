/**
 * rename and link, write, and fdatasync take 5, 50 or 200 ms each, on any thread, while a crash fence and flushes come at
 * random moments. M1, M2 and M3 are faults of the tracer that this library replaces.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AcknowledgedSessions } from "../../support/acknowledged-sessions.mjs";
import { recoverAndCheck } from "../aftermath.mjs";
import { inLanes, randomOf, sampled } from "../lanes.mjs";
import { Reader } from "../reader.mjs";
import { lacksStrace, runtimes } from "../tools.mjs";
import { TracedProcess } from "../traced-process.mjs";

/** A first document takes its name by link(2), a later one by rename(2). */
const slowCalls = ["rename,link", "write", "fdatasync"];
const delaysMillis = [5, 50, 200];
const lives = ["M1", "M2", "M3", "flush", "flush, fence"];
/** A multiple of the kinds: of each life with each call and delay. */
const trials = { ci: 45, full: 405 };
/** They sleep most of the time. */
const lanes = 6;

const scenarioOf = (runtime) => ({
  name: `slow-${runtime}`,
  title: `${runtimes[runtime].title}: slow rename, write and fdatasync (M1, M2, M3)`,
  promise: "P3 P4 P5",
  needs: () => runtimes[runtime].lacks() ?? lacksStrace(),
  run: (context) => run(runtime, context),
  brokenWriters: [
    {
      name: "M1, an asynchronous rename under the crash flush",
      fault: "renames later",
      lives: ["M1"],
      catches: /changed after the fence/,
    },
    {
      name: "M2, a snapshot without a second one",
      fault: "forgets the tail",
      lives: ["M2"],
      catches: /no event came any more/,
    },
    {
      name: "M2, ours when only events bring a snapshot",
      patch: [
        {
          file: "directory/publish-scheduler.js",
          from: /if \(writer\.life\.isOpen && !writer\.isPublished && !isRefused\)\s+this\.#schedule\(\);/,
          to: "",
        },
        {
          file: "directory/upkeep.js",
          from: /\(0, merge_js_1\.recreateIfRemoved\)\(writer\);\s+if \(!writer\.isPublished\)\s+publisher\.changed\(\);/,
          to: "",
        },
      ],
      lives: ["M2"],
      catches: /no event came any more/,
    },
    {
      name: "M3, a final export without a fence",
      fault: "renames later",
      lives: ["M3"],
      calls: ["rename"],
      catches: /changed after the fence/,
    },
  ],
});

export default ["node", "bun"].map(scenarioOf);

async function run(runtime, { size, seed, build, broken, scratch, report }) {
  const random = randomOf(seed);
  const kinds = (broken?.lives ?? lives).flatMap((life) =>
    (broken?.calls ?? slowCalls).flatMap((call) =>
      delaysMillis.map((delayMillis) => ({ life, call, delayMillis })),
    ),
  );
  // Ends when the broken writer is caught: of M3 at every other moment.
  const count = broken ? 90 : trials[size];
  const rounds = Array.from({ length: Math.ceil(count / kinds.length) }, (_, n) =>
    sampled(kinds, kinds.length, seed + n),
  );
  const plans = rounds
    .flat()
    .slice(0, count)
    .map((plan) => ({ ...plan, fraction: random() }));
  const failures = [];
  let [made, looks, fences, beside] = [0, 0, 0, 0];
  const one = async (plan) => {
    if (failures.some((text) => broken?.catches.test(text))) return;
    const trial = await tryOnce(plan, { runtime, build, broken, scratch });
    report(`${++made} of ${plans.length}`);
    looks += trial.looks;
    fences += trial.fences.length;
    beside += trial.fences.filter(([, isPublishing]) => isPublishing).length;
    const where = `${plan.life}, each ${plan.call.replace(",", " and ")} ${plan.delayMillis} ms late (moment ${plan.fraction.toFixed(2)})`;
    failures.push(...trial.problems.map((problem) => `${where}: ${problem}`));
  };
  await inLanes(plans, one, lanes);
  return {
    trials: made,
    failures,
    notes: [`${fences} fences, ${beside} of them during a publish; ${looks} looks of a reader`],
  };
}

async function tryOnce({ life, call, delayMillis, fraction }, { runtime, build, broken, scratch }) {
  const dir = scratch.newDirectory();
  const acknowledged = new AcknowledgedSessions();
  const plan = {
    life,
    dir,
    build,
    fault: broken?.fault,
    delayMillis,
    fraction,
    patienceMillis: broken ? 3_000 : 30_000,
    sessions: ["alpha"],
  };
  const child = new TracedProcess(runtime, "slow-life.mjs", plan, {
    hear: (word) => acknowledged.take(word),
  });
  const log = join(scratch.dir, `log ${child.pid}`);
  await child.attach("all", [`trace=${call}`, `inject=${call}:delay_enter=${delayMillis * 1000}`], log);
  const reader = new Reader(dir).watch(5);
  child.send("go");
  const { code, signal } = await child.ended();
  reader.stop();
  const problems = [...reader.problems];
  if (code !== 0) problems.push(`it ended with ${signal ?? code}: ${child.stderr}`);
  const saying = (verb) => child.words.filter(([first]) => first === verb);
  if (saying("complete").length === 0) problems.push("it never came to its end");
  for (const verb of ["broken", "threw", "rejected"]) {
    problems.push(...saying(verb).map((word) => word.slice(1).join(" ")));
  }
  for (const [, text] of saying("over")) {
    if (text !== readFileSync(join(dir, "alpha.json"), "utf8"))
      problems.push("the document changed after the fence");
  }
  const calls = readFileSync(log, "utf8");
  if (!call.split(",").some((name) => calls.includes(`${name}(`))) problems.push(`no ${call} was slow`);
  acknowledged.died();
  problems.push(...(await recoverAndCheck(build, dir, acknowledged)));
  return { problems, looks: reader.looks, fences: saying("fencing") };
}
