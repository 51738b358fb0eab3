/** Looks on while twins write, recover and prune, and tells what must not be seen beside a living writer. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Reader } from "./reader.mjs";

export class TwinWatch {
  /** Rounds of keepers. */
  rounds = 0;
  #dir;
  #ledger;
  #reader;
  #problems = new Set();
  #isTrue;

  /** @param options `isTrue`: nobody alive is held for dead; `mayResume`, `mayDrop`: see the reader */
  constructor(dir, ledger, { isTrue, mayResume, mayDrop }) {
    this.#dir = dir;
    this.#ledger = ledger;
    this.#isTrue = isTrue;
    this.#reader = new Reader(dir, { mayResume, mayDrop });
  }

  get problems() {
    // Who is held for dead may find the file gone that it works on: it is told, and tries again.
    const faults = this.#isTrue ? this.#ledger.faults : [];
    return [...this.#problems, ...this.#reader.problems, ...faults];
  }

  get looks() {
    return this.#reader.looks;
  }

  /** In one turn: who lives now had begun before the look. */
  look() {
    const documents = new Map(this.#reader.look().map((document) => [document.id, document]));
    if (!this.#isTrue) return;
    for (const [session, tenants] of this.#ledger.running) {
      const path = join(this.#dir, `${session}.json`);
      for (const [who, token] of tenants) {
        for (const kind of ["open", "live"]) {
          if (!existsSync(`${path}.${token}.${kind}`))
            this.#problems.add(`${session}: the .${kind} of ${who}, which lives, is gone`);
        }
      }
      const status = documents.get(session)?.summary.status;
      if (!existsSync(path)) this.#problems.add(`${session}: the document is gone, and a writer lives`);
      else if (status !== "running") this.#problems.add(`${session} is ${status}, and a writer lives`);
    }
  }

  /** A keeper begins a round; returns what is to be called with what it found. */
  round() {
    const before = new Map(this.#ledger.running);
    return ({ running, sessions = [] }) => {
      this.rounds++;
      if (!this.#isTrue) return;
      // Those who were alive all the time meanwhile.
      const alive = [...before].filter(([id, tenants]) => this.#ledger.running.get(id) === tenants);
      if (running < alive.length)
        this.#problems.add(`a recovery saw ${running} running sessions of ${alive.length}`);
      for (const [session, status] of sessions) {
        if (status !== "running" && alive.some(([id]) => id === session))
          this.#problems.add(`a recovery made ${session} ${status} beside a living writer`);
      }
    };
  }
}
