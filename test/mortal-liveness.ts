import { nodeFileSystem } from "../src/file-system.js";
import { type Liveness, SystemLiveness, type Verdict } from "../src/owner.js";

/** The machine's answer, except for owners that a test declares dead. */
export class MortalLiveness implements Liveness {
  readonly #system = new SystemLiveness(nodeFileSystem.sync);
  readonly #alive: string[] = [];
  readonly #dead: string[] = [];

  newToken(): string {
    const token = this.#system.newToken();
    this.#alive.push(token);
    return token;
  }

  verdict(token: string): Verdict {
    // A recovery's token begins with one of ours.
    return this.#dead.some((dead) => token.startsWith(dead)) ? "dead" : this.#system.verdict(token);
  }

  /** Every owner so far is dead. */
  killAll(): void {
    this.#dead.push(...this.#alive.splice(0));
  }
}
