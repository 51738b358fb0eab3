/**
 * The promises under Windows' rules, by Wine: kills before each call, files that were cut, peer writers, readers that hold
 * documents open in a loop, process hooks, and recovery, all on Node for Windows. `test/lab/wine.mjs` says what Wine is not.
 */
import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { inLanes, spread } from "../lanes.mjs";
import { problemOf } from "../reader.mjs";
import { lacksWine, WindowsProcess, windowsPath } from "../wine.mjs";

const kills = {
  name: "windows-kills",
  title: "Node for Windows is killed before each call that changes a directory, and recovered there",
  promise: "P2 P12",
  needs: lacksWine,
  run: killed,
  brokenWriters: [
    {
      name: "one that removes the append log before the document has its name",
      patch: [
        {
          file: "storage/seal.js",
          from: "if (!ground?.refuses",
          to: "writer.journal.rewrite(); ports.fileSystem.sync.unlink(log.path); if (!ground?.refuses",
        },
      ],
      catches: /is lost|rejected/,
    },
  ],
};

const most = { ci: 4, full: 200 };

async function killed({ size, seed, build, broken, scratch, report }) {
  const newDir = () => scratch.newDirectory();
  const plans = [];
  // What a whole life calls, and the lives that no kill ends: a process hook, an exit, two peer writers.
  const whole = await run("whole", { build, dir: newDir() }, scratch);
  const results = [whole];
  const [, counts = {}] = whole.words.find(([verb]) => verb === "counts") ?? [];
  for (const [call, count] of Object.entries(counts))
    for (let n = 1; n <= count; n++) plans.push({ call, n });
  const wanted = broken ? 0 : most[size];
  const points = spread(plans, ({ call }) => call, wanted, seed);
  // More kills than calls: again in the directory of an earlier life.
  while (!broken && points.length > 0 && points.length < wanted)
    points.push({ ...plans[points.length % plans.length], isLater: true });
  let made = 0;
  await inLanes(points, async ({ call, n, isLater }) => {
    report(`${++made} of ${points.length}`);
    const dir = isLater ? results[made % results.length].dir : newDir();
    const result = await run("whole", { build, dir, killBefore: { call, n }, who: `late ${made}` }, scratch);
    // The last look at a directory counts: its writers have all ended.
    const earlier = results.find((one) => one.dir === dir);
    if (earlier) earlier.words.push(...result.words);
    else results.push(result);
    if (made % 4 === 0) cut(earlier ?? result);
  });
  if (!broken) {
    results.push(await run("thrown", { build, dir: newDir() }, scratch));
    results.push(await run("left", { build, dir: newDir() }, scratch));
    results.push(await twins(build, newDir(), scratch));
  }
  const failures = await recovered(results, build, scratch);
  const rejected = whole.words.filter(([verb]) => verb === "rejected");
  failures.push(...rejected.map((word) => `in a life without faults, ${word.join(" ")}`));
  if (!broken && whole.code !== 0)
    failures.push(`a life without faults ended with ${whole.code}: ${whole.output}`);
  return {
    trials: results.length,
    failures,
    notes: [
      `${points.length} kills at ${plans.length} calls, ${results.filter(({ isCut }) => isCut).length} cut files`,
    ],
  };
}

async function run(life, plan, scratch) {
  const child = new WindowsProcess(scratch, "windows-life.mjs", { life, ...plan });
  return { dir: plan.dir, life, at: plan.killBefore, ...(await child.ended()) };
}

/** Two processes that write to one session at once. */
async function twins(build, dir, scratch) {
  const both = await Promise.all(
    ["one", "two"].map((who, seed) => run("twin", { build, dir, who, spans: 20, seed: 3 + seed }, scratch)),
  );
  return { ...both[0], words: both.flatMap(({ words }) => words) };
}

/**
 * Takes the end of an append log of the dead: its last line is torn, as by a power cut. One with a second name is the document
 * as well, which was synced.
 */
function cut(result) {
  const name = readdirSync(result.dir).find(
    (file) => file.endsWith(".open") && statSync(join(result.dir, file)).nlink === 1,
  );
  if (!name) return;
  const file = join(result.dir, name);
  truncateSync(file, Math.max(0, readFileSync(file).length - 7));
  result.isCut = true;
}

/** Recovers all directories in one process, and compares each with what its writers have acknowledged. */
async function recovered(results, build, scratch) {
  const failures = [];
  const dirs = results.map(({ dir }) => windowsPath(dir));
  const keeper = new WindowsProcess(scratch, "windows-keeper.mjs", { build, dirs }, { hungMillis: 300_000 });
  const { words, output } = await keeper.ended();
  for (const result of results) {
    const where = `in a "${result.life}" that was killed before ${result.at?.call} ${result.at?.n}`;
    const found = words.find(([, dir]) => dir === windowsPath(result.dir))?.[2];
    const problems = found ? [...found.failures] : [`no recovery: ${output}`];
    if (found?.running > 0) problems.push(`${found.running} dead writers count as alive`);
    if (found?.again > 0) problems.push("a second recovery found something to do");
    problems.push(...problemsIn(result));
    failures.push(...problems.map((problem) => `${where}: ${problem}`));
  }
  return failures;
}

