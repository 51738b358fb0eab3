/** Load that makes a machine as slow as in an outage: threads that spin, and writes that fill the thread pool. */
import { promises } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

/** Keeps `perCore` threads spinning on each core while `work` runs. */
export async function whileCoresSpin<T>(perCore: number, work: () => Promise<T>): Promise<T> {
  const spin = "require('node:worker_threads').parentPort.postMessage(0); for (;;);";
  const workers = Array.from(
    { length: availableParallelism() * perCore },
    () => new Worker(spin, { eval: true }),
  );
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
  try {
    return await work();
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

const noise = Buffer.alloc(1 << 20, "noise ");

/** Starts `count` writes of a megabyte at once. Resolves when the files are written. */
export async function writeNoise(dir: string, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, index) => join(dir, `noise-${index % 20}`));
  await Promise.all(names.map((name) => promises.writeFile(name, noise)));
}
