// A process whose worker threads write; it starts, terminates and ends them as it is told.
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import { plan, sayAs } from "./twin.mjs";

const threads = new Map();
let isEnding = false;

function begin(who, seed) {
  const worker = new Worker(new URL("twin-writer.mjs", import.meta.url), {
    workerData: { ...plan, who, seed },
  });
  threads.set(who, worker);
  worker.on("error", (error) => sayAs(who, "fault", String(error?.stack ?? error)));
  worker.on("exit", () => {
    threads.delete(who);
    sayAs(who, "gone");
    if (isEnding && threads.size === 0) process.exit(0);
  });
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { to, ...told } = JSON.parse(line);
    if (told.order === "begin") begin(to, told.seed);
    else if (told.order === "terminate") void threads.get(to)?.terminate();
    else if (told.order === "end") {
      isEnding = true;
      for (const worker of threads.values()) worker.postMessage(told);
    } else threads.get(to)?.postMessage(told);
  })
  .on("close", () => process.exit(3));
