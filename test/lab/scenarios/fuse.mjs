/**
 * Lives on a file system of FUSE that refuses something: inode numbers, syncs, links, renames over open files, long names. All
 * promises but that about power cuts must hold on each, with one report for each thing that is refused, and without a loop.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FuseMount, lacksFuse } from "../fuse.mjs";
import { everyLife, Life, leftAlone, problemsIn, usesOf } from "../ground-lives.mjs";
import { Reader } from "../reader.mjs";

/** The options of each ground, and what is refused there: in the words of `verify --ground`. */
const grounds = {
  "FUSE as it is": { options: ["inodes=server", "hidden"] },
  "removed files that have no fstat while they are open": { options: [] },
  "other inode numbers at each look": { options: ["inodes=new"], refused: { stableInodes: "INODES" } },
  "inode numbers that are 0": { options: ["inodes=zero"], refused: { stableInodes: "INODES" } },
  "no sync (EINVAL)": { options: ["sync=EINVAL"], refused: { sync: "EINVAL", directorySync: "EINVAL" } },
  "no sync (ENOTSUP)": { options: ["sync=ENOTSUP"], refused: { sync: "ENOTSUP", directorySync: "ENOTSUP" } },
  "no links (EACCES)": { options: ["link=EACCES"], refused: { hardLinks: "EACCES" } },
  "no links (EPERM)": { options: ["link=EPERM"], refused: { hardLinks: "EPERM" } },
  "no rename over an open file": { options: ["rename=EBUSY"], refused: { openFiles: "EBUSY" } },
  "names of 143 bytes": { options: ["names=143"], refused: { longNames: "143 bytes" } },
  'names without < > " | ? *': { options: ["characters"], refused: { nameCharacters: "EINVAL" } },
  "nothing of all this": {
    options: ["inodes=new", "sync=EINVAL", "link=EACCES", "rename=EBUSY", "names=143", "characters"],
    refused: {
      stableInodes: "INODES",
      sync: "EINVAL",
      directorySync: "EINVAL",
      hardLinks: "EACCES",
      openFiles: "EBUSY",
      longNames: "143 bytes",
      nameCharacters: "EINVAL",
    },
  },
};

/** A fence waits at most 500 ms in all. Its system calls come on top, on a machine that does other things as well. */
const longestFenceMillis = 3_000;

/** Calls of the kernel during one whole life: 400 on the ground that refuses nothing, and fewer than 900 on the others. */
const mostCalls = 2_000;

/** One whole life without a reader beside it: what it reports, and how many calls it makes. */
async function reported(mount, { build }, refused) {
  const before = await mount.calls();
  const life = await new Life({ build }, join(mount.dir, "reports"), "whole").ended();
  const calls = (await mount.calls()) - before;
  const problems = [];
  for (const [capability, code] of Object.entries(life.refused))
    if (refused[capability] !== code) problems.push(`${capability} counts as refused (${code})`);
  const reports = life.logged.filter((text) => text.includes("works without"));
  if (reports.length !== Object.keys(life.refused).length || life.logged.length !== reports.length)
    problems.push(`the reports are ${JSON.stringify(life.logged)}`);
  if (life.faults > 0 || life.dropped > 0)
    problems.push(`${life.faults} faults, ${life.dropped} dropped spans`);
  if (calls > mostCalls) problems.push(`a whole life makes ${calls} calls`);
  return { problems, calls };
}

async function fenced(ground, dir) {
  const { spans, millis } = await new Life(ground, dir, "fence", "fenced").ended();
  const problems = problemsIn(dir, "fenced", spans, { isOpen: true, status: "crashed" });
  if (millis > longestFenceMillis) problems.push(`a crash fence takes ${Math.round(millis)} ms`);
  return problems;
}

async function livesOn({ options, refused = {} }, { build, scratch }) {
  const mount = await FuseMount.on(scratch, options);
  const dir = join(mount.dir, "traces");
  const ground = { build };
  const { problems, calls } = await reported(mount, ground, refused);
  // Of a document that was replaced since it was opened, only libfuse's hidden names keep the file.
  const isStale = (text) => !options.includes("hidden") && text.includes("-116");
  const reader = new Reader(dir, { mayResume: true }).watch();
  try {
    problems.push(...(await everyLife(ground, dir)));
    problems.push(...(await leftAlone(ground, dir)));
    problems.push(...(await fenced(ground, dir)));
  } finally {
    reader.stop();
  }
  problems.push(...reader.problems.filter((text) => !isStale(text)));
  const uses = await usesOf(ground, join(mount.dir, "uses"));
  problems.push(...uses.problems);
  const expected = JSON.stringify(Object.entries(refused).sort());
  const seen = JSON.stringify(Object.entries(uses.seen ?? {}).sort());
  if (seen !== expected) problems.push(`verify --ground sees ${seen}`);
  mount.unmount();
  return { problems, calls };
}

