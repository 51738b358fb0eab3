/** A process that fuzzes, and its watchdog: a process that hangs, or that needs too much memory, has failed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";

const program = fileURLToPath(new URL("programs/fuzzer.mjs", import.meta.url));

/** An input is at most 4 MB. Ten seconds for one input are a hang. */
const mostSilence = 15_000;
/** Limit of the heap. Node itself and the largest input several times fit in it. */
const heapMegabytes = 256;
const mostGrowth = 24 * 1024 * 1024;

/**
 * Runs the process to its end. `plan` is the argument of `fuzzer.mjs`, `dir` a scratch directory. Returns failures
 * as `{ n, failure, input }`, and the counts.
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
    const [verb, value] = JSON.parse(line);
    if (verb === "at") {
      seen.trials = value + 1;
      onProgress(seen.trials);
    }
    if (verb === "failure") failures.push(value);
    if (verb === "memory") growth = value.growth;
    if (verb === "done") Object.assign(seen, value);
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