/** What the documents lack, or have too much of. */
function problemsIn({ dir, words, isCut }) {
  const problems = [];
  const documents = new Map();
  for (const file of existsSync(dir) ? readdirSync(dir) : []) {
    if (!file.endsWith(".json")) {
      if (!isCut || !file.includes(".damaged.")) problems.push(`${file} is left over`);
      continue;
    }
    const text = readFileSync(join(dir, file), "utf8");
    const problem = problemOf(text);
    if (problem) problems.push(`${file} ${problem}`);
    else documents.set(file.slice(0, -5), JSON.parse(text));
  }
  const ended = new Set(words.filter(([verb]) => verb === "ended").map(([, name]) => name));
  for (const [verb, name, session] of words) {
    if (verb !== "started") continue;
    const found = documents.get(session)?.spans.filter((span) => span.name === name) ?? [];
    // A file that was cut lacks a line, and the process that was killed has journaled no end of it.
    if (found.length === 0 && !isCut) problems.push(`${name} is lost, which was acknowledged`);
    if (found.length > 1) problems.push(`${name} is there ${found.length} times`);
    if (ended.has(name) && found[0]?.interrupted && !isCut)
      problems.push(`${name} is interrupted, which had ended`);
  }
  const isFenced = words.some(([verb]) => verb === "fenced");
  if (isFenced && documents.get("beta")?.summary.status !== "crashed")
    problems.push("beta was fenced, and its document does not say so");
  return problems;
}

const readers = {
  name: "windows-readers",
  title: "a viewer on Windows opens documents in a loop and holds them, while they are published and ended",
  promise: "P1 P4 P12",
  needs: lacksWine,
  run: read,
  brokenWriters: [
    {
      name: "one that keeps its own document open",
      patch: [
        {
          file: "platform/file-system.js",
          from: 'locksOpenFiles: process.platform === "win32"',
          to: "locksOpenFiles: false",
        },
        // It would find that out by use.
        { file: "platform/ground.js", from: "if ((0, exports.isHeld)(error) &&", to: "if (false &&" },
      ],
      catches: /EPERM|is left over|is lost/,
    },
  ],
};

const looks = { ci: 300, full: 10_000 };

async function read({ size, build, broken, scratch }) {
  const dir = scratch.newDirectory();
  const hungMillis = size === "full" ? 600_000 : 60_000;
  const wanted = broken ? 50 : looks[size];
  const reader = new WindowsProcess(scratch, "windows-keeper.mjs", { dir, looks: wanted }, { hungMillis });
  const child = new WindowsProcess(scratch, "windows-life.mjs", { life: "read", dir, build }, { hungMillis });
  const [seen, written] = await Promise.all([reader.ended(), child.ended()]);
  const failures = seen.words.filter(([verb]) => verb === "problem").map(([, text]) => text);
  const [, made = 0, holds = 0] = seen.words.find(([verb]) => verb === "looked") ?? [];
  if (made < wanted) failures.push(`only ${made} looks: ${seen.output}`);
  if (written.code !== 0) failures.push(`the writer ended with ${written.code}: ${written.output}`);
  const last = written.words.filter(([verb]) => verb === "shut down" || verb === "rejected").at(-1) ?? [];
  if (last[0] !== "shut down") failures.push(`the writer did not shut down: ${last.join(" ")}`);
  const left = problemsIn({ dir, words: written.words }).filter((problem) => !problem.startsWith("enough "));
  failures.push(...left);
  const rejected = written.words.filter(([verb]) => verb === "rejected").length;
  const flushed = written.words.filter(([verb]) => verb === "flushed").length;
  return {
    trials: made,
    failures,
    notes: [
      `${made} looks, ${holds} of them held the document; ${flushed} publishes, ${rejected} were refused and tried again`,
    ],
  };
}

/** Uses of a directory that are tried. */
const uses = {
  name: "windows-uses",
  title:
    "on Windows, paths, names and line ends of every kind, resume, retention, replay, the command line and the drop-in",
  promise: "P7 P9 P12",
  needs: lacksWine,
  run: used,
  brokenWriters: [
    {
      name: "one that gives a file a name which Windows refuses",
      patch: [{ file: "platform/file-system.js", from: /refusedInNames: .*/, to: "" }],
      catches: /names that Windows reserves or refuses/,
    },
  ],
};

async function used({ build, scratch }) {
  const dir = scratch.newDirectory();
  const child = new WindowsProcess(scratch, "windows-uses.mjs", { dir, build });
  const { words, code, output } = await child.ended();
  const failures = words.filter(([verb]) => verb === "problem").map(([, text]) => text);
  const done = words.filter(([verb]) => verb === "used").map(([, name]) => name);
  if (code !== 0 || done.length + failures.length === 0) failures.push(`it ended with ${code}: ${output}`);
  return { trials: done.length + failures.length, failures, notes: [done.join(", ")] };
}

export default [kills, readers, uses];
