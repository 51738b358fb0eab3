/**
 * Real disks that fail under a writer and recover: nothing throws into the host, the documents stay whole, the
 * fault is reported once and counted, and records in memory are in the documents when it has passed, also without a
 * further call.
 */
import { spawnSync } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { asNobody, faults } from "../disk-faults.mjs";
import { DiskProcess, diskProgram } from "../disk-process.mjs";
import { lacksFileSystem, lacksMount } from "../disks.mjs";
import { readDocuments, textOf } from "../power-ledger.mjs";
import { Reader } from "../reader.mjs";
import { lacks, lacksRoot } from "../tools.mjs";

/** Retries are half a second apart at first, and twice as far each time. */
const patienceMillis = { ours: 40_000, broken: 3_000 };
const sessions = ["a", "b"];
const during = ["a", "b", "born in it"];
/** Records of every size, also larger than a block. */
const spans = { count: 20, bytes: 3_000 };

async function trial({ fault, build, n, patience }) {
  const { dir, wrap } = fault;
  const writer = new DiskProcess({ build, dir }, wrap);
  // The documents are removed with the directory, or with the file in its place.
  const isThere = !["deleted", "replaced"].includes(fault.name);
  const reader = new Reader(dir, { mayResume: fault.name === "read-only-disk", mayDrop: !isThere }).watch();
  const problems = [];
  const expect = (isSo, text) => isSo || problems.push(text);
  try {
    await writer.ready();
    if (!fault.isFirst) {
      await writer.do("record", { sessions, count: 10, bytes: 500 });
      expect((await writer.do("flush")) === "resolved", "could not flush before the fault");
    }
    const kept = writer.acknowledged.entries.length;
    await fault.hit(writer, sessions);
    const look = (when, entries) => {
      const { documents, broken } = readDocuments(dir);
      problems.push(...broken.map((text) => `${when}: ${text}`));
      const lost = writer.acknowledged.missing(entries, documents);
      expect(lost.length === 0, `${when}: lost ${textOf(lost)}`);
    };
    await writer.do("record", { sessions: during, ...spans });
    const flushed = await writer.do("flush");
    expect(/^(resolved|rejected (WRITE|EXPORT)_FAILED)$/.test(flushed), `a flush was ${flushed}`);
    if (isThere && !fault.isFirst) look("while it lasts", writer.acknowledged.entries.slice(0, kept));
    const hit = await writer.do("state");
    if (!fault.isSilent) {
      expect(hit.faults > 0, "no fault was counted");
      expect(flushed !== "resolved", "a flush resolved while the disk failed");
    }

    await fault.mend(writer);
    // Every other time without a further call.
    const asks = n % 2 === 0;
    const deadline = performance.now() + patience;
    for (;;) {
      if (asks) await writer.do("flush");
      const { documents } = readIfThere(dir);
      if (writer.acknowledged.missing(writer.acknowledged.entries, documents).length === 0) break;
      if (performance.now() > deadline) break;
      await wait(100);
    }
    look(asks ? "after a flush" : "when it had passed", writer.acknowledged.entries);
    await writer.do("record", { sessions: during, count: 3, bytes: 100 });
    const state = await writer.do("state");
    const ended = await writer.do("shutdown");
    expect(ended === "resolved, resolved", `the end was ${ended}`);
    look("at the end", writer.acknowledged.entries);
    problems.push(...problemsInReports(state));
    reader.stop();
    const { looks } = reader;
    problems.push(...reader.problems);
    return { problems, acknowledged: writer.acknowledged.entries.length, faults: state.faults, looks };
  } catch (error) {
    reader.stop();
    problems.push(String(error), ...reader.problems);
    return { problems, acknowledged: writer.acknowledged.entries.length, faults: 0, looks: 0 };
  } finally {
    writer.kill();
    await writer.exit;
  }
}

/** Problems in the reports: thrown, dropped, or reported more than once. */
function problemsInReports({ thrown, reported, dropped }) {
  const problems = thrown.map((text) => `it threw ${text}`);
  if (dropped > 0) problems.push(`it dropped ${dropped} spans`);
  const codes = reported
    .filter((text) => text.includes("cannot write"))
    .map((text) => /: (E[A-Z]+)/.exec(text)?.[1]);
  for (const code of new Set(codes)) {
    const count = codes.filter((other) => other === code).length;
    if (count > 1) problems.push(`it reported ${code} ${count} times`);
  }
  return problems;
}

function readIfThere(dir) {
  try {
    return readDocuments(dir);
  } catch {
    return { documents: new Map() };
  }
}

const lacksNobody = () => {
  const reason = lacksRoot() ?? lacks("setpriv");
  if (reason) return reason;
  const [program, ...args] = [...asNobody, process.execPath, "--check", diskProgram];
  const { status } = spawnSync(program, args, { stdio: "ignore" });
  return status === 0 ? undefined : "other users may not read this checkout";
};

const noQueue = {
  name: "a writer that keeps nothing",
  patch: [
    {
      file: "storage/append-log.js",
      from: "#keep(record, place) {",
      to: '#keep(record, place) {\n        return "queued";',
    },
  ],
  catches: /lost \d/,
};
const cases = [
  {
    name: "full",
    title: "a disk of 1 MB is full, and grows",
    needs: lacksMount,
    brokenWriters: [noQueue],
  },
  { name: "inodes", title: "no inodes are left, and some are freed", needs: lacksMount },
  { name: "read-only", title: "the directory is read-only in mid-session, and back", needs: lacksMount },
  { name: "read-only-disk", title: "the disk is read-only between sessions, and back", needs: lacksMount },
  { name: "deleted", title: "the directory is deleted", needs: () => undefined },
  {
    name: "replaced",
    title: "a file takes the place of the directory, and goes",
    needs: () => undefined,
    brokenWriters: [noQueue],
  },
  {
    name: "immutable",
    title: "the directory is immutable, and back",
    needs: () => lacks("sh", ["-c", "command -v chattr"]) ?? lacksFileSystem("ext4"),
  },
  {
    name: "file-size",
    title: "files may not grow beyond a limit (EFBIG), and may again",
    needs: () => lacks("prlimit"),
    brokenWriters: [noQueue],
  },
  { name: "another-user", title: "the directory becomes another user's, and comes back", needs: lacksNobody },
  { name: "another-user-first", title: "the directory is another user's at first", needs: lacksNobody },
];

const trials = { ci: 2, full: 10 };

const scenario = ({ name, title, needs, brokenWriters }) => ({
  name: `disk-${name}`,
  title,
  promise: "P1 P6",
  needs,
  ...(brokenWriters && { brokenWriters }),
  async run({ size, build, broken, scratch, report }) {
    const failures = [];
    let acknowledged = 0;
    let [faultsSeen, looks] = [0, 0];
    let n = 0;
    while (n < trials[size] && !(broken && failures.length > 0)) {
      const fault = { name, ...faults[name](scratch) };
      const one = await trial({ fault, build, n, patience: patienceMillis[broken ? "broken" : "ours"] });
      failures.push(...one.problems.map((problem) => `${problem} [trial ${n}]`));
      acknowledged += one.acknowledged;
      faultsSeen += one.faults;
      looks += one.looks;
      report(`${++n} of ${trials[size]}`);
    }
    return {
      trials: n,
      failures,
      notes: [`${acknowledged} records; ${faultsSeen} faults counted; ${looks} looks of a reader`],
    };
  },
});

export default cases.map(scenario);
