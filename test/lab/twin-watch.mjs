/** Reads while peers write, recover and prune, and reports what must not happen to a live writer. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isOver, Reader } from "./reader.mjs";

export class TwinWatch {
  /** Rounds of keepers. */
  rounds = 0;
  #dir;
  #ledger;
  #reader;
  #problems = new Set();
  #isTrue;

  /** @param options `isTrue`: no live owner is reported as dead; `mayResume`, `mayDrop`: see the reader */
  constructor(dir, ledger, { isTrue, mayResume, mayDrop }) {
    this.#dir = dir;
    this.#ledger = ledger;
    this.#isTrue = isTrue;
    this.#reader = new Reader(dir, { mayResume, mayDrop });
  }

  get problems() {
    // A writer that was reported as dead may find its file gone. It logs the fault, and retries.
    const faults = this.#isTrue ? this.#ledger.faults : [];
    return [...this.#problems, ...this.#reader.problems, ...faults];
  }

  get looks() {
    return this.#reader.looks;
  }

  /** In one turn: every live writer had started before the read. */
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
      const document = documents.get(session);
      if (!existsSync(path)) this.#problems.add(`${session}: the document is gone, and a writer lives`);
      else if (document && isOver(document))
        this.#problems.add(`${session} is ${document.summary.status}, and a writer lives`);
    }
  }

  /** A keeper starts a round. Returns the function to call with its findings. */
  round() {
    const before = new Map(this.#ledger.running);
    return ({ running, sessions = [] }) => {
      this.rounds++;
      if (!this.#isTrue) return;
      // The writers that were alive all the time meanwhile.
      const alive = [...before].filter(([id, tenants]) => this.#ledger.running.get(id) === tenants);
      if (running < alive.length)
        this.#problems.add(`a recovery saw ${running} running sessions of ${alive.length}`);
      for (const [session, status] of sessions) {
        // A session that goes on is running, or completed so far.
        if (status === "crashed" && alive.some(([id]) => id === session))
          this.#problems.add(`a recovery made ${session} ${status} beside a living writer`);
      }
    };
  }
}
