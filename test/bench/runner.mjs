/** Runs a workload: every contender in turns, each run in a process and a directory of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { contenders } from "./contenders.mjs";

const fileAt = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Only a hanging run is longer. */
const timeoutMillis = 600_000;

/**
 * @param options `runtime`, `runs`, `kills`, `isQuick`, `build`, `only` (names of contenders), and `show(text)` for progress
 * @returns `{ samples, survivors, notes }`, each by contender
 */
export async function runWorkload(workload, options) {
  const { samples, survivors, notes } = { samples: {}, survivors: {}, notes: {} };
  const settings = workload.settings(options.isQuick);
  const chosen = contenders.filter(
    ({ name }) => (workload.contenders?.includes(name) ?? true) && (options.only?.includes(name) ?? true),
  );
  const queue = [];
  const most = workload.runs ?? options.runs;
  const hasKills = workload.kind === "spans";
  for (let round = 0; round < most + (hasKills ? options.kills : 0); round++) {
    const isKilled = round >= most;
    const shift = round % chosen.length;
    for (const contender of [...chosen.slice(shift), ...chosen.slice(0, shift)]) {
      const share = contender.share?.[workload.name] ?? {};
      if (isKilled ? round - most >= (share.kills ?? options.kills) : round >= (share.runs ?? most)) continue;
      if (isKilled && contender.name === "alone") continue;
      const spans = Math.min(settings.spans ?? 0, share.spans ?? Number.POSITIVE_INFINITY);
      if (share.why && (spans < settings.spans || share.runs < most)) notes[contender.name] = share.why;
      const job = { ...settings, spans, workload: workload.name, contender: contender.name, isKilled };
      queue.push({ contender, round, job });
    }
  }
  let done = 0;
  await drain(queue, workload, async ({ contender, round, job }) => {
    options.show(`${++done} of ${queue.length}: ${job.contender}${job.isKilled ? ", killed" : ""}`);
    try {
      const sample = await runOnce(contender, job, workload.stages, options);
      const into = job.isKilled ? survivors : samples;
      into[job.contender] = [...(into[job.contender] ?? []), { round, ...sample }];
    } catch (error) {
      notes[job.contender] = `failed: ${error.message}`;
    }
  });
  // A run is compared with the floor of the same round.
  for (const list of Object.values(samples)) list.sort((a, b) => a.round - b.round);
  return { settings: { ...settings, sessions: settings.sessions?.length }, samples, survivors, notes };
}

/** Works through a queue: one at a time, or `atOnce`, except for runs that must be alone. */
async function drain(queue, { atOnce = 1, isAlone = () => false }, work) {
  const apart = queue.filter(({ job }) => isAlone(job.contender));
  const together = queue.filter(({ job }) => !isAlone(job.contender));
  const next = async () => {
    for (let one = together.shift(); one; one = together.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  for (const one of apart) await work(one);
}

async function runOnce(contender, job, stages = [undefined], options) {
  const dir = mkdtempSync(join(tmpdir(), "crash-safe-bench-"));
  const server = contender.needsServer ? await startServer(options) : undefined;
  try {
    const given = { ...job, dir, server: server?.url };
    if (job.isKilled) {
      await runChild(given, options, true);
      const { survivors } = await runChild({ ...given, task: "count" }, options);
      return { survivors, spans: job.spans };
    }
    const sample = {};
    for (const stage of stages)
      Object.assign(sample, await runChild({ ...given, stage }, options, stage === "victim"));
    return sample;
  } finally {
    server?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The standard output of a child. A child that was to be killed must have been killed. */
function runChild(job, { runtime, build }, isKilled = false) {
  return new Promise((resolve, reject) => {
    const child = spawn(runtime.path, [...runtime.args, fileAt("child.mjs"), JSON.stringify(job)], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMillis,
      killSignal: "SIGTERM",
      env: { ...process.env, ...(build && { BENCH_BUILD: build }) },
    });
    let [out, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      errors += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const isAsMeant = isKilled ? signal === "SIGKILL" : code === 0;
      if (isAsMeant) return resolve(out === "" ? {} : JSON.parse(out));
      const why =
        signal === "SIGTERM" ? `no end after ${timeoutMillis / 1000} s` : errors.trim().slice(-2_000);
      reject(new Error(why || `ended with ${signal ?? code}`));
    });
  });
}

async function startServer({ runtime }) {
  const child = spawn(runtime.path, [fileAt("span-server.mjs")], { stdio: ["pipe", "pipe", "inherit"] });
  const [url] = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.stdout.setEncoding("utf8").once("data", (text) => resolve(text.split("\n")));
  });
  return { url, stop: () => child.stdin.end() };
}
