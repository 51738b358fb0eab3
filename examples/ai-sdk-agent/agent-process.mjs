// The example agent as a child process, as the demo sees it: what it says, and how it ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const agent = fileURLToPath(new URL("agent.mjs", import.meta.url));
const patienceMillis = 30_000;

export class AgentProcess {
  /** Names of spans that have ended, as the agent tells. */
  done = [];
  /** The last one that it said has started. */
  started;
  #child;
  #lines = [];
  #ended;
  #onLine = () => {};

  constructor(dir, sessionId, show) {
    this.#child = spawn(process.execPath, [agent, dir, sessionId], { stdio: ["ignore", "pipe", "inherit"] });
    this.#ended = once(this.#child, "exit");
    // Whatever becomes of the demo, its agent does not outlive it.
    process.once("exit", () => this.#child.kill("SIGKILL"));
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      show(line);
      this.#lines.push(line);
      const [event, what] = line.split(/ +/);
      if (event === "done") this.done.push(what);
      if (event === "round") {
        if (what !== "1") this.done.push(`round ${what - 1}`);
        this.started = `round ${what}`;
      }
      this.#onLine();
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Resolves when the agent has said a line that begins so. */
  async says(beginning) {
    const heard = new Promise((resolve) => {
      this.#onLine = () => {
        if (this.#lines.some((line) => line.startsWith(beginning))) resolve();
      };
      this.#onLine();
    });
    const ended = this.#ended.then(([code]) => {
      throw new Error(`the agent ended (${code}) before it said "${beginning}"`);
    });
    await inTime(() => Promise.race([heard, ended]), `the agent did not say "${beginning}"`);
  }

  /** SIGKILL. Resolves with the signal that ended the process. */
  async kill() {
    this.#child.kill("SIGKILL");
    const [, signal] = await this.#ended;
    return signal;
  }

  /** Resolves with the exit code. */
  async end() {
    const closed = once(this.#child, "close");
    const [code] = await inTime(() => closed, "the agent did not end");
    return code;
  }
}

/** Runs `work`, and fails when it takes too long. */
export async function inTime(work, otherwise) {
  const tooLate = AbortSignal.timeout(patienceMillis);
  const failed = once(tooLate, "abort").then(() => {
    throw new Error(`${otherwise} within ${patienceMillis / 1000} s`);
  });
  return Promise.race([work(tooLate), failed]);
}
