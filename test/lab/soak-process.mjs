/** `programs/soak-writer.mjs`, controlled by its parent. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";
import { runtimes } from "./tools.mjs";

const program = fileURLToPath(new URL("programs/soak-writer.mjs", import.meta.url));
/** A flush may need its 30 seconds. */
const hungMillis = 60_000;

export class SoakProcess {
  name;
  stderr = "";
  isDead = false;
  /** The lab has arranged its end. */
  isMeantToDie = false;
  /** It did not end when requested. */
  livesOn = false;
  /** The number of its last acknowledged record. It may have made one more. */
  last = 0;
  /** The signal or code of its end. All its lines have been read then. */
  exit;
  #child;
  #answers = [];

  /** @param hear gets each line except answers */
  constructor(runtime, plan, { clock, hear }) {
    this.name = plan.name;
    const { args, env } = clock.preload(runtime);
    const exposing = runtime === "node" ? ["--expose-gc"] : [];
    this.#child = dieWithLab(
      spawn(runtimes[runtime].path, [...exposing, ...args, program, JSON.stringify(plan)], {
        stdio: ["pipe", "pipe", "pipe"],
        env: { ...process.env, ...env },
      }),
    );
    this.#child.stdin.on("error", () => {});
    this.#child.stderr.setEncoding("utf8").on("data", (text) => {
      this.stderr = (this.stderr + text).slice(-4_000);
    });
    let rest = "";
    this.#child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) this.#take(JSON.parse(line), hear);
    });
    this.ready = this.#answered("start");
    this.exit = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => {
        this.isDead = true;
        for (const { fail } of this.#answers.splice(0)) fail(new Error(`it ended: ${signal ?? code}`));
        resolve(signal ?? code);
      });
    });
  }

  /** Resolves with its answer, or with `undefined` when it dies before. */
  async do(order, details = {}) {
    if (this.isDead) return undefined;
    const answered = this.#answered(order);
    this.#child.stdin.write(`${JSON.stringify({ order, ...details })}\n`);
    return answered;
  }

  signal(name) {
    if (!this.isDead) this.#child.kill(name);
  }

  /** Ends the process in this way. */
  async end(act) {
    this.isMeantToDie = true;
    const hung = setTimeout(() => {
      this.livesOn = true;
      this.signal("SIGKILL");
    }, hungMillis);
    act();
    const how = await this.exit;
    clearTimeout(hung);
    return how;
  }

  #take(word, hear) {
    if (word[0] === "answer" || word[0] === "ready") this.#answers.shift()?.answer(word[1]);
    else hear(word);
  }

  #answered(order) {
    return new Promise((resolve, reject) => {
      const settle = (act) => (value) => {
        clearTimeout(hung);
        act(value);
      };
      const hung = setTimeout(
        () => reject(new Error(`${this.name} hangs at "${order}"; ${this.stderr}`)),
        hungMillis,
      );
      const fail = settle((error) => (this.isMeantToDie ? resolve(undefined) : reject(error)));
      this.#answers.push({ answer: settle(resolve), fail });
    });
  }
}
