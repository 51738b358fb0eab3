/** The writers of one directory in a soak: processes that get sessions, die in many ways, and are replaced. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SoakProcess } from "./soak-process.mjs";

/** A document, or `undefined` where there is none. */
export function readIfThere(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

export class SoakCrew {
  failures = [];
  /** Each writer has one process at a time, and the ids of its sessions. */
  slots;
  /** The measurements of each permanent process over time, by its name. */
  samples = new Map();
  #context;
  #ledger;
  #made = 0;

  /** @param context the context of `SoakRun` */
  constructor(context, ledger) {
    this.#context = context;
    this.#ledger = ledger;
    this.slots = context.writers.map((writer) => ({ ...writer, ids: new Set() }));
  }

  async start() {
    await Promise.all(this.slots.map((slot) => this.#startIn(slot)));
    for (const { name, process, isMortal } of this.slots)
      if (!isMortal) this.samples.set(name, [await this.#ask(process, "measure", { how: "flush" })]);
  }

  /** The writers that have a session. */
  holders(id) {
    return this.slots.filter(({ ids }) => ids.has(id));
  }

  give(slot, id) {
    slot.ids.add(id);
    return this.#ask(slot.process, "take", { id, front: id.startsWith("span") ? "spans" : "tracer" });
  }

  /** These writers end a session, and do not write to it any more. */
  async end(id, holders, how) {
    for (const slot of holders) slot.ids.delete(id);
    await Promise.all(holders.map(({ process }) => this.#ask(process, "give", { id, how })));
  }

  /** A crash fence of all its sessions. The writer continues with new exporters. */
  fence({ process }) {
    return this.#ask(process, "crash");
  }

  async die(slot, how) {
    const { process } = slot;
    await process.end(() =>
      how.startsWith("SIG") ? process.signal(how) : void this.#ask(process, "die", { how }),
    );
  }

  /**
   * A session ends, the clock is set back, and the process dies right after it resumed the session: nothing was
   * published since.
   */
  async dieResuming(slot, id, setBack) {
    const { process } = slot;
    await this.#ask(process, "give", { id, how: "completed" });
    setBack();
    // File times are those of the kernel's last tick.
    await new Promise((resolve) => setTimeout(resolve, 15));
    await this.#ask(process, "take", { id, front: "spans" });
    await process.end(() => void this.#ask(process, "die", { how: "resumed", id }));
  }

  /** Another process replaces one that has died. */
  comeAgain(slot) {
    return this.#startIn(slot);
  }

  /** Measures all processes. Each first comes to rest, by a flush or by waiting. */
  async measure(how) {
    const slots = this.slots.filter(({ process }) => !process.isMeantToDie);
    const answers = await Promise.all(slots.map(({ process }) => this.#ask(process, "measure", { how })));
    answers.forEach((answer, i) => {
      if (!answer) return;
      this.samples.get(slots[i].name)?.push(answer);
      const { dropped, faults } = answer;
      if (dropped + faults > 0)
        this.failures.push(`process ${slots[i].name} dropped ${dropped} spans, with ${faults} faults`);
    });
  }

  /** Kills some of the temporary processes, and ends the rest. */
  async stop(random) {
    for (const { process, isMortal } of this.slots) {
      const isKilled = isMortal && random() < 0.5;
      const end = () => (isKilled ? process.signal("SIGKILL") : void this.#ask(process, "stop"));
      const how = await process.end(end);
      if (!isKilled && how !== 0)
        this.failures.push(`${process.name} ended with ${how} at its shutdown: ${process.stderr}`);
    }
  }

  /** Sends an order to a process of its own. */
  async askAnother(options, order, details) {
    const { build, clock } = this.#context;
    const plan = { build, name: order, maxSpans: 0, maxFiles: 0, ...options, seed: 1, pauseMillis: 1_000 };
    const hear = (word) => this.failures.push(`${order} printed: ${word.join(" ")}`);
    const process = new SoakProcess("node", plan, { clock, hear });
    await process.ready;
    const answer = await this.#ask(process, order, details);
    await process.end(() => process.signal("SIGKILL"));
    return answer;
  }

  async #startIn(slot) {
    const { dir, build, options, size, clock, random } = this.#context;
    const { pauseMillis, patienceMillis } = size;
    const name = `${slot.name}${++this.#made}`;
    const isFenced = random() < 0.7;
    const seed = Math.floor(random() * 1e9);
    const writer = new SoakProcess(
      slot.runtime,
      { dir, build, ...options, name, seed, pauseMillis, patienceMillis, isFenced },
      { clock, hear: (word) => this.#ledger.take(writer, word) },
    );
    slot.process = writer;
    void writer.exit.then((how) => {
      if (isFenced && how !== "SIGKILL") this.#lookAfterFence(writer, how);
      this.#ledger.died(writer);
      if (writer.livesOn) this.failures.push(`${name} did not end when it was to`);
      if (!writer.isMeantToDie) this.failures.push(`${name} ended by itself (${how}): ${writer.stderr}`);
    });
    await writer.ready;
    for (const id of slot.ids) void this.give(slot, id);
  }

  /** The documents of a process that could run its crash fence are final when it has ended (P3). */
  #lookAfterFence(writer, how) {
    const { dir } = this.#context;
    for (const { id, statuses } of this.#ledger.openOnlyBy(writer)) {
      const status = readIfThere(join(dir, `${id}.json`))?.summary.status;
      // Another process held the lock: then the finalized file waits for a recovery.
      const waits = readdirSync(dir).some((name) => name.startsWith(`${id}.json.`));
      if (!statuses.includes(status) && !waits)
        this.failures.push(`${id} is ${status} after its fenced process ${writer.name} ended with ${how}`);
    }
  }

  /** The answer of a process, or `undefined` when it dies before. */
  async #ask(process, order, details) {
    try {
      return await process.do(order, details);
    } catch (error) {
      this.failures.push(error.message);
      return undefined;
    }
  }
}
