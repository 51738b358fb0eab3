/** The whole test suite on one runtime. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runtimes, versionOf } from "./runtimes.mjs";

const project = fileURLToPath(new URL("../../", import.meta.url));
const vitest = "node_modules/vitest/vitest.mjs";

/** Tables of fault × call, and of kinds of files: two minutes of the suite, which do not depend on the version of Node. */
export const sameOnEachNode = [
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

/**
 * Runs it, with some files left out where they are named. Resolves with the numbers of passed, failed and skipped tests,
 * and the output of a failed run.
 */
export async function runSuite(name, { env = {}, without = [] } = {}) {
  const began = performance.now();
  const excluded = without.flatMap((file) => ["--exclude", file]);
  const child = spawn(runtimes[name], [vitest, "run", ...excluded], {
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
    what: `suite on ${versionOf(name)}${without.length > 0 ? `, without ${without.length} files` : ""}`,
    passed,
    failed: failed + (isBroken || passed === 0 ? 1 : 0),
    skipped,
    seconds: (performance.now() - began) / 1000,
    output: code === 0 ? "" : output.slice(Math.max(0, output.indexOf("Failed Tests"))),
  };
}
