/**
 * Processes and threads that write to the same sessions, with peers that recover and prune. All of them are killed,
 * stopped, continued and replaced at random, while a reader checks the documents.
 */
import { join } from "node:path";
import { recoverAndCheck } from "./aftermath.mjs";
import { randomOf } from "./lanes.mjs";
import { TwinLedger } from "./twin-ledger.mjs";
import { TwinProcess } from "./twin-process.mjs";
import { TwinWatch } from "./twin-watch.mjs";

/** No action of a writer takes as long as this. */
const hungMillis = 120_000;
const lookMillis = 2;

const programs = { writer: "twin-writer.mjs", threads: "twin-threads.mjs", keeper: "twin-keeper.mjs" };
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

export class TwinCrew {
  problems = [];
  counts = { killed: 0, stopped: 0, terminated: 0, closed: 0 };
  #options;
  #dir;
  #random;
  #ledger;
  #watch;
  #members = [];
  /** The processes of the live writers. */
  #hosts = new Map();
  #number = 0;
  #isEnding = false;

  /**
   * @param options
   *   - `members`: `{ kind: "writer" | "threads" | "keeper", runtime, threads, maxFiles }`
   *   - `sessions`: what they write to
   *   - `lies`: how often keepers and writers hold living writers for dead, from 0 to 1
   *   - `publishesSeldom`: most of what they record is in their own files only
   *   - `keepsOne`: the one session is never without a living writer
   */
  constructor(options) {
    this.#options = options;
    this.#dir = join(options.scratch.newDirectory(), "traces");
    this.#random = randomOf(options.seed);
    const mayDrop = this.#prunes();
    this.#ledger = new TwinLedger({ mayPrune: mayDrop });
    const isTrue = !options.lies;
    // A member that reports a live writer as dead records a crash.
    const mayResume = !options.keepsOne || !isTrue;
    this.#watch = new TwinWatch(this.#dir, this.#ledger, { isTrue, mayResume, mayDrop });
  }

