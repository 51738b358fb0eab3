/** A memory limit kills the writer at any point: every acknowledged record is in the documents. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lacksMemoryCgroup, MemoryLimit } from "../cgroup.mjs";
import { dieWithLab } from "../interruption.mjs";
import { PowerLedger, readDocuments, textOf } from "../power-ledger.mjs";
import { Reader } from "../reader.mjs";
import { lacks } from "../tools.mjs";

const program = fileURLToPath(new URL("../programs/power-writer.mjs", import.meta.url));
const limitBytes = 160_000_000;
const hungMillis = 60_000;

async function trial({ scratch, build, seed, n }) {
  const dir = join(scratch.newDirectory(), "traces");
  const limit = new MemoryLimit(scratch, limitBytes);
  const acknowledged = new PowerLedger();
  const plan = { build, dir, durability: "process", seed: seed + n, flushes: true, leakedBytes: 500_000 };
  const [command, args] = limit.wrap(process.execPath, program, JSON.stringify(plan));
  const child = dieWithLab(spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] }));
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => acknowledged.hear(chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    stderr += chunk;
  });
  // One of its sessions ends sometimes, and is resumed.
  const reader = new Reader(dir, { mayResume: true }).watch();
  const hung = setTimeout(() => child.kill("SIGKILL"), hungMillis);
  await once(child, "close");
  clearTimeout(hung);

  reader.stop();
  const problems = [...reader.problems];
  if (!limit.hasKilled) problems.push(`the writer was not killed for its memory: ${stderr}`);
  if (acknowledged.entries.length === 0) problems.push(`the writer recorded nothing: ${stderr}`);
  await limit.remove();
  problems.push(...readDocuments(dir).broken);
  const { recoverTraces } = await import(`${build}/reader.js`);
  const { failures } = await recoverTraces(dir);
  problems.push(...failures.map(({ path, error }) => `recovery of ${path} failed: ${error}`));
  const { documents, broken } = readDocuments(dir);
  problems.push(...broken);
  const lost = acknowledged.missing(acknowledged.entries, documents);
  if (lost.length > 0) problems.push(`lost ${textOf(lost)}`);
  rmSync(dir, { recursive: true, force: true });
  return {
    acknowledged: acknowledged.entries.length,
    looks: reader.looks,
    failures: problems.map((problem) => `${problem} [kill ${n}, seed ${seed}]`),
  };
}

const kills = { ci: 3, full: 30 };

export default {
  name: "out-of-memory",
  title: "a memory limit kills the writer",
  promise: "P1 P2",
  needs: () => lacksMemoryCgroup() ?? lacks("sh", ["-c", "true"]),
  async run({ size, seed, build, broken, scratch, report }) {
    const failures = [];
    let [acknowledged, looks] = [0, 0];
    let n = 0;
    while (n < kills[size] && !(broken && failures.length > 0)) {
      const one = await trial({ scratch, build, seed, n });
      failures.push(...one.failures);
      acknowledged += one.acknowledged;
      looks += one.looks;
      report(`${++n} of ${kills[size]} kills`);
    }
    return {
      trials: n,
      failures,
      notes: [`${acknowledged} records acknowledged and found; ${looks} looks of a reader`],
    };
  },
  brokenWriters: [
    {
      // Later than any kill: near its limit the writer may spend seconds between an acknowledgement and the kill.
      name: "a writer that acknowledges ends long before it records them",
      patch: [
        {
          file: "directory/trace-directory.js",
          from: "const outcome = writer.recordEnd(span);",
          to: 'setTimeout(() => writer.recordEnd(span), 60_000);\n        const outcome = "written";',
        },
      ],
      catches: /lost \d+ (ended|started)/,
    },
  ],
};
