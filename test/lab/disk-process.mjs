/** `programs/disk-writer.mjs`, controlled by its parent. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";
import { PowerLedger } from "./power-ledger.mjs";

export const diskProgram = fileURLToPath(new URL("programs/disk-writer.mjs", import.meta.url));
/** A flush may need its 30 seconds. */
const hungMillis = 45_000;

export class DiskProcess {
  /** The records that it acknowledged. */
  acknowledged = new PowerLedger();
  stderr = "";
  #child;
  #answer = () => {};
  #exit;

  /** `wrap` is a program with arguments that starts another program. */
  constructor(plan, wrap = []) {
    const [program, ...args] = [...wrap, process.execPath, diskProgram, JSON.stringify(plan)];
    this.#child = dieWithLab(spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] }));
    this.#child.stdout.setEncoding("utf8").on("data", (chunk) => this.acknowledged.hear(chunk));
    this.#child.stderr.setEncoding("utf8").on("data", (chunk) => {
      this.stderr += chunk;
    });
    this.#child.stdin.on("error", () => {});
    this.acknowledged.onWord = (_verb, answer) => this.#answer(answer);
    this.#exit = once(this.#child, "close").then(([code, signal]) => signal ?? code);
  }

  get pid() {
    return this.#child.pid;
  }

  /** The signal or code that it ended with. */
  get exit() {
    return this.#exit;
  }

  ready() {
    return this.#heard("start", () => {});
  }

  /** Resolves with the answer of the writer. */
  do(order, details = {}) {
    return this.#heard(order, () => this.#child.stdin.write(`${JSON.stringify({ order, ...details })}\n`));
  }

  kill() {
    this.#child.kill("SIGKILL");
  }

  #heard(what, act) {
    return new Promise((resolve, reject) => {
      const gone = (how) => reject(new Error(`the writer ended (${how}) at "${what}": ${this.stderr}`));
      const hung = setTimeout(() => gone(`it hangs for ${hungMillis} ms`), hungMillis);
      this.#answer = (answer) => {
        clearTimeout(hung);
        resolve(answer);
      };
      void this.#exit.then((how) => {
        clearTimeout(hung);
        gone(how);
      });
      act();
    });
  }
}
