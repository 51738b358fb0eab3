/** The whole test suite on one runtime. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { runtimes, versionOf } from "./runtimes.mjs";

const project = fileURLToPath(new URL("../../", import.meta.url));
const vitest = "node_modules/vitest/vitest.mjs";

/** Tables of fault × call, and of kinds of files: two minutes of the suite, which do not depend on the version of Node. */
const sameOnEachNode = [
  "test/altimate/eviction.test.ts",
  "test/directory/many-sessions.test.ts",
  "test/exporter/redact-secrets.test.ts",
  "test/promises/cut-at-every-byte.test.ts",
  "test/promises/faults.test.ts",
  "test/promises/flipped-bytes.test.ts",
  "test/promises/refused-operations.test.ts",
  "test/promises/taken-back-verdict.test.ts",
  "test/recovery/hostile-directory.test.ts",
  "test/recovery/recovery-faults.test.ts",
];

/** Every `parts`-th file of the suite from that of this number on, without those that do not depend on the version of Node. */
export function partOfSuite(number, parts) {
  const files = readdirSync(`${project}test`)
    .flatMap((room) => readdirSync(`${project}test/${room}`).map((name) => `test/${room}/${name}`))
    .filter((path) => path.endsWith(".test.ts") && !sameOnEachNode.includes(path));
  return files.sort().filter((_, index) => index % parts === number);
}

/** Runs all files, or some. Resolves with the numbers of passed, failed and skipped tests, and the output of a failed run. */
export async function runSuite(name, { env = {}, files = [] } = {}) {
  const began = performance.now();
  const child = spawn(runtimes[name], [vitest, "run", ...files], {
    cwd: project,
    env: { ...process.env, NO_COLOR: "1", THIS_RUNTIME_ONLY: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
    });
  const [code] = await once(child, "close");
  const count = (word) => Number(new RegExp(`^ *Tests .*?(\\d+) ${word}`, "m").exec(output)?.[1] ?? 0);
  const [passed, failed, skipped] = ["passed", "failed", "skipped"].map(count);
  const isBroken = code !== 0 && failed === 0;
  return {
    what: `suite on ${versionOf(name)}${files.length > 0 ? `, ${files.length} files` : ""}`,
    passed,
    failed: failed + (isBroken || passed === 0 ? 1 : 0),
    skipped,
    seconds: (performance.now() - began) / 1000,
    output: code === 0 ? "" : output.slice(Math.max(0, output.indexOf("Failed Tests"))),
  };
}