const lives = {
  name: "fuse-lives",
  title:
    "lives, kills, fences, recoveries, replays and commands on FUSE, which refuses one thing after the other",
  promise: "P1–P7 P12",
  needs: lacksFuse,
  async run({ size, build, broken, scratch, report }) {
    const failures = [];
    const counted = [];
    // The last one refuses everything at once.
    const names = broken?.grounds ?? Object.keys(grounds).slice(size === "full" ? 0 : -1);
    for (const name of names) {
      report(name);
      try {
        const { problems, calls } = await livesOn(grounds[name], { build, scratch });
        counted.push(`${name} (${calls} calls)`);
        failures.push(...problems.map((problem) => `${name}: ${problem}`));
      } catch (error) {
        failures.push(`${name}: ${error.message}`);
      }
    }
    return { trials: names.length, failures, notes: [counted.join("; ")] };
  },
  brokenWriters: [
    {
      name: "one that keeps documents open which it is to replace",
      grounds: ["no rename over an open file"],
      patch: [{ file: "platform/ground.js", from: "if ((0, exports.isHeld)(error) &&", to: "if (false &&" }],
      catches: /EBUSY/,
    },
    {
      name: "one that believes in inode numbers",
      grounds: ["other inode numbers at each look"],
      patch: [
        { file: "platform/ground.js", from: "probeInodes(calls, fd, path) {", to: "probeInodes() { return;" },
        {
          file: "platform/ground.js",
          from: "changesInodes(calls, path) {",
          to: "changesInodes() { return false;",
        },
      ],
      catches: /other inode numbers at each look/,
    },
  ],
};

const stuckProgram = fileURLToPath(new URL("../programs/stuck-life.mjs", import.meta.url));

/** A flush beside a directory that hangs. It takes milliseconds where nothing else runs. */
const longestFlushMillis = 5_000;

async function hang({ build, scratch }) {
  const mount = await FuseMount.on(scratch, []);
  const other = scratch.newDirectory();
  const dir = join(mount.dir, "traces");
  const life = new Life({ build, program: stuckProgram }, dir, "", other);
  await life.begun();
  await mount.holdSyncs();
  await life.next();
  // A publish is under way, and does not return.
  await mount.hasHeld();
  const { flushed, shut } = await life.next();
  const problems = [];
  for (const [what, { how, millis }] of Object.entries({ flushed, shut }))
    if (how !== "resolved" || millis > longestFlushMillis)
      problems.push(`beside a directory that hangs, ${what}: ${how} after ${millis} ms`);
  const { length: held } = new Set(mount.held);
  if (mount.held.length > 1) problems.push(`${mount.held.length} calls hang, of ${held} threads`);
  const threads = mount.held.length;
  await mount.release();
  const { last } = await life.ended();
  if (last.how !== "resolved") problems.push(`the directory that hung: ${last.how}`);
  problems.push(
    ...problemsIn(other, "other", 2),
    ...problemsIn(dir, "stuck", 2),
    ...problemsIn(dir, "stuck-3", 1),
  );
  return { problems, note: `${threads} thread hangs; the flush beside it takes ${flushed.millis} ms` };
}

async function serverDies({ build, scratch }) {
  const mount = await FuseMount.on(scratch, []);
  const dir = join(mount.dir, "traces");
  const life = new Life({ build }, dir, "stay", "stays");
  await life.begun();
  await mount.die();
  const { flushed } = await life.next();
  await mount.mountAgain([]);
  const { spans, shut, dropped } = await life.ended();
  const problems = problemsIn(dir, "stays", spans);
  if (!flushed.startsWith("rejected")) problems.push(`a flush without a mount ${flushed}`);
  if (shut !== "resolved" || dropped > 0) problems.push(`shutdown() ${shut}, ${dropped} spans dropped`);
  return { problems, note: "a server that dies and comes back costs no span" };
}

const stuck = {
  name: "fuse-stuck",
  title: "a mount whose syncs hang beside another directory, and one whose server dies and comes back",
  promise: "P5 P6 P13",
  needs: lacksFuse,
  async run({ build, broken, scratch }) {
    const trials = broken ? [hang] : [hang, serverDies];
    const results = [];
    for (const trial of trials) results.push(await trial({ build, scratch }));
    return {
      trials: trials.length,
      failures: results.flatMap(({ problems }) => problems),
      notes: results.map(({ note }) => note),
    };
  },
  brokenWriters: [
    {
      name: "one whose directories wait for each other",
      patch: [
        {
          file: "platform/work-queue.js",
          from: "return new WorkLane(",
          to: "return this.only ??= new WorkLane(",
        },
      ],
      catches: /beside a directory that hangs/,
    },
  ],
};

export default [lives, stuck];
