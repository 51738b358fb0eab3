/** Worker threads that write to one session, and how the main thread recovers a terminated one. */
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { isOver } from "../../src/format/session-end.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { ended, interrupted, repeated } from "../support/span-lines.js";
import { StillClock } from "../support/still-clock.js";

const sessionId = "ses_threads";
let dir: string;
let threads: Thread[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "worker-threads-"));
  threads = [];
});
afterEach(async () => {
  await Promise.all(threads.map(({ worker }) => worker.terminate()));
  rmSync(dir, { recursive: true, force: true });
});

/** A thread, and what it reported before it ended. */
class Thread {
  readonly started: string[] = [];
  readonly ended: string[] = [];
  readonly worker = new Worker(new URL("../programs/thread-writer.mjs", import.meta.url), {
    workerData: { dir, sessionId },
  });
  #onEnded = () => {};

  constructor() {
    threads.push(this);
    this.worker.on("message", (reported: { started?: string; ended?: string }) => {
      if (reported.started) this.started.push(reported.started);
      if (reported.ended) this.ended.push(reported.ended);
      this.#onEnded();
    });
  }

  async hasEnded(count: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onEnded = () => this.ended.length >= count && resolve();
      this.#onEnded();
    });
  }

  async end(): Promise<void> {
    const exited = once(this.worker, "exit");
    this.worker.postMessage("end");
    await exited;
  }
}

const document = (): TraceFile => JSON.parse(readFileSync(join(dir, `${sessionId}.json`), "utf8"));
const owners = () => readdirSync(dir).filter((name) => name.endsWith(".open") || name.endsWith(".live"));
const idsOf = (spans: readonly { spanId: string }[]) => spans.map(({ spanId }) => spanId);

test("P7 worker threads on one session end with the union of their spans", async () => {
  const [a, b] = [new Thread(), new Thread()];
  await Promise.all([a.hasEnded(200), b.hasEnded(200)]);
  await Promise.all([a.end(), b.end()]);
  expect(new Set(idsOf(ended(document())))).toEqual(new Set([...a.ended, ...b.ended]));
  expect(repeated(document())).toEqual([]);
  expect(document().summary.status).toBe("completed");
  expect(readdirSync(dir)).toEqual([`${sessionId}.json`]);
});

test("P2 P7 the main thread merges the files of a terminated thread while another thread writes", async () => {
  const clock = new StillClock();
  const main = new CrashSafeFileSpanExporter({ dir }, { clock });
  const [a, b] = [new Thread(), new Thread()];
  await Promise.all([a.hasEnded(100), b.hasEnded(100)]);
  expect(owners()).toHaveLength(4);
  // Terminated at any point of its work.
  await a.worker.terminate();
  clock.pass(10_000);
  await expect.poll(owners, { timeout: 20_000 }).toHaveLength(2);

  // The live thread publishes again, with every span.
  const heard = b.ended.length;
  await b.hasEnded(heard + 50);
  // Between two spans it is idle, and not over.
  expect(isOver(document().summary)).toBe(false);
  await b.end();
  await main.shutdown();
  const trace = document();
  const ids = new Set(idsOf(ended(trace)));
  expect([...a.ended, ...b.ended].filter((spanId) => !ids.has(spanId))).toEqual([]);
  expect(idsOf(interrupted(trace))).toEqual(expect.arrayContaining(a.started));
  expect(repeated(trace)).toEqual([]);
  expect(trace.summary.status).toBe("completed");
  expect(readdirSync(dir)).toEqual([`${sessionId}.json`]);
});
