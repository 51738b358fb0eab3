/** Hosts with several processes, threads or copies of the code: clusters, process managers, pools, test runners. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/reader.js";
import { ended } from "../support/span-lines.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hosts-"));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(dir, { recursive: true, force: true });
});

const program = (name: string) => join(import.meta.dirname, "../programs", name);
const document = (name: string): TraceFile => JSON.parse(readFileSync(join(dir, `${name}.json`), "utf8"));
const idsOf = (name: string): string[] => ended(document(name)).map(({ spanId }) => spanId);

/** A program, and the lines that it has printed. */
class Running {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly end: Promise<unknown[]>;
  #onLine = () => {};

  constructor(name: string, ...args: string[]) {
    this.child = spawn(process.execPath, [program(name), dir, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.end = once(this.child, "close");
    createInterface({ input: this.child.stdout as NonNullable<ChildProcess["stdout"]> }).on(
      "line",
      (line) => {
        this.lines.push(line);
        this.#onLine();
      },
    );
  }

  async printed(lines: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onLine = () => this.lines.length >= lines && resolve();
      this.#onLine();
    });
  }
}

test("P2 P7 P11 a cluster keeps every span of its workers, of one that is killed and replaced as well", async () => {
  const host = new Running("cluster-host.mjs");
  expect(await host.end).toEqual([0, null]);
  await recoverTraces(dir);
  expect(readdirSync(dir).filter((name) => !name.endsWith(".json"))).toEqual([]);
  const sessions = new Map<string, string[]>();
  for (const line of host.lines) {
    const [, session = "", id = ""] = /^(.*) ([0-9a-f]{16})$/.exec(line) ?? [];
    sessions.set(session, [...(sessions.get(session) ?? []), id]);
  }
  expect([...sessions.keys()]).toEqual(expect.arrayContaining(["primary", "shared", "worker 1", "worker 4"]));
  for (const [session, ids] of sessions) expect(idsOf(session)).toEqual(expect.arrayContaining(ids));
  expect(new Set(idsOf("shared")).size).toBe(idsOf("shared").length);
});

test("P2 P7 P11 a server that a process manager reloads, with overlap, and kills where it does not end", async () => {
  const printed: string[] = [];
  let before: Running | undefined;
  for (const way of ["drains", "deaf", "drains", "deaf", "drains"]) {
    const next = new Running("managed-server.mjs", way);
    await next.printed(5);
    if (before) {
      before.child.kill("SIGINT");
      await before.printed(before.lines.length + 1);
      // A program that has drained has ended by then, and is not there to be killed.
      if (before.child.spawnargs.includes("deaf")) before.child.kill("SIGKILL");
      await before.end;
      printed.push(...before.lines);
    }
    before = next;
  }
  before?.child.kill("SIGINT");
  await before?.end;
  printed.push(...(before?.lines ?? []));
  await recoverTraces(dir);
  expect(readdirSync(dir)).toEqual(["served.json"]);
  const ids = idsOf("served");
  expect(ids).toEqual(expect.arrayContaining(printed));
  expect(new Set(ids).size).toBe(ids.length);
});

test("P2 P7 P11 a pool of threads, one of which is terminated in a task and replaced", async () => {
  const reported: { session: string; id: string; way: string }[] = [];
  const workers: Worker[] = [];
  const add = () => {
    const worker = new Worker(new URL("../programs/pool-thread.mjs", import.meta.url), {
      workerData: { dir },
    });
    worker.on("message", (report) => void reported.push(report));
    workers.push(worker);
    return worker;
  };
  const ask = async (worker: Worker, session: string, way: string) => {
    const answer = once(worker, way === "end" ? "exit" : "message");
    worker.postMessage({ session, way });
    await answer;
  };
  const [one, two] = [add(), add()];
  for (let task = 0; task < 6; task++) await ask(task % 2 === 0 ? one : two, `task ${task % 3}`, "work");
  await ask(one, "task 0", "hang");
  await one.terminate();
  const three = add();
  for (let task = 0; task < 6; task++) await ask(task % 2 === 0 ? two : three, `task ${task % 3}`, "work");
  for (const worker of [two, three]) await ask(worker, "last", "end");
  await recoverTraces(dir);
  expect(readdirSync(dir).sort()).toEqual(["last.json", "task 0.json", "task 1.json", "task 2.json"]);
  for (const { session, id, way } of reported) {
    const found = document(session).spans.filter(({ spanId }) => spanId === id);
    expect([session, found.map(({ interrupted }) => interrupted === true)]).toEqual([
      session,
      [way === "hang"],
    ]);
  }
});

describe("P11 a test runner", () => {
  test("with fake timers and modules of its own for each test shares one directory", async () => {
    vi.useFakeTimers();
    const processors = [];
    for (const name of ["one", "two"]) {
      vi.resetModules();
      const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await import("../../src/index.js");
      const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
      const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("runner");
      tracer.startSpan(name, { attributes: { "session.id": "s" } }).end();
      await processor.forceFlush();
      processors.push(processor);
    }
    await Promise.all(processors.map((processor) => processor.shutdown()));
    expect(ended(document("s")).map(({ name }) => name)).toEqual(["one", "two"]);
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });
});
