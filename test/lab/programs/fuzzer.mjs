// Tests one target with mutated inputs, guided by the blocks of the package that they reach, and prints what broke.
// Argument: a file of JSON with build, target, seed, count, seeds (base64), dir, current (the file of the input
// under test, for when this process must be killed). Prints words to stdout, one line of JSON each.
import { mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Coverage } from "../fuzz-coverage.mjs";
import { Mutations } from "../fuzz-mutations.mjs";
import { randomOf } from "../lanes.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const print = (...words) => writeSync(1, `${JSON.stringify(words)}\n`);
const coverage = await Coverage.start(plan.build);
const fromBuild = createRequire(`${plan.build}/index.js`);
const load = (file) => (file.startsWith("@") ? fromBuild(file) : import(`${plan.build}/${file}`));
const targets = {
  documents: () => import("../fuzz-documents.mjs"),
  "side-files": () => import("../fuzz-side-files.mjs"),
  names: () => import("../fuzz-names.mjs"),
  texts: () => import("../fuzz-texts.mjs"),
};
const target = await targets[plan.target]();
const { mustBeUnpolluted } = await import("../fuzz-model.mjs");
const { SystemLiveness } = await load("platform/liveness.js");
const { nodeFileSystem } = await load("platform/file-system.js");

/** A token of this machine, of a dead process: it would have started at another time. */
const liveness = new SystemLiveness(nodeFileSystem.sync);
const deadTokens = [0, 1].map(() => liveness.newToken().replace(/^([^-]+)-([^-]+)-[^-]+-/, "$1-$2-1-"));
const deadToken = (index) => deadTokens[index];

const mapFiles = (input, change) => ({
  ...input,
  files: Object.fromEntries(Object.entries(input.files).map(([part, bytes]) => [part, change(bytes)])),
});
const toText = (input) => JSON.stringify(mapFiles(input, (bytes) => bytes.toString("base64")));
const fromText = (text) => mapFiles(JSON.parse(text), (base64) => Buffer.from(base64, "base64"));

const slowMillis = 5_000;
let late;
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => {
    late = error;
  });

let runs = 0;
/** The failure of this input, or `undefined`. */
async function failureOf(input) {
  const dir = join(plan.dir, String(++runs));
  mkdirSync(dir);
  late = undefined;
  const began = performance.now();
  try {
    await target.run(input, { dir, load, deadToken });
    await new Promise((resolve) => setImmediate(resolve));
    if (late) throw late;
    mustBeUnpolluted();
    const millis = performance.now() - began;
    if (millis > slowMillis) return `it took ${Math.round(millis)} ms`;
    return undefined;
  } catch (error) {
    return textOf(error);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function textOf(error) {
  const { cause } = error ?? {};
  const where = /build\/([\w/-]+\.js):\d+/.exec(String((cause ?? error)?.stack))?.[1] ?? "";
  const because = cause ? ` (${cause})` : "";
  return `${error?.name === "Error" ? error.message : error}${because}${where && ` in ${where}`}`.slice(
    0,
    400,
  );
}

/** Equal failures have one cause, as a rule. */
const kindOf = (failure) =>
  failure.replace(/0x[\da-f]+|[\da-f]{8,}|\d+|"[^"]*"|\[[^\]]*\]/g, "#").slice(0, 80);

/** A smaller input with the same failure, within a limited time. */
async function minimised(input, kind) {
  let least = input;
  const until = performance.now() + plan.minimiseMillis;
  for (const part of Object.keys(input.files)) {
    for (let size = Math.ceil(least.files[part].length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < least.files[part].length && performance.now() < until; ) {
        const bytes = least.files[part];
        const without = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)]);
        const smaller = { ...least, files: { ...least.files, [part]: without } };
        print("at", runs);
        const failure = await failureOf(smaller);
        if (failure !== undefined && kindOf(failure) === kind) least = smaller;
        else at += size;
      }
    }
  }
  return least;
}

if (plan.input) {
  print("failure", { n: 0, failure: await failureOf(fromText(plan.input)), input: plan.input });
  process.exit(0);
}

const random = randomOf(plan.seed);
const killed = plan.seeds.killed.map(
  (files) => mapFiles({ files }, (text) => Buffer.from(text, "base64")).files,
);
const documents = plan.seeds.documents.map((base64) => Buffer.from(base64, "base64"));
const corpus = target.seedsOf({ killed, documents });
const anyOf = (list) => list[Math.floor(random() * list.length)];
const mutations = new Mutations(random, () => anyOf(Object.values(anyOf(corpus).files)));
const kinds = new Set();
const seedCount = corpus.length;
let peak = 0;
let heapBefore = 0;
for (let n = 0; n < plan.count + seedCount; n++) {
  // First all seeds unchanged, then the newest input half as often as the older ones.
  const recent = corpus[corpus.length - 1 - Math.floor((random() * corpus.length) / 4)];
  const parent = corpus[n] && n < seedCount ? corpus[n] : random() < 0.5 ? recent : anyOf(corpus);
  const input = n < seedCount ? parent : target.mutate(parent, mutations);
  const text = toText(input);
  writeFileSync(plan.current, text);
  print("at", n);
  const failure = await failureOf(input);
  if (coverage.hasGrown() && n >= seedCount && text.length < 300_000) corpus.push(input);
  if (failure !== undefined && !kinds.has(kindOf(failure))) {
    kinds.add(kindOf(failure));
    const least = await minimised(input, kindOf(failure));
    print("failure", { n, failure, input: toText(least) });
    if (kinds.size >= plan.mostFailures) break;
  }
  if (n % 100 === 99) {
    globalThis.gc?.();
    const { heapUsed, rss } = process.memoryUsage();
    // After the first half: before that, code is compiled and the corpus grows.
    if (n < plan.count / 2) heapBefore = heapUsed;
    peak = Math.max(peak, rss);
    print("memory", { n, heapUsed, rss, growth: heapBefore > 0 ? heapUsed - heapBefore : 0 });
  }
}
print("done", { blocks: coverage.blocks, corpus: corpus.length, seeds: seedCount, peak });
process.exit(0);
