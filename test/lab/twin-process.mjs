/**
 * A process of the peer writers, controlled by the lab: writers, a host of writing threads, or a keeper of the
 * directory.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";
import { runtimes } from "./tools.mjs";

export class TwinProcess {
  isStopped = false;
  isKilled = false;
  stderr = "";
  /** Resolves when it has ended, and all its lines were read. */
  gone;
  #child;

  /** `wrap` is a program with arguments that starts another program. `hear` gets each line, with its writer. */
  constructor({ runtime = "node", program, plan, wrap = [] }, hear) {
    const path = fileURLToPath(new URL(`programs/${program}`, import.meta.url));
    const stdio = ["pipe", "ignore", "pipe", "pipe"];
    const [command, ...args] = [...wrap, runtimes[runtime].path, path, JSON.stringify(plan)];
    this.#child = dieWithLab(spawn(command, args, { stdio }));
    this.#child.stderr.setEncoding("utf8").on("data", (text) => {
      this.stderr += text;
    });
    // It may be killed before it has read its orders.
    this.#child.stdin.on("error", () => {});
    createInterface({ input: this.#child.stdio[3] }).on("line", (line) => {
      // The last line may be cut.
      if (line.endsWith("]")) hear(JSON.parse(line));
    });
    this.gone = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => resolve(signal ?? code));
    });
  }

  get pid() {
    return this.#child.pid;
  }

  send(order) {
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  kill() {
    this.isKilled = true;
    this.#child.kill("SIGKILL");
  }

  stop() {
    this.isStopped = true;
    this.#child.kill("SIGSTOP");
  }

  resume() {
    this.isStopped = false;
    this.#child.kill("SIGCONT");
  }
}
