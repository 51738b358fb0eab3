/**
 * The speed lab: what recording costs, compared with alternatives.
 *
 *   npm run bench                        all workloads (see --list), some 15 minutes
 *   npm run bench -- burst document      some, by the beginning of their names
 *   npm run bench -- --quick             fewer runs of fewer spans: for trying, not for figures
 *   npm run bench -- --runtime bun       the same under another runtime: node22, node24, bun, or a path
 *   npm run bench -- --json              also written to results.json in this directory, workload by workload
 *   npm run bench -- --json --missing    only those that are not in it yet: continues a stopped run
 *   npm run bench -- --report            prints what is in it, and runs nothing; with --markdown, for a page
 *   npm run bench -- --quick --keep-baseline record burst …   takes their ratios into baseline.json
 *   npm run bench -- --quick --check     compares ratios with baseline.json; ends with 1 beyond 1.5 times
 *
 * README.md in this directory describes the method, and how to add to it.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { baselineWorkloads, compare, keepBaseline, tolerance } from "./baseline.mjs";
import { keepResult, machineLine, readResults, today } from "./results.mjs";
import { runWorkload } from "./runner.mjs";
import { findRuntime } from "./runtimes.mjs";
import { printCheck, printGoals, printLegend, printWorkload } from "./tables.mjs";
import { workloads } from "./workloads.mjs";

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    runtime: { type: "string", default: "node" },
    runs: { type: "string" },
    // Names, with commas between: see contenders.mjs.
    contenders: { type: "string" },
    json: { type: "boolean", default: false },
    missing: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
    markdown: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    "keep-baseline": { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    // Another file than results.json.
    file: { type: "string", default: fileURLToPath(new URL("results.json", import.meta.url)) },
    // Another build than this project's: of an older commit, or one that was made slow on purpose.
    build: { type: "string" },
  },
});

const isCheck = options.check || options["keep-baseline"];
/** The contenders that the check needs. */
const compared = ["alone", "floor", "ours"];

if (options.list) {
  for (const { name, title } of workloads) console.log(`${name.padEnd(14)} ${title}`);
} else if (options.report) {
  report(readResults(options.file));
} else {
  process.exitCode = await bench();
}

/** Runs the chosen workloads. Returns the exit status. */
async function bench() {
  const runtime = findRuntime(options.runtime);
  const size = options.quick ? "quick" : "full";
  const machine = machineLine();
  console.log(`${runtime.title}, ${machine}; ${today()}, ${size}`);
  const about = {
    runtime,
    runs: Number(options.runs ?? (options.quick ? 3 : 5)),
    kills: isCheck ? 0 : 1,
    only: isCheck ? compared : options.contenders?.split(","),
    isQuick: options.quick,
    build: options.build && resolve(options.build),
    show,
  };
  const kept = options.missing ? readResults(options.file)[runtime.title] : undefined;
  const known = kept?.size === size ? kept.workloads : {};
  const results = {};
  let hasFailed = false;
  const key = `${runtime.title.split(".")[0]}, ${size}`;
  for (const workload of choose(key)) {
    const { name } = workload;
    const result = known[name] ?? (await run(workload, about));
    results[name] = result;
    if (options.json) keepResult(options.file, { title: runtime.title, size, machine }, name, result);
    hasFailed ||= Object.values(result.notes).some((note) => note.startsWith("failed"));
    if (!isCheck) printWorkload(name, result);
  }
  if (!isCheck) {
    printGoals({ [runtime.title]: { workloads: results } });
    if (options.quick)
      console.log("(a quick run is for trying: goals are judged by full runs on a quiet machine)");
    printLegend();
  }
  if (options["keep-baseline"]) keepBaseline(key, results);
  if (options.check && !(await check(key, results, about))) return 1;
  return hasFailed ? 1 : 0;
}

async function run(workload, about) {
  const began = performance.now();
  const { name } = workload;
  const result = await runWorkload(workload, { ...about, show: (text) => about.show(`${name}  ${text}`) });
  about.show("");
  return { seconds: Math.round((performance.now() - began) / 1000), ...result };
}

/**
 * Whether every ratio is near the committed one. A failed ratio is measured twice again, because the machine may be
 * the cause.
 */
async function check(key, results, about) {
  let rows = compare(key, results);
  for (let again = 0; again < 2; again++) {
    const suspects = new Set(rows.filter(({ isKept }) => !isKept).map(({ workload }) => workload));
    if (suspects.size === 0) break;
    console.log(`again: ${[...suspects].join(", ")}`);
    const fresh = {};
    for (const workload of workloads)
      if (suspects.has(workload.name)) fresh[workload.name] = await run(workload, about);
    const again = compare(key, fresh);
    const sameIn = ({ workload, what }) =>
      again.find((row) => row.workload === workload && row.what === what);
    rows = rows.map((row) => (row.isKept ? row : (sameIn(row) ?? row)));
  }
  printCheck(rows, tolerance);
  return rows.length > 0 && rows.every(({ isKept }) => isKept);
}

/** The workloads of the command line, or all. For the check, those with committed ratios. */
function choose(key) {
  const unknown = wanted.filter((prefix) => !workloads.some(({ name }) => name.startsWith(prefix)));
  if (unknown.length > 0) throw new Error(`no workload is named ${unknown.join(", ")}: see --list`);
  if (wanted.length > 0)
    return workloads.filter(({ name }) => wanted.some((prefix) => name.startsWith(prefix)));
  if (!options.check) return workloads.filter(({ isSlow }) => !(options.quick && isSlow));
  const names = baselineWorkloads(key);
  if (names.length === 0) throw new Error(`baseline.json has nothing of "${key}": see --keep-baseline`);
  return workloads.filter(({ name }) => names.includes(name));
}

function report(byRuntime) {
  for (const [title, { date, machine, size, workloads: results }] of Object.entries(byRuntime)) {
    console.log(`\n${title}, ${machine}; ${date}, ${size}`);
    for (const { name } of workloads) if (results[name]) printWorkload(name, results[name]);
  }
  printGoals(byRuntime);
  printLegend();
}

function show(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text === "" ? "" : `  ${text}`}`);
}
