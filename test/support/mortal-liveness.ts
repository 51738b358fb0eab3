import { nodeFileSystem } from "../../src/platform/file-system.js";
import { type Liveness, SystemLiveness, type Verdict } from "../../src/platform/liveness.js";

/** The machine's verdict, except for owners that a test declares dead. */
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
    // A recovery's token starts with a token of this process.
    return this.#dead.some((dead) => token.startsWith(dead)) ? "dead" : this.#system.verdict(token);
  }

  /** The live owners, in order of their starts. */
  get alive(): readonly string[] {
    return this.#alive;
  }

  /** Declares this owner dead. */
  kill(token: string): void {
    this.#dead.push(...this.#alive.splice(this.#alive.indexOf(token), 1));
  }

  /** Declares every owner so far dead. */
  killAll(): void {
    this.#dead.push(...this.#alive.splice(0));
  }
}
