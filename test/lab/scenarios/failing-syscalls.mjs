/**
 * Each system call that a writer makes on its directory fails: once, or from there on until the fault passes. The host
 * sees nothing of it, no look finds a torn document, and when the fault has passed all that memory held is written.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Acknowledged } from "../acknowledged.mjs";
import { recoverAndCheck } from "../aftermath.mjs";
import { inLanes, randomOf, sampled } from "../lanes.mjs";
import { Reader } from "../reader.mjs";
import { lacks, lacksStrace, runtimes } from "../tools.mjs";
import { changingCalls, TracedProcess } from "../traced-process.mjs";

const errors = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EINTR", "EAGAIN"];
const most = { ci: 80, full: Number.POSITIVE_INFINITY };
/** Sizes at which files stop growing, so that a write is cut short before it fails. */
const limits = { ci: 15, full: 200 };
const largestFile = 6_000;

const scenarioOf = (runtime) => ({
  name: `failing-${runtime}`,
  title: `${runtimes[runtime].title}: each system call fails, once and until it passes`,
  promise: "P1 P5 P6",
  needs: () => runtimes[runtime].lacks() ?? lacksStrace() ?? lacks("prlimit") ?? lacks("bash"),
  run: (context) => run(runtime, context),
  brokenWriters: [
    {
      name: "one that drops what is refused",
      patch: [
        {
          file: "append-file.js",
          from: "this.fault = error;",
          to: "this.fault = error;\n            this.#queue = [];",
        },
      ],
      catches: /lost span|does not parse/,
    },
    {
      name: "one that takes a short write for a whole one",
      patch: [{ file: "append-file.js", from: "this.#begun += written;", to: "this.#begun = bytes.length;" }],
      catches: /does not parse|lost span|is left over/,
    },
    {
      name: "a flush that swallows its fault",
      patch: [
        {
          file: "file-exporter.js",
          from: 'return this.#bounded("forceFlush", this.#lease.directory.flush(this.#lease.user));',
          to: 'return this.#bounded("forceFlush", this.#lease.directory.flush(this.#lease.user)).catch(() => {});',
        },
      ],
      catches: /was flushed/,
    },
  ],
});

export default ["node", "bun"].map(scenarioOf);

async function run(runtime, { size, seed, build, broken, scratch, report }) {
  const here = { runtime, build, scratch };
  const faults = await faultsOf(here);
  const random = randomOf(seed);
  const short = Array.from({ length: limits[size] }, () => ({
    type: "short",
    bytes: Math.ceil(random() * largestFile),
  }));
  const plans = sampled([...sampled(faults, most[size], seed), ...short], Number.POSITIVE_INFINITY, seed);
  const failures = [];
  let [made, hit, looks] = [0, 0, 0];
  await inLanes(plans, async (fault) => {
    if (failures.some((text) => broken?.catches.test(text))) return;
    const trial = await tryOnce(fault, here);
    report(`${++made} of ${plans.length}`);
    if (trial.wasHit) hit++;
    looks += trial.looks;
    failures.push(...trial.problems.map((problem) => `${describe(fault)}: ${problem}`));
  });
  if (!broken && hit < made / 2) failures.push(`only ${hit} of ${made} faults were met`);
  const notes = [`${hit} of ${made} faults were met; ${looks} looks of a reader`];
  return { trials: made, failures, notes };
}

const describe = ({ type, call, error, n, threads, bytes }) =>
  type === "short"
    ? `files end at ${bytes} bytes`
    : `${call} ${n}${type === "forever" ? " and all after it" : ""} of the ${threads} thread: ${error}`;

/** All faults of a life: of each call, on each thread. */
async function faultsOf(here) {
  const faults = [];
  for (const threads of ["main", "pool"]) {
    const log = join(here.scratch.dir, `log ${threads}`);
    const child = newChild(here.scratch.newDirectory(), here);
    await child.attach(threads, [`trace=${changingCalls.join()}`], log);
    child.tell("go");
    await child.heard("stands");
    await child.detach();
    child.tell("clear");
    await child.ended();
    const counts = new Map();
    for (const [, call] of readFileSync(log, "utf8").matchAll(/^(?:\d+ +)?([a-z0-9_]+)\(/gm)) {
      counts.set(call, (counts.get(call) ?? 0) + 1);
    }
    for (const [call, count] of counts) {
      for (let n = 1; n <= count; n++) {
        for (const error of call === "write" ? [...errors, "0 bytes"] : errors) {
          faults.push({ type: "once", threads, call, n, error });
          // A runtime tries again by itself what a signal interrupted: for ever, if it always is.
          if (error !== "EINTR") faults.push({ type: "forever", threads, call, n, error });
        }
      }
    }
  }
  return faults;
}

function newChild(dir, { runtime, build }, options) {
  const plan = { dir, build, sessions: ["alpha"] };
  return new TracedProcess(runtime, "failing-life.mjs", plan, options);
}

async function tryOnce(fault, here) {
  const dir = here.scratch.newDirectory();
  const said = new Acknowledged();
  // Without the signal, a file that may not grow refuses a write as a full disk does.
  const wrapper = ["bash", "-c", `trap "" XFSZ; exec "$@"`, "-"];
  const child = newChild(dir, here, {
    hear: (word) => said.take(word),
    ...(fault.type === "short" && { wrapper }),
  });
  const reader = new Reader(dir, { mayResume: true }).watch();
  const log = join(here.scratch.dir, `log ${child.pid}`);
  const pass = await cause(fault, child, log);
  child.tell("go");
  await child.heard("stands");
  // A flush that resolved beside the fault had got everything through, or lied.
  const problems = said.problemsOfFlush(reader.look());
  await pass();
  child.tell("clear");
  const { code, signal } = await child.ended();
  reader.stop();
  problems.push(...reader.problems);
  if (code !== 0) problems.push(`it ended with ${signal ?? code}: ${child.stderr}`);
  for (const [verb, ...what] of child.words)
    if (verb === "threw" || verb === "broken") problems.push(what.join(" "));
  if (!child.words.some(([verb]) => verb === "complete")) problems.push("it never came to its end");
  // By itself, before any recovery.
  problems.push(...said.problemsIn(new Reader(dir).look()).map((text) => `when it was over, ${text}`));
  said.died();
  problems.push(...(await recoverAndCheck(here.build, dir, said)));
  const wasHit = fault.type === "short" || readFileSync(log, "utf8").includes("(INJECTED)");
  return { problems, wasHit, looks: reader.looks };
}

/** Brings the fault about; returns what lets it pass. */
async function cause({ type, threads, call, n, error, bytes }, child, log) {
  if (type === "short") {
    await child.heard("ready");
    limit(child, bytes);
    return () => limit(child, "unlimited");
  }
  const effect = error === "0 bytes" ? "retval=0" : `error=${error}`;
  const when = type === "forever" ? `${n}+` : n;
  await child.attach(threads, [`trace=${call}`, `inject=${call}:${effect}:when=${when}`], log);
  return () => child.detach();
}

function limit({ pid }, bytes) {
  const { status, stderr } = spawnSync("prlimit", [`--pid=${pid}`, `--fsize=${bytes}:unlimited`], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}
