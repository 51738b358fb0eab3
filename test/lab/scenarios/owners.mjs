/**
 * Recoveries of files with real owners: whose process number was reused, who are zombies, of another boot, of
 * another pid namespace; alive and dead. And live owners whose lease expired: a wrong verdict, which loses nothing.
 */
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { recoverAndCheck } from "../aftermath.mjs";
import { Reader } from "../reader.mjs";
import { lacks, lacksRoot, runtimes } from "../tools.mjs";
import { TwinLedger } from "../twin-ledger.mjs";
import { TwinProcess } from "../twin-process.mjs";

const session = "owned";
const hungMillis = 60_000;
const inPidNamespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
/**
 * The shell becomes a program that never waits for its child. Programs that a shell starts in the background have
 * no input of their own.
 */
const unreaped = ["sh", "-c", 'exec 4<&0; "$@" <&4 & exec sleep 1000', "sh"];
const inOtherBoot = (bootId) => {
  const mount = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
  return ["unshare", "--mount", "sh", "-c", mount, bootId];
};

/** A directory, its writers, and the report of recovery about them. */
class Stage {
  dir;
  ledger = new TwinLedger();
  problems = [];
  #build;
  #runtime;
  #processes = [];
  #reader;
  #awaited = [];

  constructor({ build, scratch }, runtime) {
    this.#build = build;
    this.#runtime = runtime;
    this.dir = join(scratch.newDirectory(), "traces");
    // A wrong verdict reports them as crashed, until they publish again.
    this.#reader = new Reader(this.dir, { mayResume: true }).watch();
  }

  get looks() {
    return this.#reader.looks;
  }

