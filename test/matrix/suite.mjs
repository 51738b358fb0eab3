/** The whole test suite on one runtime. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runtimes, versionOf } from "./runtimes.mjs";

const project = fileURLToPath(new URL("../../", import.meta.url));
const vitest = "node_modules/vitest/vitest.mjs";

/** Runs it. Resolves with the numbers of passed, failed and skipped tests, and the output of a failed run. */
export async function runSuite(name, files = []) {
  const began = performance.now();
  const child = spawn(runtimes[name], [vitest, "run", ...files], {
    cwd: project,
    env: { ...process.env, NO_COLOR: "1" },
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
    what: `suite on ${versionOf(name)}`,
    passed,
    failed: failed + (isBroken || passed === 0 ? 1 : 0),
    skipped,
    seconds: (performance.now() - began) / 1000,
    output: code === 0 ? "" : output.slice(Math.max(0, output.indexOf("Failed Tests"))),
  };
}