  get acknowledged() {
    const { looks, rounds } = this.#watch;
    return { starts: this.#ledger.starts, ends: this.#ledger.ends, looks, rounds };
  }

  /** Acts this many times on the members, ends or kills them, and returns the problems of the directory. */
  async run(acts) {
    const looking = setInterval(() => this.#watch.look(), lookMillis);
    try {
      for (const spec of this.#options.members) this.#begin(spec);
      await this.#until("begun", () => this.#haveBegun());
      for (let done = 0; done < acts && !this.#isBroken; ) {
        // Sometimes long enough for all to work, and for lock timeouts caused by stopped members.
        await pause(5 + this.#random() * (this.#random() < 0.1 ? 400 : 40));
        if (this.#act()) done++;
      }
      await this.#end();
    } finally {
      clearInterval(looking);
      this.#isEnding = true;
      for (const { process } of this.#members) process.kill();
      await Promise.all(this.#members.map(({ process }) => process.gone));
    }
    this.#watch.look();
    this.problems.push(...this.#watch.problems);
    const mayDrop = this.#prunes();
    this.problems.push(...(await recoverAndCheck(this.#options.build, this.#dir, this.#ledger, { mayDrop })));
    this.problems = [...new Set(this.problems)];
  }

  get #isBroken() {
    return this.problems.length + this.#watch.problems.length > 0;
  }

  #prunes() {
    return this.#options.members.some(({ maxFiles }) => maxFiles > 0);
  }

  #begin(spec) {
    const { build, sessions, lies, restMillis, publishesSeldom } = this.#options;
    const { kind, runtime = "node", threads = 0, maxFiles = 0 } = spec;
    const who = `${kind} ${++this.#number}`;
    const seed = Math.floor(this.#random() * 0x7fff_ffff);
    const plan = { build, dir: this.#dir, who, seed, sessions, lies, maxFiles, restMillis, publishesSeldom };
    const member = { spec, who, writers: new Set(), report: undefined, isOver: false };
    member.process = new TwinProcess({ runtime, program: programs[kind], plan }, (words) =>
      this.#hear(member, words),
    );
    this.#members.push(member);
    void member.process.gone.then((how) => this.#gone(member, how));
    if (kind === "writer") this.#admit(member, who);
    for (let i = 0; i < threads; i++) this.#beginThread(member);
    if (kind === "keeper") this.#keep(member);
  }

  #admit(member, who) {
    member.writers.add(who);
    this.#hosts.set(who, member);
  }

  #beginThread(member) {
    const who = `${member.who}, thread ${++this.#number}`;
    this.#admit(member, who);
    member.process.send({ order: "begin", to: who, seed: Math.floor(this.#random() * 0x7fff_ffff) });
  }

  #hear(member, [who, ...words]) {
    this.#ledger.take(who, words);
    if (words[0] === "kept") this.#kept(member, words[1]);
    if (words[0] === "gone") {
      this.#forget(who);
      if (!this.#isEnding && !member.isOver) this.#beginThread(member);
    }
  }

  #forget(who) {
    this.#ledger.died(who);
    this.#hosts.get(who)?.writers.delete(who);
    this.#hosts.delete(who);
  }

  #gone(member, how) {
    this.#members = this.#members.filter((other) => other !== member);
    for (const who of member.writers) this.#forget(who);
    const { process, isOver, spec, who } = member;
    if (!process.isKilled && (!isOver || how !== 0))
      this.problems.push(`${who} ended by itself (${how}): ${process.stderr}`);
    if (process.isKilled && !this.#isEnding) this.#begin(spec);
  }

  #keep(member) {
    member.report = this.#watch.round();
    member.process.send({ order: "keep" });
  }

  #kept(member, found) {
    member.report(found);
    setTimeout(() => !member.process.isKilled && this.#keep(member), this.#random() * 6);
  }

  /** Acts on a member. Returns `false` when no member may be harmed now. */
  #act() {
    const chance = this.#random();
    if (chance < 0.35) return this.#kill();
    if (chance < 0.55) return this.#stop();
    if (chance < 0.75) return this.#resume();
    return this.#options.keepsOne ? this.#terminate() : this.#close() || this.#terminate();
  }

  #kill() {
    const alive = this.#members.filter(({ process }) => !process.isKilled);
    const mortal = alive.filter(({ writers }) => this.#mayDie([...writers]));
    // A member that is starting has nothing to lose yet.
    const busy = mortal.filter(
      (member) => member.report || [...member.writers].some((who) => this.#ledger.sessionsOf(who).length > 0),
    );
    const victim = this.#pick(this.#random() < 0.9 ? busy : mortal);
    if (!victim) return false;
    for (const who of victim.writers) this.#ledger.doom(who);
    victim.process.kill();
    this.counts.killed++;
    return true;
  }

  #stop() {
    const awake = this.#members.filter(({ process }) => !process.isStopped);
    const victim = awake.length > this.#members.length / 2 && this.#pick(awake);
    if (victim) this.counts.stopped++;
    victim?.process?.stop();
    return Boolean(victim);
  }

  #resume() {
    const sleeper = this.#pick(this.#members.filter(({ process }) => process.isStopped));
    sleeper?.process.resume();
    return Boolean(sleeper);
  }

  #terminate() {
    const threads = [...this.#hosts].filter(([who, { spec }]) => spec.threads > 0 && this.#mayDie([who]));
    const [who, member] = this.#pick(threads) ?? [];
    if (!who) return false;
    this.#ledger.doom(who);
    member.process.send({ order: "terminate", to: who });
    this.counts.terminated++;
    return true;
  }

  /** Makes a writer end one of its sessions. It may start it again. */
  #close() {
    const [who, member] = this.#pick([...this.#hosts]) ?? [];
    const session = this.#pick(who ? this.#ledger.sessionsOf(who) : []);
    if (!session) return false;
    this.#ledger.leave(who, session);
    member.process.send({ order: "close", to: who, session });
    this.counts.closed++;
    return true;
  }

  #mayDie(writers) {
    if (!this.#options.keepsOne || writers.length === 0) return true;
    return [...this.#ledger.running.values()].some((tenants) =>
      [...tenants.keys()].some((who) => !writers.includes(who)),
    );
  }

  async #end() {
    for (const { process } of this.#members) if (process.isStopped) process.resume();
    this.#isEnding = true;
    if (this.#options.keepsOne) await this.#dismissLate();
    // From then on no document is removed that is being written.
    const pruners = this.#members.filter(({ spec }) => spec.maxFiles > 0);
    await this.#dismiss(pruners, true);
    this.#ledger.pruningEnds();
    // A writer that ends a session so soon after a death cannot have seen the death, because file times are coarse.
    await pause(50);
    const isKilled = this.#random() < 0.5;
    const writers = this.#members.filter(({ spec }) => spec.kind !== "keeper");
    if (this.#options.keepsOne && !this.#options.lies)
      // A writer that is killed while nothing is under way leaves a session that is completed.
      this.#ledger.statuses = isKilled ? ["crashed", "completed"] : ["completed"];
    await this.#dismiss(writers, isKilled);
    await this.#dismiss(this.#members, true);
  }

  /** A member that has not started yet might start a session that its peers have ended. */
  async #dismissLate() {
    const isLate = (who) => this.#ledger.sessionsOf(who).length === 0;
    for (const [who, { spec, process }] of this.#hosts) {
      if (spec.threads > 0 && isLate(who)) {
        this.#ledger.doom(who);
        process.send({ order: "terminate", to: who });
      }
    }
    await this.#dismiss(
      this.#members.filter(({ writers }) => writers.size > 0 && [...writers].every(isLate)),
      true,
    );
    await this.#until("gone", () => ![...this.#hosts.keys()].some(isLate));
  }

  async #dismiss(members, isKilled) {
    for (const { writers } of members) for (const who of writers) this.#ledger.doom(who);
    for (const member of members) {
      member.isOver = true;
      if (isKilled || member.spec.kind === "keeper") member.process.kill();
      else member.process.send({ order: "end" });
    }
    const left = () => members.filter((member) => this.#members.includes(member));
    await this.#until(
      "ended",
      () => left().length === 0,
      () =>
        left()
          .map(({ who }) => who)
          .join(", "),
    );
  }

  #haveBegun() {
    return [...this.#hosts.keys()].every((who) => this.#ledger.sessionsOf(who).length > 0);
  }

  async #until(what, isSo, who = () => "they") {
    const deadline = performance.now() + hungMillis;
    while (!isSo() && !this.#isBroken) {
      if (performance.now() > deadline) this.problems.push(`${who()}: not ${what} for ${hungMillis} ms`);
      await pause(2);
    }
  }

  #pick(from) {
    return from[Math.floor(this.#random() * from.length)];
  }
}
