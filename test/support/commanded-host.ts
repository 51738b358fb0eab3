import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const program = fileURLToPath(new URL("../programs/commanded-host.mjs", import.meta.url));

/** A process that records what it is commanded to. `build`: the directory of another build of the package. */
export class CommandedHost {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(dir: string, build?: string) {
    const args = [program, dir, ...(build === undefined ? [] : [build])];
    this.#child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Resolves when the process has run the command. */
  async command(act: string, ids: readonly string[] = [], name = "work"): Promise<void> {
    this.#child.stdin?.write(`${JSON.stringify({ act, ids, name })}\n`);
    await this.#answer("done");
  }

  /** Sends SIGTERM. Resolves when the listener of the process has run, after the crash fence. */
  async fence(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#answer("signalled");
  }

  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  goOn(): void {
    this.#child.kill("SIGCONT");
  }

  /** Does nothing when the process has ended. */
  async kill(): Promise<void> {
    if (this.#child.kill("SIGKILL")) await once(this.#child, "close");
  }

  async #answer(expected: string): Promise<void> {
    const [line] = (await once(this.#lines, "line")) as [string];
    expect(line).toBe(expected);
  }
}
