// Runs loggers of sessions as threads or as processes, scenario by scenario from its stdin, and kills loggers on
// request. Its own exporter recovers the files of dead loggers, as a host's does. Answers each scenario with a
// line.
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { CrashSafeFileSpanExporter } from "../../build/index.mjs";
import { systemClock } from "../../build/platform/clock.js";

const logger = new URL("session-logger.mjs", import.meta.url);
const dir = process.argv[2];
// Runs its housekeeping a hundred times as often.
const clock = { ...systemClock, every: (millis, run) => systemClock.every(millis / 100, run) };
const exporter = new CrashSafeFileSpanExporter({ dir }, { clock });

class Logger {
  #received = new Map();
  #heard = new Set();

  constructor(as, options) {
    this.one =
      as === "thread"
        ? new Worker(logger, { workerData: options })
        : fork(fileURLToPath(logger), [JSON.stringify(options)], { stdio: "inherit" });
    this.isThread = as === "thread";
    this.end = options.end;
    this.gone = once(this.one, "exit");
    this.one.on("message", (word) => {
      this.#heard.add(word);
      this.#received.get(word)?.();
    });
  }

  /** Also resolves when the logger ends without the word. */
  async has(word) {
    const received = new Promise((resolve) => this.#received.set(word, resolve));
    if (!this.#heard.has(word)) await Promise.race([received, this.gone]);
  }

  send(word) {
    if (this.isThread) this.one.postMessage(word);
    else this.one.send(word);
  }

  async kill() {
    if (this.isThread) void this.one.terminate();
    else this.one.kill("SIGKILL");
    await this.gone;
  }

  /** Ends as the scenario demands. Afterwards the logger is gone, without a further word. */
  async leave() {
    if (this.end !== "SIGKILL") {
      this.send("end");
      await this.has("ended");
    }
    await this.kill();
  }
}

async function run({ as, sessionId, calls, loggers, inTurn, isQuiet, exits }) {
  const options = { dir, sessionId, calls, isQuiet, exits };
  const all = loggers.map((one) => new Logger(as, { ...options, ...one }));
  if (isQuiet) {
    for (const one of all) await (exits ? one.gone : one.has("ended").then(() => one.kill()));
  } else {
    await Promise.all(all.map((one) => one.has("ready")));
    for (const one of all) one.send("go");
    await Promise.all(all.map((one) => one.has("logged")));
    if (inTurn) {
      for (const one of all) {
        await one.leave();
        // File times lag behind the clock by up to a tick, and a death that close to an end counts as a crash.
        await sleep(25);
      }
    } else await Promise.all(all.map((one) => one.leave()));
  }
  while (readdirSync(dir).some((name) => name.startsWith(`${sessionId}.json.`))) await sleep(5);
}

for await (const line of createInterface({ input: process.stdin })) {
  await run(JSON.parse(line));
  console.log("settled");
}
await exporter.shutdown();
process.exit(0);
