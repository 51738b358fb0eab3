/** Measurements of a process by itself: time, processor, bytes, memory, pauses of its event loop. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const isLinux = existsSync("/proc/self/io");

/** Bytes given to write(2) and its kin so far, by the kernel's count. */
export const bytesWritten = () =>
  isLinux ? Number(/wchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))[1]) : Number.NaN;

/** Milliseconds the main thread has run on a processor. Counted by the kernel, in steps of a few milliseconds. */
export const mainThreadMillis = () =>
  isLinux
    ? Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1e6
    : Number.NaN;

export const processorMillis = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** The largest memory of the process so far, in bytes. */
export const peakMemory = () =>
  isLinux ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024 : Number.NaN;

export function heap() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The heap after garbage collection. */
export function settledHeap() {
  for (let i = 0; i < 3; i++) (globalThis.gc ?? (() => globalThis.Bun.gc(true)))();
  return heap();
}

export function directoryBytes(dir) {
  let bytes = 0;
  for (const { name, parentPath, path } of readdirSync(dir, { withFileTypes: true, recursive: true }))
    bytes += statSync(join(parentPath ?? path, name), { throwIfNoEntry: false })?.size ?? 0;
  return bytes;
}

export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort();
  return sorted.length === 0
    ? Number.NaN
    : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

export const median = (values) => quantile(values, 0.5);

/** The milliseconds of `run`, awaited. */
export async function timed(run) {
  const begin = performance.now();
  await run();
  return performance.now() - begin;
}

const lookMillis = 2;

/** Runs `work`, and returns its duration and the longest pause of the event loop meanwhile. */
export async function watched(work) {
  let gap = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    gap = Math.max(gap, now - last - lookMillis);
    last = now;
  };
  const timer = setInterval(look, lookMillis);
  try {
    const millis = await timed(work);
    look();
    return { millis, gap: Math.max(0, gap) };
  } finally {
    clearInterval(timer);
  }
}
