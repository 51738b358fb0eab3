/** A process that fuzzes, and what watches it: one that hangs, or that needs too much memory, has failed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";

const program = fileURLToPath(new URL("programs/fuzzer.mjs", import.meta.url));

/** An input is at most 4 MB; ten seconds for one is no slowness any more. */
const mostSilence = 15_000;
/** Of the heap; what Node itself needs, and the largest input some times over, fit in it. */
const heapMegabytes = 256;
const mostGrowth = 24 * 1024 * 1024;

/**
 * Runs it to its end.
 *
 * @param plan what `fuzzer.mjs` wants; `dir` is a scratch directory
 * @returns failures as `{ n, failure, input }`, and what was seen
 */
export async function fuzz(plan, runtime, onProgress = () => {}) {
  const { silenceMillis = mostSilence } = plan;
  const current = join(plan.dir, "current.json");
  const file = join(plan.dir, "plan.json");
  writeFileSync(file, JSON.stringify({ mostFailures: 8, minimiseMillis: 4_000, ...plan, current }));
  const flags =
    process.versions.bun || runtime.title === "Bun"
      ? []
      : [`--max-old-space-size=${heapMegabytes}`, "--expose-gc"];
  const child = dieWithLab(
    spawn(runtime.path, [...flags, program, file], { stdio: ["ignore", "pipe", "pipe"] }),
  );
  const closed = once(child, "close");
  let errors = "";
  child.stderr.on("data", (data) => {
    errors = `${errors}${data}`.slice(-3000);
  });
  const failures = [];
  const seen = { trials: 0 };
  let growth = 0;
  let isHung = false;
  const kill = () => {
    isHung = true;
    child.kill("SIGKILL");
  };
  let watchdog = setTimeout(kill, silenceMillis);
  for await (const line of createInterface({ input: child.stdout })) {
    clearTimeout(watchdog);
    watchdog = setTimeout(kill, silenceMillis);
    const [verb, said] = JSON.parse(line);
    if (verb === "at") {
      seen.trials = said + 1;
      onProgress(seen.trials);
    }
    if (verb === "failure") failures.push(said);
    if (verb === "memory") growth = said.growth;
    if (verb === "done") Object.assign(seen, said);
  }
  clearTimeout(watchdog);
  await closed;
  if (seen.blocks === undefined && plan.input === undefined) {
    const text = existsSync(current) ? readFileSync(current, "utf8") : "";
    const last = errors.match(/FATAL ERROR[^\n]*|\w*Error[^\n]*/)?.[0] ?? errors.slice(-300);
    const failure = isHung ? "it hangs" : `the process died: ${last}`;
    failures.push({ n: seen.trials - 1, failure, input: text });
  }
  if (growth > mostGrowth)
    failures.push({ n: seen.trials, failure: `the heap grew by ${Math.round(growth / 1e6)} MB`, input: "" });
  return { failures, ...seen };
}
