/**
 * A soak of one directory: sessions that start, end and change their writers, processes that die and are replaced,
 * a clock that jumps, a machine that sleeps. `scenarios/soak.mjs` judges the result.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { Reader } from "./reader.mjs";
import { readIfThere, SoakCrew } from "./soak-crew.mjs";
import { SoakLedger } from "./soak-ledger.mjs";

const hours = 3_600_000;
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
/** Bun prints an uncaught exception, and continues. */
const deaths = {
  node: ["SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "exit", "throw", "reject"],
  bun: ["SIGKILL", "SIGKILL", "SIGTERM", "exit"],
};

export class SoakRun {
  ledger = new SoakLedger();
  /** The content of the directory over time. */
  sizes = [];
  counts = { deaths: 0, fences: 0, moves: 0, sleeps: 0, naps: 0, documents: 0, spans: 0, elided: 0 };
  reader;
  #failures = [];
  #context;
  #crew;
  #sessions = new Map();
  #isOver = false;
  #made = 0;
  #archive;

  /**
   * `context` has `dir`, `clock`, `random`, `build`, `writers` (the kind of each), `options` of the exporter,
   * `sessions` (how many at a time), `front` of all of them, and `size` of the scenario.
   */
  constructor(context) {
    this.#context = context;
    this.#crew = new SoakCrew(context, this.ledger);
    this.#archive = `${context.dir}-archive`;
    for (const made of [context.dir, this.#archive]) mkdirSync(made);
    const { maxSpans, maxFiles } = context.options;
    this.reader = new Reader(context.dir, { mayResume: true, mayDrop: maxSpans + maxFiles > 0 });
  }

  get failures() {
    return [...this.#failures, ...this.#crew.failures, ...this.ledger.problems, ...this.reader.problems];
  }

  /** The memory and descriptors of the permanent processes, by name. */
  get samples() {
    return this.#crew.samples;
  }

  async run(isOver) {
    this.reader.watch(10);
    await this.#crew.start();
    const { sessions } = this.#context;
    for (let i = 0; i < sessions; i++) this.#bear(i / sessions);
    const ended = Promise.all([
      this.#rounds(),
      this.#moves(),
      this.#deaths(),
      this.#measures(),
      this.#weather(),
    ]);
    ended.catch(() => {});
    while (!isOver()) await Promise.race([pause(50), ended]);
    this.#isOver = true;
    await ended;
    await this.#finish();
  }

  /** Repeats the work, with about this time between. */
  async #every(millis, act) {
    for (;;) {
      for (let left = millis * (0.5 + this.#context.random()); left > 0; left -= 50) {
        if (this.#isOver) return;
        await pause(Math.min(50, left));
      }
      if (this.#isOver) return;
      await act();
    }
  }

  #one(items) {
    return items[Math.floor(this.#context.random() * items.length)];
  }

  /** Any other writer. */
  #other(slot) {
    return this.#one(this.#crew.slots.filter((one) => one !== slot)) ?? slot;
  }

  /** A new session with a lifetime. */
  #bear(age = 0) {
    const { random, size, front } = this.#context;
    const id = `${front ?? this.#one(["span", "agent"])}-${++this.#made}`;
    const spans = Math.ceil(size.spans * (1 - age) * (0.5 + random()));
    this.#sessions.set(id, { id, spans, state: "active" });
    void this.#crew.give(this.#one(this.#crew.slots), id);
  }

  #isActive = (id) => this.#sessions.get(id)?.state === "active";

  /** Sessions at the end of their lifetime are ended, compared and moved away, and new ones start. */
  #rounds() {
    return this.#every(60, async () => {
      const names = readdirSync(this.#context.dir);
      for (const session of this.#sessions.values()) {
        const { id, spans } = session;
        if (this.#isActive(id) && this.ledger.sizeOf(id) >= spans) void this.#retire(session);
        // Files of a dead process are left to the housekeeping of its peers.
        const isLeft = () => names.some((name) => name.startsWith(`${id}.json.`));
        if (session.state !== "ended" || isLeft()) continue;
        this.#sessions.delete(id);
        this.#putAway(id);
        this.#bear();
      }
    });
  }

  async #retire(session) {
    const { id } = session;
    session.state = "ending";
    const ways = ["completed", "completed", "error", ...(id.startsWith("span") ? [] : ["crashed"])];
    await this.#crew.end(id, this.#crew.holders(id), this.#one(ways));
    session.state = "ended";
  }

  #putAway(id) {
    const name = `${id}.json`;
    const path = join(this.#context.dir, name);
    this.reader.forget(name);
    if (this.#context.options.maxFiles > 0) return this.#compare(id, path);
    renameSync(path, join(this.#archive, name));
    this.#compare(id, join(this.#archive, name));
  }

  #compare(id, path) {
    const { maxSpans, maxFiles } = this.#context.options;
    const [opens, resumes] = [this.ledger.opensOf(id), this.reader.resumes.get(`${id}.json`) ?? 0];
    this.reader.resumes.delete(`${id}.json`);
    // The reader is informed of each opening.
    if (resumes > opens)
      this.#failures.push(`${id} ran again ${resumes} times, and was opened ${opens} times`);
    this.#failures.push(...this.ledger.settle(id, readIfThere(path), { maxSpans, isPruned: maxFiles > 0 }));
  }

  /** Sessions change their writers, with or without an end between. Processes are fenced and continue. */
  #moves() {
    const { size, random } = this.#context;
    const crew = this.#crew;
    return this.#every(size.moveMillis, async () => {
      if (random() < 0.15) {
        this.counts.fences++;
        return void (await crew.fence(this.#one(crew.slots)));
      }
      const id = this.#one([...this.#sessions.keys()].filter(this.#isActive));
      const holders = id ? crew.holders(id) : [];
      if (crew.slots.length < 2 || holders.length === 0) return;
      this.counts.moves++;
      const session = this.#sessions.get(id);
      session.state = "moving";
      if (holders.length > 1) await crew.end(id, [this.#one(holders)], "completed");
      else {
        if (random() < 0.5) await crew.end(id, holders, this.#one(["completed", "error"]));
        await crew.give(this.#other(holders[0]), id);
      }
      session.state = "active";
    });
  }

  #deaths() {
    const { size, random, clock } = this.#context;
    const crew = this.#crew;
    const mortals = crew.slots.filter(({ isMortal }) => isMortal);
    return this.#every(size.deathMillis, async () => {
      const slot = this.#one(mortals);
      const own = (id) => id.startsWith("span") && this.#isActive(id) && crew.holders(id).length === 1;
      const id = random() < 0.15 ? [...slot.ids].find(own) : undefined;
      this.counts.deaths++;
      if (id) {
        const session = this.#sessions.get(id);
        session.state = "moving";
        await crew.dieResuming(slot, id, () => clock.jump(-hours * random()));
        session.state = "active";
      } else await crew.die(slot, this.#one(deaths[slot.runtime]));
      // Sometimes other writers continue its sessions.
      for (const left of slot.ids) {
        if (random() > 0.3 || !this.#isActive(left)) continue;
        slot.ids.delete(left);
        void crew.give(this.#other(slot), left);
      }
      await crew.comeAgain(slot);
    });
  }

  /** Measures a process and the directory. */
  #measures() {
    const { dir, size } = this.#context;
    let n = 0;
    return this.#every(size.sampleMillis, async () => {
      this.sizes.push(sizesOf(dir));
      await this.#crew.measure(++n % 3 === 0 ? "flush" : "settle");
    });
  }

  #weather() {
    const { size, random, clock } = this.#context;
    return this.#every(size.weatherMillis, async () => {
      const dice = random();
      if (size.onlySetBack) return clock.jump(-6 * hours * random());
      if (dice < 0.5) return clock.jump((random() - 0.6) * this.#one([20_000, 6 * hours]));
      // All processes pause while the clock continues, or one process pauses and its peers do not wait for it.
      const isSleep = dice < 0.8;
      this.counts[isSleep ? "sleeps" : "naps"]++;
      const { slots } = this.#crew;
      const stopped = (isSleep ? slots : [this.#one(slots)]).map(({ process }) => process);
      for (const process of stopped) process.signal("SIGSTOP");
      await pause(size.sleepMillis * random());
      if (isSleep) clock.jump(8 * hours * random());
      for (const process of stopped) process.signal("SIGCONT");
    });
  }

  /** All processes end or are killed. The rest is recovered and compared. */
  async #finish() {
    const { dir, random, options } = this.#context;
    const { maxFiles } = options;
    await this.#crew.stop(random);
    await this.#recover();
    const kept = maxFiles > 0 ? await this.#crew.askAnother({ dir, maxFiles }, "prune") : 0;
    if (kept > maxFiles) this.#failures.push(`retention keeps ${kept} documents, not ${maxFiles}`);
    this.reader.stop();
    for (const name of readdirSync(dir)) {
      if (!name.endsWith(".json")) this.#failures.push(`${name} is left over`);
      else if (maxFiles === 0 && !this.ledger.has(name.slice(0, -5)))
        this.#failures.push(`${name} was put away, and is there`);
    }
    for (const id of this.#sessions.keys())
      if (this.ledger.has(id)) this.#compare(id, join(dir, `${id}.json`));
    for (const at of [dir, this.#archive]) {
      for (const name of readdirSync(at).filter((one) => one.endsWith(".json"))) {
        const { spans } = JSON.parse(readFileSync(join(at, name), "utf8"));
        this.counts.documents++;
        this.counts.spans += spans.filter(({ kind }) => kind !== "session").length;
        for (const { attributes } of spans) this.counts.elided += attributes?.elided ?? 0;
      }
    }
  }

  async #recover() {
    const { dir } = this.#context;
    const reports = (await this.#crew.askAnother({ dir: `${dir}-none` }, "recover", { dir })) ?? [];
    for (const { failures, running } of reports) {
      this.#failures.push(...failures.map((failure) => `the recovery failed: ${failure}`));
      if (running > 0) this.#failures.push(`the recovery takes ${running} dead writers for alive`);
    }
    if (reports.at(-1)?.recovered !== 0)
      this.#failures.push("the recovery finds something to do again and again");
  }
}

/** Documents and all other files, in bytes and numbers. */
function sizesOf(dir) {
  const sizes = { documents: 0, documentBytes: 0, others: 0, otherBytes: 0 };
  for (const name of readdirSync(dir)) {
    const kind = name.endsWith(".json") ? "document" : "other";
    sizes[`${kind}s`]++;
    try {
      sizes[`${kind}Bytes`] += statSync(join(dir, name)).size;
    } catch {
      // It was renamed or removed just now.
    }
  }
  return sizes;
}
