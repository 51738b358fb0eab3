/** Many sessions of a process with very few descriptors. */
import { join } from "node:path";
import { DiskProcess } from "../disk-process.mjs";
import { run } from "../disks.mjs";
import { readDocuments, textOf } from "../power-ledger.mjs";
import { Reader } from "../reader.mjs";
import { lacks } from "../tools.mjs";

const trials = { ci: 2, full: 20 };

/** Runs trials until there are enough, or a broken writer is caught. */
const repeat =
  (trial) =>
  async ({ size, build, broken, scratch, report }) => {
    const failures = [];
    const notes = [];
    let n = 0;
    while (n < trials[size] && !(broken && failures.length > 0)) {
      const dir = join(scratch.newDirectory(), "traces");
      const { problems, note } = await trial({ dir, build, n });
      failures.push(...problems.map((problem) => `${problem} [trial ${n}]`));
      notes.splice(0, 1, note);
      report(`${++n} of ${trials[size]}`);
    }
    return { trials: n, failures, notes };
  };

const descriptorLimit = 30;
const sessionCount = 200;

async function fewDescriptors({ dir, build }) {
  const problems = [];
  const writer = new DiskProcess({ build, dir });
  const sessions = Array.from({ length: sessionCount }, (_, i) => `session ${i}`);
  let most = 0;
  const reader = new Reader(dir).watch();
  try {
    await writer.ready();
    // Node itself needs more descriptors to load its modules.
    run("prlimit", "--pid", String(writer.pid), `--nofile=${descriptorLimit}`);
    for (let round = 0; round < 3; round++) {
      await writer.do("record", { sessions, count: 1, bytes: 300 });
      most = Math.max(most, (await writer.do("state")).descriptors || 0);
    }
    const flushed = await writer.do("flush");
    if (flushed !== "resolved") problems.push(`a flush was ${flushed}`);
    const state = await writer.do("state");
    problems.push(...state.thrown.map((text) => `it threw ${text}`));
    if (state.dropped > 0) problems.push(`it dropped ${state.dropped} spans`);
    const ended = await writer.do("shutdown");
    if (ended !== "resolved, resolved") problems.push(`the end was ${ended}`);
  } catch (error) {
    problems.push(String(error));
  } finally {
    writer.kill();
    await writer.exit;
  }
  reader.stop();
  problems.push(...reader.problems);
  const { documents, broken } = readDocuments(dir);
  problems.push(...broken);
  const lost = writer.acknowledged.missing(writer.acknowledged.entries, documents);
  if (lost.length > 0) problems.push(`lost ${textOf(lost)}`);
  return {
    problems,
    note: `${documents.size} sessions on at most ${most} descriptors of ${descriptorLimit}; ${reader.looks} looks of a reader`,
  };
}

export default [
  {
    name: "disk-descriptors",
    title: `${sessionCount} sessions under a limit of ${descriptorLimit} descriptors`,
    promise: "P6 P7",
    needs: () => lacks("prlimit"),
    run: repeat(fewDescriptors),
    brokenWriters: [
      {
        name: "a writer that gives up no descriptor",
        patch: [{ file: "directory/emfile-retry.js", from: "&& closeOne()", to: "&& false" }],
        catches: /a flush was rejected|lost \d/,
      },
    ],
  },
];
