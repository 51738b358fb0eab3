// A process whose worker threads write. Starts, terminates and ends them on request.
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import { plan, printAs } from "./twin.mjs";

const threads = new Map();
let isEnding = false;

function begin(who, seed) {
  const worker = new Worker(new URL("twin-writer.mjs", import.meta.url), {
    workerData: { ...plan, who, seed },
  });
  threads.set(who, worker);
  worker.on("error", (error) => printAs(who, "fault", String(error?.stack ?? error)));
  worker.on("exit", () => {
    threads.delete(who);
    printAs(who, "gone");
    if (isEnding) endWithThreads();
  });
}

/** The last ones may have been terminated before. */
function endWithThreads() {
  if (threads.size === 0) process.exit(0);
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { to, ...order } = JSON.parse(line);
    if (order.order === "begin") begin(to, order.seed);
    else if (order.order === "terminate") void threads.get(to)?.terminate();
    else if (order.order === "end") {
      isEnding = true;
      for (const worker of threads.values()) worker.postMessage(order);
      endWithThreads();
    } else threads.get(to)?.postMessage(order);
  })
  .on("close", () => process.exit(3));
