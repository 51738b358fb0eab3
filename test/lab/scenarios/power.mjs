/**
 * The power of a real disk fails while a process writes to it: ext4 and XFS in a file, shut down at random times
 * and right after a rename; mounted again, recovered, and compared with the promises to the process.
 *
 * `interval` promises a second and the duration of one sync: here a second more, and the delay of the event loop.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FileDisk, lacksFileSystem } from "../disks.mjs";
import { dieWithLab } from "../interruption.mjs";
import { PowerLedger, readDocuments, textOf } from "../power-ledger.mjs";
import { Reader } from "../reader.mjs";

const program = fileURLToPath(new URL("../programs/power-writer.mjs", import.meta.url));
const hungMillis = 60_000;
const intervalMillis = 1_000;
const syncMillis = 1_000;

/** Mount options: those that delay and reorder the most are the hardest. */
const mounts = {
  ext4: ["defaults", "commit=300", "data=writeback,noauto_da_alloc,commit=300"],
  xfs: ["defaults"],
};

/** Milliseconds, equal in all processes. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Runs the writer. Resolves with its acknowledgements when it has ended. */
function write(plan, ledger) {
  const args = [program, JSON.stringify(plan)];
  const child = dieWithLab(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] }));
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => ledger.hear(chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, "close").then(([code]) => ({ code, stderr }));
  return { child, closed };
}

async function prepare(disk, plan, ledger) {
  const { code, stderr } = await write({ ...plan, prepares: true }, ledger).closed;
  if (code !== 0) throw new Error(`the session before it could not be written: ${stderr}`);
  disk.sync();
}

/**
 * One cut. Returns the records that were lost against a promise, and the age of the oldest loss.
 *
 * Records that are acknowledged while the cut is being made are promised by no system. `fdatasync` may succeed in
 * that moment although its bytes never arrive: the kernel checks whether the file system is shut down before it
 * waits for the log, and finds nothing to wait for in one that was shut down meanwhile (ext4
 * `jbd2_complete_transaction`, XFS `xfs_fsync_seq`). A C program that only writes, calls fdatasync and prints loses
 * a line that way in one of ten cuts, always in the last milliseconds before the cut returns (`power-control`). A
 * machine without power acknowledges nothing.
 */
async function trial({ disk, type, level, build, seed, n, isAimed, publishesSeldom }) {
  const options = mounts[type][n % mounts[type].length];
  disk.mount(options);
  const isFresh = n % 4 === 3;
  const room = disk.newDirectory(`trial ${n}`);
  const dir = join(room, "made by the writer", "traces");
  const base = new PowerLedger();
  const acknowledged = new PowerLedger();
  const ways = { flushes: !publishesSeldom, publishesSeldom, isAimed };
  const plan = { build, dir, durability: level, seed: seed + n, ...ways };
  if (isFresh) disk.sync();
  else await prepare(disk, plan, base);

  const { child, closed } = write(plan, acknowledged);
  // One of its sessions ends sometimes, and is resumed.
  const reader = new Reader(dir, { mayResume: true }).watch();
  const hung = setTimeout(() => child.kill("SIGKILL"), hungMillis);
  await new Promise((resolve) => {
    acknowledged.onWord = (word) => word === (isAimed ? "stopped" : "begun") && resolve();
    void closed.then(resolve);
  });
  const least = level === "interval" ? 2_200 : 50;
  if (!isAimed) await wait(least + Math.random() * 1_200);
  reader.stop();
  const cutAt = now();
  // Just before a cut the journal of the file system may be written, and the data not.
  const log = Math.floor(n / mounts[type].length) % 2 === 0;
  disk.cut({ log });
  child.kill("SIGKILL");
  const { stderr } = await closed;
  clearTimeout(hung);
  await disk.unmount();
  disk.mount(options);

  const problems = [...reader.problems];
  const before = readIfThere(dir);
  problems.push(...before.broken);
  const { recoverTraces } = await import(`${build}/reader.js`);
  const { failures } = await recoverTraces(dir);
  problems.push(...failures.map(({ path, error }) => `recovery of ${path} failed: ${error}`));
  const after = readIfThere(dir);
  problems.push(...after.broken);
  if (acknowledged.entries.length === 0) problems.push(`the writer recorded nothing: ${stderr}`);

  const lost = acknowledged.missing(acknowledged.entries, after.documents);
  const due = {
    process: [],
    interval: [
      ...acknowledged.flushed,
      ...acknowledged.before(cutAt - intervalMillis - syncMillis - acknowledged.lag),
    ],
    each: acknowledged.before(cutAt),
  }[level];
  const isDue = new Set(due);
  const owed = lost.filter((entry) => isDue.has(entry));
  if (owed.length > 0) problems.push(`lost ${textOf(owed)}`);
  for (const [when, { documents }] of [
    ["before", before],
    ["after", after],
  ]) {
    const gone = base.missing(base.entries, documents);
    if (gone.length > 0) problems.push(`lost of what was on the disk, ${when} recovery: ${textOf(gone)}`);
  }
  rmSync(room, { recursive: true, force: true });
  await disk.unmount();
  const where = `cut ${n}, seed ${seed}, ${type} ${options}${log ? ", log written" : ""}${isAimed ? ", aimed" : ""}`;
  return {
    failures: problems.map((problem) => `${problem} [${where}]`),
    promised: due.length + base.entries.length,
    acknowledged: acknowledged.entries.length,
    looks: reader.looks,
    lost: lost.length,
    oldest: lost.length > 0 ? cutAt - lost[0].at : 0,
  };
}

