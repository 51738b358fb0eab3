/**
 * Every parser, with input that nobody meant: no throw, no hang, bounded memory, nothing lost, no prototype polluted.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fuzz } from "../fuzz-process.mjs";
import { gatherSeeds } from "../fuzz-seeds.mjs";
import { runtimes } from "../tools.mjs";

/** Beyond this an input is in a file of its own. */
const shortInput = 300;

function told({ n, failure, input }, target, seed) {
  const where = `[${target}, seed ${seed}, input ${n}]`;
  if (input.length <= shortInput) return `${failure} ${where} ${input}`;
  const file = join(mkdtempSync(join(tmpdir(), "fuzz-input-")), "input.json");
  writeFileSync(file, input);
  return `${failure} ${where} ${file}`;
}

function fuzzing(target, runtime, counts) {
  return async ({ size, seed, build, broken, scratch, report }) => {
    // In memory where there is a file system for it: thousands of recoveries need no disk.
    const dir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : scratch.dir, "fuzz-"));
    scratch.after(() => rmSync(dir, { recursive: true, force: true }));
    const seeds = await gatherSeeds(build, scratch.newDirectory());
    const count = broken?.inputs ?? counts[size];
    const plan = {
      build,
      target,
      seed,
      count,
      seeds,
      dir,
      ...(broken && { mostFailures: 1, minimiseMillis: 500 }),
    };
    const {
      failures,
      trials,
      blocks,
      corpus,
      seeds: given,
      peak,
    } = await fuzz(plan, runtime, (n) => report(`${n} of ${count}`));
    const guided = blocks > 0 ? `${blocks} blocks reached, ` : "";
    const note = `${guided}${corpus - given} inputs kept beside ${given} seeds, at most ${Math.round(peak / 1e6)} MB`;
    return { trials, failures: failures.map((one) => told(one, target, seed)), notes: [note] };
  };
}

const { node } = runtimes;

export default [
  {
    name: "fuzz-documents",
    title: "documents that nobody wrote",
    promise: "P1 P6 P7",
    needs: node.lacks,
    run: fuzzing("documents", node, { ci: 600, full: 8_000 }),
    brokenWriters: [],
  },
  {
    name: "fuzz-side-files",
    title: "side files that nobody wrote",
    promise: "P2 P6 P7",
    needs: node.lacks,
    run: fuzzing("side-files", node, { ci: 600, full: 8_000 }),
    brokenWriters: [],
  },
];
