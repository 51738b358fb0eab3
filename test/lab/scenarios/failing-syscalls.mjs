/**
 * Each system call that a writer makes on its directory fails: once, or from there on until the fault passes. The
 * host sees nothing of it, no read finds a torn document, and when the fault has passed all records in memory are
 * written.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { AcknowledgedSessions } from "../../support/acknowledged-sessions.mjs";
import { recoverAndCheck } from "../aftermath.mjs";
import { inLanes, randomOf, spread } from "../lanes.mjs";
import { directoryAfter, lifeBefore, recall } from "../life-before.mjs";
import { Reader } from "../reader.mjs";
import { lacks, lacksStrace, runtimes } from "../tools.mjs";
import { changingCalls, lookingCalls, TracedProcess } from "../traced-process.mjs";

/** As in `kill-at-syscalls.mjs`. */
const lives = [
  { title: "publish, seal, resume", resumes: 1 },
  { title: "fence, resume", resumes: 1 },
  { title: "compact", mayDrop: true },
  { title: "durable" },
  { title: "recover", before: "start, record, publish", killedAt: "write 13" },
];
/** The errors of a call. Calls that only read neither fill a disk nor write to one. */
const errorsOf = (call) => {
  if (lookingCalls.includes(call)) return ["EIO", "EINTR", "EAGAIN"];
  const errors = ["ENOSPC", "EIO", "EDQUOT", "EROFS", "EINTR", "EAGAIN"];
  return call === "write" ? [...errors, "0 bytes"] : errors;
};
/** Faults per runtime. In the full size, each call of each life fails several times, once and from there on. */
const most = { ci: 50, full: 1_500 };
/** Sizes at which files stop growing, so that a write is cut short before the next fails. */
const limits = { ci: 20, full: 200 };
const largestFile = 6_000;

const scenarioOf = (runtime) => ({
  name: `failing-${runtime}`,
  title: `${runtimes[runtime].title}: each system call fails, once and until it passes`,
  promise: "P1 P5 P6",
  needs: () => runtimes[runtime].lacks() ?? lacksStrace() ?? lacks("prlimit") ?? lacks("bash"),
  run: (context) => run(runtime, context),
  brokenWriters: [
    {
      name: "one that writes its document in place",
      fault: "writes in place",
      catches: /does not parse/,
    },
    {
      name: "one that drops what is refused",
      patch: [
        {
          file: "storage/append-log.js",
          from: "this.#fault = error;",
          to: "this.#fault = error;\n            this.#queue = [];",
        },
      ],
      catches: /lost span|does not parse/,
    },
    {
      name: "one that takes a short write for a whole one",
      patch: [
        { file: "storage/append-log.js", from: "this.#begun += written;", to: "this.#begun = bytes.length;" },
      ],
      catches: /does not parse|lost span|is left over/,
    },
    {
      name: "a flush that swallows its fault",
      patch: [
        {
          file: "exporter/file-exporter.js",
          from: 'return this.#bounded("forceFlush", this.#flush());',
          to: 'return this.#bounded("forceFlush", this.#flush()).catch(() => {});',
        },
      ],
      catches: /was flushed/,
    },
  ],
});

export default ["node", "bun"].map(scenarioOf);

async function run(runtime, { size, seed, build, broken, scratch, report }) {
  const here = { runtime, build, fault: broken?.fault, scratch };
  const random = randomOf(seed);
  const ready = await inLanes(broken ? lives.slice(0, 1) : lives, (life) => prepared(life, here));
  const faults = ready.flatMap(({ life, calls }) => faultsOf(life, calls));
  const group = ({ life, threads, call, n, type, error }) =>
    size === "ci" ? `${life.title} ${call} ${error}` : `${life.title} ${threads} ${call} ${n} ${type}`;
  const short = Array.from({ length: limits[size] }, (_, number) => ({
    type: "short",
    life: ready[number % ready.length].life,
    bytes: Math.ceil(random() * largestFile),
    passesAt: number % 2 === 0 ? undefined : Math.ceil(random() * 25),
  }));
  const chosen = [...spread(faults, group, most[size], seed), ...short];
  const plans = spread(chosen, ({ type }) => type, chosen.length, seed);
  const failures = [];
  let [made, hit, looks] = [0, 0, 0];
  await inLanes(plans, async (fault) => {
    if (failures.some((text) => broken?.catches.test(text))) return;
    report(`${++made} of ${plans.length}`);
    const trial = await tryOnce(fault, here);
    if (trial.wasHit) hit++;
    looks += trial.looks;
    failures.push(...trial.problems.map((problem) => `${describe(fault)}: ${problem}`));
  });
  if (!broken && hit < made / 2) failures.push(`only ${hit} of ${made} faults were met`);
  const calls = [...new Set(faults.map(({ call }) => call))];
  const notes = [
    `${hit} of ${made} faults were met, of ${faults.length} possible; ${looks} looks of a reader`,
    `calls: ${calls.join(", ")}`,
  ];
  return { trials: made, failures, notes };
}