/** A directory that was never synced may be lost. */
function readIfThere(dir) {
  try {
    return readDocuments(dir);
  } catch (error) {
    if (error.code === "ENOENT") return { documents: new Map(), broken: [] };
    throw error;
  }
}

const cuts = { ci: 3, full: 50 };
const brokenCuts = 15;

const titles = {
  process: "a document is whole, older or newer",
  interval: "all but about the last second is there",
  each: "everything is there",
};

const unsynced = [
  {
    file: "platform/file-system.js",
    from: "fdatasync: (fd) => fs.fdatasyncSync(fd)",
    to: "fdatasync: () => {}",
  },
  {
    file: "platform/file-system.js",
    from: "fdatasync: (0, node_util_1.promisify)(fs.fdatasync)",
    to: "fdatasync: async () => {}",
  },
];
const brokenWriters = {
  process: [
    { name: "a rename without a sync before it", patch: unsynced },
    {
      name: "a document written in place",
      patch: [
        {
          file: "storage/commit.js",
          from: "calls.rename(claim, path);",
          to: "calls.overwrite(claim, path);",
        },
        {
          file: "platform/file-system.js",
          from: "const sync = {",
          to: "const sync = { overwrite(a, b) { fs.writeFileSync(b, fs.readFileSync(a)); fs.unlinkSync(a); },",
        },
      ],
    },
  ],
  interval: [
    {
      name: "no sync in the background",
      patch: [{ file: "directory/upkeep.js", from: "syncRecent() {", to: "syncRecent() { return;" }],
      catches: /lost \d/,
      isAimed: false,
      publishesSeldom: true,
    },
  ],
  each: [
    {
      name: "no sync of the directory after a rename",
      patch: [
        {
          file: "storage/append-log.js",
          from: /(this\.#begin\(file\);\s+)this\.#debt\.named\(\);/,
          to: "this.#begin(file);",
        },
      ],
      catches: /lost \d/,
      isAimed: true,
    },
    { name: "no sync of a record", patch: unsynced, catches: /lost \d/ },
  ],
};

const scenario = (type, level) => ({
  name: `power-${type}-${level}`,
  title: `power loss on ${type}, durability "${level}": ${titles[level]}`,
  promise: "P1 P2",
  needs: () => lacksFileSystem(type),
  // XFS writes a file that was truncated and filled again when it is closed: there the broken writer is not caught.
  brokenWriters: brokenWriters[level].filter(({ name }) => type === "ext4" || !name.endsWith("in place")),
  async run({ size, seed, build, broken, scratch, report }) {
    const disk = new FileDisk(scratch, type);
    const count = broken ? brokenCuts : cuts[size];
    const found = { failures: [], promised: 0, acknowledged: 0, looks: 0, lost: 0, oldest: 0 };
    let n = 0;
    while (n < count && !(broken && found.failures.length > 0)) {
      const isAimed = level !== "process" && (broken?.isAimed ?? n % 4 === 1);
      const publishesSeldom = broken?.publishesSeldom ?? n % 2 === 1;
      const one = await trial({ disk, type, level, build, seed, n, isAimed, publishesSeldom });
      found.failures.push(...one.failures);
      for (const key of ["promised", "acknowledged", "looks", "lost"]) found[key] += one[key];
      found.oldest = Math.max(found.oldest, one.oldest);
      n++;
      report(`${n} of ${count} cuts`);
    }
    const window = found.lost > 0 ? `; the oldest loss was ${Math.round(found.oldest)} ms old` : "";
    const seen = `${found.acknowledged} records acknowledged, ${found.promised} of them promised to be there; ${found.lost} lost; ${found.looks} looks of a reader`;
    return { trials: n, failures: found.failures, notes: [`${seen}${window}`] };
  },
});

export default Object.keys(mounts).flatMap((type) =>
  Object.keys(titles).map((level) => scenario(type, level)),
);
