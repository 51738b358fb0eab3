/**
 * Two and eight processes and worker threads on one session, and on one directory, while peers recover and prune,
 * and all of them are killed, stopped and replaced at random.
 */
import { runtimes } from "../tools.mjs";
import { TwinCrew } from "../twin-crew.mjs";

const node = { kind: "writer" };
const bun = { kind: "writer", runtime: "bun" };
const threads = (count, runtime) => ({ kind: "threads", threads: count, runtime });
const recovery = { kind: "keeper" };
const maxFiles = 3;
const retention = { kind: "keeper", maxFiles };
const pruning = (writer) => ({ ...writer, maxFiles });

const one = { sessions: ["twins"], keepsOne: true, restMillis: 40 };
/** Each of eight writers does less, so that no document belongs to one writer alone. */
const crowded = { ...one, restMillis: 200 };
const many = { sessions: Array.from({ length: 16 }, (_, n) => `ses_${n}`), restMillis: 40 };

/** One crew after the other. A broken writer has some more trials. */
const crews =
  (settings, members, { ci = 24, full = 300 } = {}) =>
  async ({ size, seed, build, broken, scratch, report }) => {
    const failures = [];
    const notes = [];
    let acts = 0;
    for (let n = 0; n < (broken ? 10 : 1) && failures.length === 0; n++) {
      const crew = new TwinCrew({
        ...settings,
        ...broken?.settings,
        members,
        build,
        scratch,
        seed: seed + n,
      });
      const most = size === "ci" ? ci : full;
      report(`${most} acts of crew ${n + 1}`);
      await crew.run(most);
      failures.push(...crew.problems.map((problem) => `${problem} [seed ${seed + n}]`));
      const { killed, stopped, terminated, closed } = crew.counts;
      const { starts, ends, looks, rounds } = crew.acknowledged;
      acts += killed + stopped + terminated + closed;
      notes.push(
        `${killed} killed, ${stopped} stopped, ${terminated} threads terminated, ${closed} sessions ended; ` +
          `${ends} ends and ${starts} starts of spans acknowledged; ${rounds} rounds of recovery or retention; ` +
          `${looks} looks of a reader`,
      );
    }
    return { trials: acts, failures, notes: notes.slice(-1) };
  };

const needsBun = () => runtimes.bun.lacks();
const noLock = {
  name: "no lock",
  patch: [
    {
      file: "storage/commit.js",
      from: "lock.clear(others, liveness, isTimedOut)",
      to: "false",
    },
  ],
};
const noIdentity = {
  name: "no look at the document before it is replaced",
  patch: [
    {
      file: "storage/commit.js",
      from: /!\(0, \w+\.runSync\)\(fileSystem, \(0, \w+\.isVersion\)\(fileSystem, \(0, \w+\.documentPath\)\(request\.files\), request\.base\)\)/,
      to: "false",
    },
  ],
};
const onlyOwnLines = {
  name: "a document without the lines of peer writers",
  patch: [
    {
      file: "storage/publish.js",
      from: "yield* (0, merge_js_1.merge)(writer, published)",
      to: "writer.base.set(published, true)",
    },
  ],
};
const loses = /lost span|lost \d+ spans/;
const asksNobody = {
  name: "a recovery that does not check whether owners are alive",
  patch: [
    {
      file: "platform/liveness.js",
      from: "if (released.has(token))\n        return true;",
      to: "return true;",
    },
  ],
  catches: /which lives, is gone|is running, and was crashed/,
};
const alone = {
  name: "a recovery that does not see other writers",
  patch: [
    {
      file: "recovery/recover-session.js",
      from: /\(await run\(\(0, \w+\.hasPeerWriters\)\(ports, files, id, tokens\)\)\)/,
      to: "false",
    },
  ],
  // A document that is published again soon hides it.
  settings: { publishesSeldom: true },
  catches: /beside a living writer|and a writer lives|is running, and was crashed/,
};
const prunesAll = {
  name: "a retention that does not check for writers",
  patch: [{ file: "recovery/retention.js", from: "owned.has(one.files.name) || ", to: "" }],
  catches: /the document is gone, and a writer lives/,
};
const noLookAfterAppend = {
  name: "no look after an append whether the file was taken",
  patch: [
    { file: "storage/append-log.js", from: "isRemoved() {", to: "isRemoved() {\n        return false;" },
    {
      file: "storage/append-log.js",
      from: "checkRemoved() {",
      to: "checkRemoved() {\n        return false;",
    },
  ],
  catches: loses,
};

const linux = () => (process.platform === "linux" ? undefined : "it finds dead processes by /proc");

export default [
  {
    name: "twins-two",
    title: "Node and Bun on one session, killed and stopped during a recovery",
    promise: "P2 P7",
    needs: () => linux() ?? needsBun(),
    run: crews(one, [node, bun, recovery]),
    brokenWriters: [{ ...noIdentity, catches: loses }, { ...onlyOwnLines, catches: loses }, alone],
  },
  {
    name: "twins-eight",
    title: "eight processes on one session, killed and stopped during recoveries",
    promise: "P2 P7",
    needs: () => linux() ?? needsBun(),
    run: crews(crowded, [node, node, node, node, node, node, bun, bun, recovery, recovery]),
    brokenWriters: [{ ...noLock, catches: loses }],
  },
  {
    name: "twins-two-threads",
    title: "two threads and a process on one session, terminated and killed",
    promise: "P2 P7",
    needs: linux,
    run: crews(one, [threads(2), node, recovery]),
    brokenWriters: [asksNobody],
  },
  {
    name: "twins-eight-threads",
    title: "eight threads of two processes on one session, terminated and killed",
    promise: "P2 P7",
    needs: linux,
    run: crews(crowded, [threads(4), threads(4), recovery]),
  },
  {
    name: "twins-directory-two",
    title: `two processes on many sessions, with recovery and retention of ${maxFiles} documents`,
    promise: "P2 P7",
    needs: linux,
    run: crews(many, [node, pruning(node), recovery, retention]),
    brokenWriters: [prunesAll],
  },
  {
    name: "twins-directory-eight",
    title: `eight writers on many sessions, with recovery and retention of ${maxFiles} documents`,
    promise: "P2 P7",
    needs: () => linux() ?? needsBun(),
    run: crews(many, [
      node,
      node,
      pruning(node),
      pruning(node),
      bun,
      pruning(bun),
      threads(2),
      recovery,
      retention,
    ]),
  },
  {
    name: "twins-wrong-verdicts",
    title: "every other look at a living writer of the session finds it dead",
    promise: "P7",
    needs: linux,
    run: crews({ ...one, lies: 0.5, publishesSeldom: true }, [node, node, bun, recovery, recovery]),
    brokenWriters: [noLookAfterAppend],
  },
];