const describe = ({ life, type, call, error, n, threads, bytes, passesAt }) =>
  type === "short"
    ? `files end at ${bytes} bytes${passesAt ? `, until word ${passesAt},` : ""} in "${life.title}"`
    : `${call} ${n}${type === "forever" ? " and all after it" : ""} of the ${threads} thread in "${life.title}": ${error}`;

/** A life, with the life before it, and the calls that it makes on its directory. */
async function prepared({ before, killedAt, ...rest }, here) {
  const life = { ...rest, past: before && (await lifeBefore(before, killedAt, here)) };
  const log = join(here.scratch.dir, `log ${life.title}`);
  const child = newChild(life, here);
  await child.attach("all", [`trace=${[...changingCalls, ...lookingCalls].join()}`], log);
  child.send("go");
  await child.heard("stands");
  await child.detach();
  child.send("clear");
  const { code } = await child.ended();
  if (code !== 0) throw new Error(`"${life.title}" fails by itself: ${child.stderr}`);
  return { life, calls: child.callsIn(log) };
}

/** All faults of a life: of each call, on each thread. */
function faultsOf(life, calls) {
  const faults = [];
  for (const { threads, call, count } of calls) {
    for (let n = 1; n <= count; n++) {
      for (const error of errorsOf(call)) {
        faults.push({ type: "once", life, threads, call, n, error });
        // A runtime retries calls that a signal interrupted: for ever, if every call is interrupted.
        if (error !== "EINTR") faults.push({ type: "forever", life, threads, call, n, error });
      }
    }
  }
  return faults;
}

function newChild(life, { runtime, build, fault, scratch }, options) {
  const dir = directoryAfter(life.past, scratch);
  const plan = { life: life.title, dir, build, fault, sessions: ["alpha"] };
  return new TracedProcess(runtime, "failing-life.mjs", plan, options);
}

async function tryOnce(fault, here) {
  const { life } = fault;
  const acknowledged = new AcknowledgedSessions();
  recall(life.past, acknowledged);
  let words = 0;
  let child;
  const hear = (word) => {
    acknowledged.take(word);
    // At a random moment, because the child continues meanwhile.
    if (++words === fault.passesAt) limit(child, "unlimited");
  };
  // Without the signal, a file that may not grow refuses a write as a full disk does.
  const wrapper = ["bash", "-c", `trap "" XFSZ; exec "$@"`, "-"];
  child = newChild(life, here, { hear, ...(fault.type === "short" && { wrapper }) });
  const { dir } = child.plan;
  const { mayDrop = false, resumes = 0 } = life;
  const reader = new Reader(dir, { mayResume: resumes > 0, mayDrop }).watch();
  const log = join(here.scratch.dir, `log ${child.pid}`);
  const pass = await cause(fault, child, log);
  child.send("go");
  await child.heard("stands");
  // A flush that resolved during the fault has written everything, or it lied.
  const problems = acknowledged.problemsOfFlush(reader.look());
  await pass();
  child.send("clear");
  const { code, signal } = await child.ended();
  reader.stop();
  problems.push(...reader.problems);
  for (const [name, count] of reader.resumes)
    if (count > resumes) problems.push(`${name} ended and ran again ${count} times`);
  if (code !== 0) problems.push(`it ended with ${signal ?? code}: ${child.stderr}`);
  for (const [verb, ...what] of child.words)
    if (verb === "threw" || verb === "broken") problems.push(what.join(" "));
  if (!child.words.some(([verb]) => verb === "complete")) problems.push("it never came to its end");
  // By itself, before any recovery.
  problems.push(
    ...acknowledged.problemsIn(new Reader(dir).look()).map((text) => `when it was over, ${text}`),
  );
  // Files left by a failed unlink or rmdir, for example of a crash fence without a later call, are left to a
  // recovery.
  if (!["unlink", "rmdir"].includes(fault.call))
    for (const name of readdirSync(dir))
      if (!name.endsWith(".json")) problems.push(`${name} was left behind`);
  acknowledged.died();
  if (fault.call === "rmdir") ageLocks(dir);
  problems.push(...(await recoverAndCheck(here.build, dir, acknowledged, { mayDrop })));
  const wasHit = fault.type === "short" || readFileSync(log, "utf8").includes("(INJECTED)");
  return { problems, wasHit, looks: reader.looks };
}

/** Two hours later: a recovery leaves an empty lock alone for an hour, since another program may hold it. */
function ageLocks(dir) {
  const then = Date.now() / 1_000 - 7_200;
  for (const name of readdirSync(dir)) if (name.endsWith(".lock")) utimesSync(join(dir, name), then, then);
}

/** Causes the fault. Returns the function that ends it. */
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
