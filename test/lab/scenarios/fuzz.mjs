/** Every parser with unexpected input: no throw, no hang, bounded memory, no lost span, no polluted prototype. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fuzz } from "../fuzz-process.mjs";
import { gatherSeeds } from "../fuzz-seeds.mjs";
import { lacks, runtimes } from "../tools.mjs";

/** A larger input is in a file of its own. */
const shortInput = 300;

function textOf({ n, failure, input }, target, seed) {
  const where = `[${target}, seed ${seed}, input ${n}]`;
  if (input.length <= shortInput) return `${failure} ${where} ${input}`;
  const file = join(mkdtempSync(join(tmpdir(), "fuzz-input-")), "input.json");
  writeFileSync(file, input);
  return `${failure} ${where} ${file}`;
}

function fuzzing(target, runtime, counts) {
  return async ({ size, seed, build, broken, scratch, report }) => {
    // In memory where a RAM disk exists: thousands of recoveries need no disk.
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
      ...(broken && { mostFailures: 1, minimiseMillis: 200, silenceMillis: 6_000 }),
    };
    const {
      failures,
      trials,
      blocks,
      corpus,
      seeds: given,
      peak,
    } = await fuzz(plan, runtime, (n) => report(`${n} of ${count}`));
    const guided = blocks > 0 ? `${blocks} blocks reached, ${corpus - given} inputs kept besides ` : "";
    const memory = peak > 0 ? `, at most ${Math.round(peak / 1e6)} MB` : "";
    const note = given === undefined ? "it did not come to its end" : `${guided}${given} seeds${memory}`;
    return { trials, failures: failures.map((one) => textOf(one, target, seed)), notes: [note] };
  };
}

const { bun, node } = runtimes;

export default [
  {
    name: "fuzz-documents",
    title: "documents of unknown programs",
    promise: "P1 P6 P7",
    needs: node.lacks,
    run: fuzzing("documents", node, { ci: 200, full: 3_000 }),
    brokenWriters: [
      {
        name: "a parser that throws",
        patch: [
          { file: "format/json-value.js", from: /catch \{\s+return undefined;/, to: "catch (e) { throw e;" },
        ],
        catches: /SyntaxError/,
      },
      {
        name: "a resume that puts nothing aside",
        patch: [
          {
            file: "storage/document-file.js",
            from: "!(yield* (0, identity_js_1.isVersion)(fileSystem, path, identity))",
            to: "true",
          },
        ],
        catches: /kept nowhere|lost/,
      },
      {
        name: "a resume that takes lines as they are",
        patch: [{ file: "storage/merge.js", from: "parse: known.length > 0", to: "parse: false" }],
        catches: /JSON|not UTF-8|kept nowhere|lost|twice/,
      },
      {
        name: "a reader that believes types",
        patch: [{ file: "format/validate.js", from: "return left ?? value", to: "return value" }],
        catches: /TypeError|kept|reported|has/,
      },
    ],
  },
  {
    name: "fuzz-side-files",
    title: "side files of unknown programs",
    promise: "P2 P6 P7",
    needs: node.lacks,
    run: fuzzing("side-files", node, { ci: 200, full: 3_000 }),
    brokenWriters: [
      {
        name: "a log reader that throws at a torn line",
        patch: [{ file: "format/journal.js", from: /catch \{\s+return false;/, to: "catch (e) { throw e;" }],
        catches: /SyntaxError/,
      },
      {
        name: "a log reader that does not get on",
        patch: [{ file: "storage/lines.js", from: "begin = end + 1;", to: "begin = end;" }],
        catches: /it hangs/,
      },
      {
        name: "a recovery that stops at rot",
        patch: [
          {
            file: "storage/merged-file.js",
            from: /if \(found === undefined \|\| ids === undefined\) \{\s+this\.#corruptLines\.push/,
            to: "if (this.#corruptLines.some(({ source }) => source === index)) return; if (found === undefined || ids === undefined) { this.#corruptLines.push",
          },
        ],
        catches: /lost/,
      },
      {
        name: "a reader that assigns keys of a file",
        patch: [
          {
            file: "format/origins.js",
            from: "(0, json_value_js_1.setOwn)(metadata, member, value)",
            to: "metadata[member] = value",
          },
        ],
        catches: /prototype was set/,
      },
    ],
  },
  {
    name: "fuzz-names",
    title: "directory entries of unknown programs",
    promise: "P6 P7 P9",
    needs: () => lacks("mkfifo"),
    run: fuzzing("names", node, { ci: 100, full: 1_000 }),
    brokenWriters: [
      {
        name: "a reader that waits for a pipe",
        patch: [{ file: "platform/file-system.js", from: "| O_NONBLOCK", to: "" }],
        catches: /it hangs/,
      },
    ],
  },
  {
    name: "fuzz-texts",
    title: "lines, ids, attributes and variables",
    promise: "P6 P9",
    needs: node.lacks,
    run: fuzzing("texts", node, { ci: 800, full: 6_000 }),
    brokenWriters: [
      {
        name: "values that are assigned to __proto__",
        patch: [{ file: "format/json-value.js", from: 'key === "__proto__"', to: "false" }],
        catches: /prototype was set/,
      },
      {
        name: "names that lead elsewhere",
        patch: [{ file: "format/file-names.js", from: "[/\\\\.:]/g", to: "[:]/g" }],
        catches: /leads out/,
      },
    ],
  },
  ...["documents", "side-files"].map((target) => ({
    name: `fuzz-${target}-bun`,
    title: `the same ${target}, with Bun and unguided`,
    promise: "P1 P2 P6",
    needs: bun.lacks,
    run: fuzzing(target, bun, { ci: 60, full: 1_000 }),
  })),
];