  /** Starts a program. Its lines are added to the ledger, whatever writer they are of. */
  start({ program = "twin-writer.mjs", who = "writer", wrap, runtime = this.#runtime, ...more }) {
    const plan = {
      build: this.#build,
      dir: this.dir,
      who,
      seed: 1,
      sessions: [session],
      restMillis: 5,
      ...more,
    };
    const process = new TwinProcess({ runtime, program, plan, wrap }, ([from, ...words]) => {
      this.ledger.take(from, words);
      this.#awaited = this.#awaited.filter((awaits) => !awaits(from, words));
    });
    this.#processes.push(process);
    return process;
  }

  /** Resolves with the rest of this writer's line with this word. Must be called before the writer prints it. */
  word(who, verb) {
    return new Promise((resolve, reject) => {
      const hung = setTimeout(
        () =>
          reject(new Error(`${who} did not print "${verb}": ${this.#processes.map(({ stderr }) => stderr)}`)),
        hungMillis,
      );
      this.#awaited.push((from, [word, ...rest]) => {
        if (from !== who || word !== verb) return false;
        clearTimeout(hung);
        resolve(rest);
        return true;
      });
    });
  }

  /** Some more spans, so that a loss can be seen. */
  async works() {
    for (let left = 20; left > 0; left--) await this.word("writer", "ended");
  }

  async recovery() {
    const { recoverTraces } = await import(pathToFileURL(`${this.#build}/index.js`));
    return recoverTraces(this.dir);
  }

  /** Expects this number of running sessions in the report of a recovery, and this number of recovered ones. */
  expect(when, { running, sessions, failures }, expected) {
    const found = { running, recovered: sessions.length };
    for (const { error } of failures) this.problems.push(`${when}, recovery failed: ${error}`);
    for (const what of ["running", "recovered"]) {
      if (found[what] !== expected[what])
        this.problems.push(`${when}, ${found[what]} sessions are ${what}, not ${expected[what]}`);
    }
  }

  /** Sets the times of the writers' files back by two leases, as if that long had passed. */
  age() {
    const then = Date.now() / 1_000 - 120;
    for (const name of readdirSync(this.dir)) {
      if (/\.(open|live)$/.test(name)) utimesSync(join(this.dir, name), then, then);
    }
  }

  /** A day later: retention removes copies that an owner of unknown state left half built. */
  async sweepCopies() {
    const then = Date.now() / 1_000 - 86_400;
    for (const name of readdirSync(this.dir)) {
      if (name.includes(".tmp.")) utimesSync(join(this.dir, name), then, then);
    }
    const kept = this.word("sweeper", "kept");
    this.start({ program: "twin-keeper.mjs", who: "sweeper", maxFiles: 1_000 }).send({});
    await kept;
  }

  /** No process writes any more: every acknowledged record is in the documents. */
  async settle(statuses) {
    this.kill();
    await Promise.all(this.#processes.map(({ gone }) => gone));
    this.#reader.stop();
    this.ledger.died("writer");
    this.ledger.statuses = statuses ?? this.ledger.statusesAfterKill;
    this.problems.push(...this.#reader.problems, ...this.ledger.faults);
    this.problems.push(...(await recoverAndCheck(this.#build, this.dir, this.ledger)));
  }

  kill() {
    for (const process of this.#processes) process.kill();
  }
}

const running = { running: 1, recovered: 0 };
const recovered = { running: 0, recovered: 1 };

/** A host in a namespace of its own, where the lab assigns the process numbers. */
async function reusedNumber(stage, runtime) {
  const host = stage.start({
    program: "owner-namespace.mjs",
    who: "host",
    wrap: inPidNamespace,
    runtime: "node",
    path: runtimes[runtime].path,
  });
  const ask = async (...order) => {
    const done = stage.word("host", "done");
    host.send(order);
    return (await done)[0];
  };
  const begun = stage.word("writer", "begun");
  const pid = await ask("begin", "writer");
  await begun;
  await stage.works();
  stage.expect("while the writer lived", await ask("recover"), running);
  await ask("kill");
  const tries = await ask("reuse", pid);
  stage.expect("when its number was another's", await ask("recover"), recovered);
  await stage.settle();
  return `number ${pid} was given again at try ${tries}`;
}

async function zombie(stage) {
  const up = stage.word("writer", "up");
  const begun = stage.word("writer", "begun");
  stage.start({ wrap: unreaped });
  const [pid] = await up;
  await begun;
  await stage.works();
  stage.expect("while the writer lived", await stage.recovery(), running);
  process.kill(pid, "SIGKILL");
  const state = () => / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/stat`, "utf8").replace(/\(.*\)/, ""))[1];
  while (state() !== "Z") await new Promise((resolve) => setImmediate(resolve));
  stage.expect("when it was a zombie", await stage.recovery(), recovered);
  if (state() !== "Z") stage.problems.push("it was no zombie any more when it was recovered");
  await stage.settle();
}

async function otherBoot(stage, _runtime, { scratch }) {
  const bootId = join(scratch.dir, "boot_id");
  writeFileSync(bootId, "00000000-1111-4222-8333-444444444444\n");
  await unknownOwner(stage, inOtherBoot(bootId));
}

async function otherNamespace(stage) {
  const looker = stage.start({ program: "twin-keeper.mjs", who: "keeper", wrap: inPidNamespace });
  await unknownOwner(stage, inPidNamespace, async () => {
    // From the other side: a namespace that contains none of the writers.
    const kept = stage.word("keeper", "kept");
    looker.send({});
    const [{ running: count, sessions }] = await kept;
    stage.expect("seen from a third namespace", { running: count, sessions, failures: [] }, running);
  });
}

/** The state of the owner is unknown: only its lease releases its files. */
async function unknownOwner(stage, wrap, alsoWhileAlive = async () => {}) {
  const begun = stage.word("writer", "begun");
  const writer = stage.start({ wrap });
  await begun;
  await stage.works();
  stage.expect("while the writer lived", await stage.recovery(), running);
  await alsoWhileAlive();
  writer.kill();
  await writer.gone;
  stage.expect("when it was dead, within its lease", await stage.recovery(), running);
  stage.age();
  stage.expect("when its lease had run out", await stage.recovery(), recovered);
  await stage.sweepCopies();
  await stage.settle();
}

/** The owner paused for longer than its lease, is reported as dead, and continues. */
async function wrongVerdict(stage, _runtime, { scratch }) {
  const bootId = join(scratch.dir, "boot_id");
  writeFileSync(bootId, "00000000-1111-4222-8333-444444444444\n");
  const begun = stage.word("writer", "begun");
  const writer = stage.start({ wrap: inOtherBoot(bootId), publishesSeldom: true });
  await begun;
  for (let round = 0; round < 5; round++) {
    await stage.works();
    writer.stop();
    stage.age();
    stage.expect(`stopped for two minutes, round ${round}`, await stage.recovery(), recovered);
    writer.resume();
  }
  await stage.works();
  // Its later records are only in its side files.
  writer.kill();
  await writer.gone;
  stage.age();
  await stage.sweepCopies();
  // A wrong verdict may stay; and the times that were set back hide that the writer went on after it.
  await stage.settle(["crashed", "completed"]);
}

const cases = {
  "number used again": reusedNumber,
  zombie,
  "other boot": otherBoot,
  "other pid namespace": otherNamespace,
  "wrong verdict": wrongVerdict,
};
const rounds = { ci: 1, full: 6 };

export default {
  name: "owners",
  title: "a number used again, a zombie, another boot, another pid namespace, a lease that ran out",
  promise: "P2 P7",
  needs: () => lacksRoot() ?? lacks("unshare") ?? lacks("mount") ?? runtimes.bun.lacks(),
  async run({ size, build, broken, scratch, report }) {
    const failures = [];
    const notes = [];
    let [trials, looks] = [0, 0];
    const chosen = broken ? broken.cases : Object.keys(cases);
    const inRuntimes = broken ? ["node"] : ["node", "bun"];
    for (let round = 0; round < (broken ? 1 : rounds[size]); round++) {
      for (const name of chosen) {
        for (const runtime of inRuntimes) {
          report(`${name}, ${runtime}, round ${round + 1}`);
          const stage = new Stage({ build, scratch }, runtime);
          try {
            const note = await cases[name](stage, runtime, { scratch });
            if (note) notes.splice(0, 1, note);
          } finally {
            stage.kill();
          }
          failures.push(...stage.problems.map((problem) => `${name}, ${runtime}: ${problem}`));
          looks += stage.looks;
          trials++;
        }
      }
    }
    return { trials, failures, notes: [...notes, `${looks} looks of a reader`] };
  },
  brokenWriters: [
    {
      name: "an owner known by its number alone",
      cases: ["number used again"],
      patch: [{ file: "platform/liveness.js", from: "thread.started === owner.started && ", to: "" }],
      catches: /when its number was another's/,
    },
    {
      name: "zombies that live",
      cases: ["zombie"],
      patch: [{ file: "platform/liveness.js", from: 'thread.state !== "Z" && ', to: "" }],
      catches: /when it was a zombie/,
    },
    {
      name: "numbers of another pid namespace taken for ours",
      cases: ["other pid namespace"],
      patch: [{ file: "platform/liveness.js", from: "owner.scope !== this.#self.scope", to: "false" }],
      catches: /while the writer lived/,
    },
    {
      name: "no lease for an owner of unknown state",
      cases: ["other boot"],
      patch: [
        {
          file: "platform/liveness.js",
          from: "return Math.abs(nowMillis - touchedMillis) > ",
          to: "return true || ",
        },
      ],
      catches: /while the writer lived/,
    },
    {
      name: "a lease that never ends",
      cases: ["other boot"],
      patch: [
        {
          file: "platform/liveness.js",
          from: "const usualLeaseMillis = 60_000;",
          to: "const usualLeaseMillis = Infinity;",
        },
      ],
      catches: /when its lease had run out/,
    },
    {
      name: "no look after an append whether the file was taken",
      cases: ["wrong verdict"],
      patch: [
        { file: "storage/append-log.js", from: "isRemoved() {", to: "isRemoved() {\n        return false;" },
        {
          file: "storage/append-log.js",
          from: "checkRemoved() {",
          to: "checkRemoved() {\n        return false;",
        },
      ],
      // The next recovery finds nothing, or the last one loses spans, if no publish rebuilt the file before.
      catches: /lost span|0 sessions are recovered/,
    },
  ],
};
