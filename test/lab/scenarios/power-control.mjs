/**
 * The same power cuts under writers without code of this package: they append a line, sync it, and acknowledge it.
 * The result shows what a cut means here: every line acknowledged before the cut began is in the file, and at the
 * moment of the cut a sync may succeed that never happened. So the power scenarios judge by lines acknowledged
 * before.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FileDisk, lacksFileSystem } from "../disks.mjs";
import { dieWithLab } from "../interruption.mjs";

const program = fileURLToPath(new URL("../programs/plain-writer.mjs", import.meta.url));
/** More than one writer, so that their syncs meet in the journal of the file system. */
const writers = 3;
const cuts = { ci: 3, full: 50 };

/** Starts a writer. `acknowledged` returns its lines, with the time. */
function start(path, isUnsynced) {
  const args = [program, path, ...(isUnsynced ? ["unsynced"] : [])];
  const child = dieWithLab(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] }));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  const acknowledged = () =>
    [...text.matchAll(/^(\d+) (\d+)$/gm)].map(([, n, at]) => ({ n: Number(n), at: BigInt(at) }));
  return { path, acknowledged, begun: once(child.stdout, "data"), closed: once(child, "close") };
}

/** One cut. Returns the lost lines: acknowledged before it began, and while it was made. */
async function trial(disk, n, isUnsynced) {
  disk.mount();
  const room = disk.newDirectory(`trial ${n}`);
  disk.sync();
  const running = Array.from({ length: writers }, (_, i) => start(join(room, `${i}`), isUnsynced));
  await Promise.all(running.map(({ begun }) => begun));
  await wait(50 + Math.random() * 300);
  const cutAt = process.hrtime.bigint();
  disk.cut({ log: n % 2 === 0 });
  // A write on a disk without power ends each of them.
  await Promise.all(running.map(({ closed }) => closed));
  await disk.unmount();
  disk.mount();
  const found = { acknowledged: 0, before: 0, during: 0 };
  for (const { path, acknowledged } of running) {
    const lines = new Set(linesOf(path));
    for (const { n: line, at } of acknowledged()) {
      found.acknowledged++;
      if (!lines.has(line)) found[at < cutAt ? "before" : "during"]++;
    }
  }
  rmSync(room, { recursive: true, force: true });
  await disk.unmount();
  return found;
}

function linesOf(path) {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line.length > 400)
      .map((line) => Number.parseInt(line, 10));
  } catch (error) {
    // A file that was never synced.
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

const scenario = (type) => ({
  name: `power-control-${type}`,
  title: `power loss on ${type} under a program that only writes and syncs`,
  promise: "",
  needs: () => lacksFileSystem(type),
  brokenWriters: [{ name: "one that does not sync", isUnsynced: true, catches: /before the cut/ }],
  async run({ size, broken, scratch, report }) {
    const disk = new FileDisk(scratch, type);
    const sum = { acknowledged: 0, before: 0, during: 0 };
    let n = 0;
    while (n < cuts[size] && !(broken && sum.before > 0)) {
      const found = await trial(disk, n, broken?.isUnsynced);
      for (const key of Object.keys(sum)) sum[key] += found[key];
      report(`${++n} of ${cuts[size]} cuts`);
    }
    const failures = sum.before > 0 ? [`lost ${sum.before} lines that were synced before the cut began`] : [];
    const notes = [
      `${sum.acknowledged} lines acknowledged; lost of those from before the cut ${sum.before}, from the moment of it ${sum.during}`,
    ];
    return { trials: n, failures, notes };
  },
});

export default ["ext4", "xfs"].map(scenario);
