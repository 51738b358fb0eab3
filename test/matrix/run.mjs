/**
 * The matrix: the whole suite on every runtime, and the packed tarball in projects of every SDK, imported in every way.
 *
 *   npm run test:matrix                 all of it
 *   npm run test:matrix -- projects     or: suite
 *   npm run test:matrix -- projects --project register     those whose names begin like this
 *   npm run test:matrix -- --ci         what CI runs after `npm test`: the suite not on this version of Node, and smaller
 *
 * Ends with 1 when something failed. On other machines than Linux x64 it says that it is skipped.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { colors, printTable, right, shortDuration } from "../support/text-output.mjs";
import { projects } from "./projects.mjs";
import { installRuntimes, runtimes } from "./runtimes.mjs";
import { partOfSuite, runSuite } from "./suite.mjs";
import { install, use } from "./use-project.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ci: { type: "boolean", default: false }, project: { type: "string", default: "" } },
});
/** Of how many files one runs in CI. All have just passed in `npm test`, on this version of Node. */
const partsOfCi = { node: 8, bun: 4 };
const here = `node${process.versions.node.split(".")[0]}`;
const wants = (part) => positionals.length === 0 || positionals.includes(part);

const reason = installRuntimes();
if (reason) {
  console.log(`SKIPPED the matrix: ${reason}`);
  process.exit(0);
}
const rows = [];
if (wants("projects")) await useProjects();
if (wants("suite")) {
  for (const name of Object.keys(runtimes)) {
    if (!values.ci) rows.push(printed(await runSuite(name)));
    else if (name !== here) rows.push(printed(await runSuite(name, suiteOfCi(name))));
  }
}
print();
process.exitCode = rows.some(({ failed }) => failed > 0) ? 1 : 0;

/** Smaller random tests, of some files: others on each version of Node. */
function suiteOfCi(name) {
  const number = Object.keys(runtimes).indexOf(name);
  const parts = name === "bun" ? partsOfCi.bun : partsOfCi.node;
  return { env: { TRIALS: "few" }, files: partOfSuite(number % parts, parts) };
}

/** Each way of each project is one test. */
async function useProjects() {
  const dir = mkdtempSync(join(tmpdir(), "matrix-"));
  try {
    const root = fileURLToPath(new URL("../../", import.meta.url));
    execFileSync("npm", ["pack", "--pack-destination", dir], { cwd: root, stdio: "pipe" });
    const tarball = join(
      dir,
      readdirSync(dir).find((name) => name.endsWith(".tgz")),
    );
    for (const [index, project] of projects.entries()) {
      if (!project.name.startsWith(values.project)) continue;
      const began = performance.now();
      const at = join(dir, `project ${index}`);
      const row = { what: project.name, passed: 0, failed: 0, skipped: 0, output: "" };
      if (values.ci && project.isLong) {
        rows.push(printed({ ...row, skipped: project.ways.length, seconds: 0 }));
        continue;
      }
      try {
        install(at, tarball, project);
        for (const way of project.ways) {
          try {
            await use(at, project, way, join(dir, "left"));
            row.passed++;
          } catch (error) {
            row.failed++;
            row.output += `${way}: ${error.message}\n`;
          }
        }
      } catch (error) {
        row.failed++;
        row.output += `it could not be installed: ${error.stderr ?? error}\n`;
      }
      rows.push(printed({ ...row, seconds: (performance.now() - began) / 1000 }));
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function printed(row) {
  if (process.stderr.isTTY) console.error(`  ${row.what}: ${row.failed > 0 ? "FAILED" : "passed"}`);
  return row;
}

function print() {
  printTable(
    ["", right("passed"), right("failed"), right("skipped"), right("time")],
    rows.map(({ what, passed, failed, skipped, seconds }) => {
      const time = shortDuration(seconds * 1_000);
      return [what, passed, failed > 0 ? colors.red(String(failed)) : failed, skipped, time];
    }),
  );
  for (const { what, output, failed } of rows) if (failed > 0) console.log(`\nFAILED ${what}\n${output}`);
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  console.log(`\nmatrix: ${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
}
