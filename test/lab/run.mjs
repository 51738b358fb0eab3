/**
 * The proof lab: tests every promise about crashes with real system calls, disks and power cuts.
 *
 * `npm run lab` runs all of it, `-- kill-node slow` some scenarios by the beginning of their names, `-- --ci` the
 * part that fits in ten minutes, `-- --json` prints JSON.
 *
 * README.md in this directory describes scenarios. Ends with 1 when a promise was broken, or when a scenario did
 * not catch a deliberately broken writer.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { plural } from "../support/text-output.mjs";
import { copyBuild } from "./builds.mjs";
import { scratchIn } from "./scratch.mjs";
import { print } from "./table.mjs";

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    ci: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    seed: { type: "string" },
    // Another build than this project's: an older commit, or a deliberately broken one.
    build: { type: "string" },
  },
});

const size = options.ci ? "ci" : "full";
const seed = Number(options.seed ?? Date.now() % 1_000_000);
const scenarios = await load();
const chosen = scenarios.filter(
  ({ name }) => wanted.length === 0 || wanted.some((prefix) => name.startsWith(prefix)),
);
const unknown = wanted.filter((prefix) => !scenarios.some(({ name }) => name.startsWith(prefix)));
if (unknown.length > 0 || options.list) {
  if (unknown.length > 0) console.error(`no scenario is named ${unknown.join(", ")}; there are:\n`);
  for (const { name, promise, title } of scenarios)
    console.log(`${name.padEnd(28)} ${promise.padEnd(9)} ${title}`);
  process.exit(unknown.length > 0 ? 1 : 0);
}

const root = mkdtempSync(join(tmpdir(), "proof-lab-"));
const rows = [];
try {
  const ours = copyBuild(join(root, "ours"), [], options.build);
  for (const scenario of chosen) rows.push(...(await prove(scenario, ours)));
} finally {
  rmSync(root, { recursive: true, force: true });
}

const broken = rows.filter(({ result }) => result === "FAILED");
if (options.json) console.log(JSON.stringify({ size, seed, rows }, undefined, 2));
else print(rows, { size, seed });
process.exitCode = broken.length > 0 ? 1 : 0;

/** All scenarios, in the order of their files. */
async function load() {
  const dir = fileURLToPath(new URL("scenarios/", import.meta.url));
  const files = readdirSync(dir).filter((file) => file.endsWith(".mjs"));
  const modules = await Promise.all(
    files.sort().map((file) => import(new URL(`scenarios/${file}`, import.meta.url))),
  );
  return modules.flatMap((module) => module.default);
}

/** The rows of one scenario: its result for this build, and whether it catches each broken writer. */
async function prove(scenario, ours) {
  const { name, title, promise, brokenWriters = [] } = scenario;
  const reason = await scenario.needs();
  if (reason) return [{ name, title, promise, result: "skipped", trials: 0, seconds: 0, reason }];
  const found = await timed(scenario, { title, build: ours });
  const rows = [{ name, title, promise, result: found.failures.length > 0 ? "FAILED" : "passed", ...found }];
  const tried = ofSize(brokenWriters);
  for (const writer of tried) {
    const build = writer.patch
      ? copyBuild(join(root, `${name}-${rows.length}`), writer.patch, options.build)
      : ours;
    const { trials, seconds, failures, notes } = await timed(scenario, {
      title: `… catches ${writer.name}`,
      build,
      broken: writer,
    });
    const isCaught = writer.catches
      ? failures.some((text) => writer.catches.test(text))
      : failures.length > 0;
    rows.push({
      name,
      title: `… catches ${writer.name}`,
      promise,
      trials,
      seconds,
      result: isCaught ? "passed" : "FAILED",
      failures: isCaught ? [] : ["it was not caught", ...failures.slice(0, 3)],
      notes: isCaught ? [failures.find((text) => !writer.catches || writer.catches.test(text)) ?? ""] : notes,
    });
  }
  const left = brokenWriters.length - tried.length;
  if (left > 0)
    rows[0].notes = [...(rows[0].notes ?? []), `${plural(left, "broken writer")} left to the full size`];
  return rows;
}

/** All broken writers; of all scenarios in the size of CI one of each, another one for each seed: they take half of the time. */
function ofSize(writers) {
  return size === "ci" && wanted.length === 0
    ? writers.filter((_, at) => at === seed % writers.length)
    : writers;
}

/** Runs a scenario once. A throw is a failure, too. */
async function timed(scenario, { title, build, broken }) {
  const began = performance.now();
  const scratch = scratchIn(root);
  const show = (text) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K  ${scenario.name}  ${title}  ${text}`);
  };
  show("…");
  const context = { size: broken ? "ci" : size, seed, build, broken, scratch, report: show };
  const found = { trials: 0, failures: [], notes: [] };
  try {
    Object.assign(found, await scenario.run(context));
    if (found.trials === 0) found.failures.push("not one trial was made");
  } catch (error) {
    found.failures.push(`the scenario broke: ${error?.stack ?? error}`);
  } finally {
    await scratch.remove();
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[2K");
  }
  return { ...found, seconds: (performance.now() - began) / 1000 };
}
