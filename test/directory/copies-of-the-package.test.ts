/**
 * Copies of the package in one process: of one version they share the sessions of a directory (`registry/2`); beside
 * version 0.1.0, which knows `registry/1` only, they are peer writers.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SharedDirectory } from "../../src/directory/shared-directory.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";

const program = fileURLToPath(new URL("../programs/copies-of-the-package.mjs", import.meta.url));
const sessionId = "ses_copies";
let root: string;
let dir: string;
/** An unpacked 0.1.0. */
let old: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "copies-"));
  old = join(root, "node_modules/opentelemetry-exporter-crash-safe-file");
  mkdirSync(old, { recursive: true });
  const tarball = fileURLToPath(new URL("../fixtures/packages/0.1.0.tgz", import.meta.url));
  execFileSync("tar", ["-xzf", tarball, "-C", old, "--strip-components=1"]);
  symlinkSync(resolve("node_modules/@opentelemetry"), join(root, "node_modules/@opentelemetry"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "copies-traces-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Event {
  readonly owners?: number;
  readonly constructors?: number;
  readonly started?: readonly string[];
}

function run(copies: readonly string[], end: string) {
  const args = [program, dir, sessionId, copies.join(","), end];
  const { stdout, signal, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const events: Event[] = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  expect(events.length, stderr).toBeGreaterThan(0);
  return { events, signal, started: events.findLast(({ started }) => started)?.started ?? [] };
}

const document = (): TraceFile => JSON.parse(readFileSync(join(dir, `${sessionId}.json`), "utf8"));
const spanIds = () =>
  document()
    .spans.filter(({ kind }) => kind !== "session")
    .map(({ spanId }) => spanId);

/** Each span that was started is in the document once, and nothing else is in the directory. */
function expectAll(started: readonly string[]): void {
  expect([...spanIds()].sort()).toEqual([...started].sort());
  expect(readdirSync(dir)).toEqual([`${sessionId}.json`]);
}

describe("the contract registry/2", () => {
  const slot = Symbol.for("opentelemetry-exporter-crash-safe-file/registry/2");

  /** Members that another copy can use: own ones, and methods of the prototypes. */
  function membersOf(value: object): string[] {
    const names = new Set<string>();
    for (let at = value; at !== Object.prototype && at !== null; at = Object.getPrototypeOf(at))
      for (const name of Object.getOwnPropertyNames(at)) if (name !== "constructor") names.add(name);
    return [...names].sort();
  }

  test("is frozen: a change of these members needs registry/3", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const registry = (globalThis as unknown as Record<symbol, { directories: Map<string, SharedDirectory> }>)[
      slot
    ];
    const directory = registry?.directories.get(dir);
    if (!registry || !directory) throw new Error("the directory is not registered");
    expect(Object.isFrozen(registry) && Object.isFrozen(directory)).toBe(true);
    expect(membersOf(registry)).toEqual(["directories", "queues"]);
    expect(membersOf(directory)).toEqual(["join"]);
    const user = directory.join({
      onFault() {},
      onRemoved() {},
      onReleased() {},
      onLost() {},
      onRefused() {},
    });
    expect(membersOf(user)).toEqual([
      "admit",
      "admitUnnamed",
      "counts",
      "crash",
      "crashSession",
      "end",
      "endNow",
      "fence",
      "findSession",
      "flush",
      "flushSession",
      "homeOf",
      "knownEnd",
      "leave",
      "maintain",
      "named",
      "openSession",
      "path",
      "placeBelow",
      "release",
    ]);
    const session = user.openSession({ id: "s", traceId: "0".repeat(32), startTime: 1 }, {});
    expect(membersOf(session)).toEqual([
      "id",
      "isHeld",
      "isNew",
      "isOpen",
      "learn",
      "metadata",
      "moveOut",
      "path",
      "recordAttributes",
      "recordChange",
      "recordEnd",
      "recordStart",
      "rootSpanId",
      "setTraceId",
      "summary",
      "takeHistory",
      "traceId",
      "update",
    ]);
    await user.leave().done;
    user.release();
    await exporter.shutdown();
    expect(registry.directories.has(dir)).toBe(false);
  });
});

describe("P7 copies of this version share a session", () => {
  test.each([
    { copies: ["esm", "cjs"], constructors: 2 },
    { copies: ["esm", "second"], constructors: 2 },
    { copies: ["cjs", "second"], constructors: 2 },
  ])("$copies: one writer, one end", ({ copies, constructors }) => {
    const { events, started } = run(copies, "shutdown");
    expect(events[0]).toMatchObject({ owners: 1, constructors });
    expectAll(started);
    expect(document().summary.status).toBe("completed");
  });

  test("the first copy that shuts down does not end the session of the other", () => {
    const { events, started } = run(["esm", "second"], "leave");
    expect(events.map(({ owners }) => owners).filter((owners) => owners !== undefined)).toEqual([1, 1]);
    expectAll(started);
    expect(document().summary.status).toBe("completed");
  });

  test("the crash fence of one copy ends the session for both", () => {
    const { started } = run(["esm", "second"], "crash");
    expectAll(started);
    expect(document().summary).toMatchObject({ status: "crashed", error: "the first copy crashed" });
  });
});

describe("P7 a copy of version 0.1.0 is a peer writer", () => {
  test.each([0, 1])("each has a writer, and the document has the spans of both (order %i)", (order) => {
    const copies = order === 0 ? [old, "cjs"] : ["cjs", old];
    const { events, started } = run(copies, "shutdown");
    expect(events[0]).toMatchObject({ owners: 2, constructors: 2 });
    expectAll(started);
    expect(document().summary.status).toBe("completed");
  });

  test.each([0, 1])("the session continues when the first copy shuts down (order %i)", (order) => {
    const copies = order === 0 ? [old, "cjs"] : ["cjs", old];
    const { events, started } = run(copies, "leave");
    expect(events.map(({ owners }) => owners).filter((owners) => owners !== undefined)).toEqual([2, 1]);
    expectAll(started);
    expect(document().summary.status).toBe("completed");
  });

  test("P2 recovery finishes both after a kill", async () => {
    const { signal, started } = run([old, "cjs"], "kill");
    expect(signal).toBe("SIGKILL");
    const { failures } = await recoverTraces(dir);
    expect(failures).toEqual([]);
    expectAll(started);
    expect(document().summary.status).toBe("crashed");
  });

  test("P2 version 0.1.0 recovers what this version leaves behind", () => {
    const { started } = run(["cjs"], "kill");
    execFileSync(process.execPath, [
      "-e",
      `require(${JSON.stringify(join(old, "build/reader.js"))}).recoverTraces(${JSON.stringify(dir)})`,
    ]);
    expectAll(started);
    expect(document().summary.status).toBe("crashed");
  });
});

describe("P7 ES modules and CommonJS in one process share their state", () => {
  const crossed = fileURLToPath(new URL("../programs/crossed-copies.mjs", import.meta.url));

  test.each([
    ["drained", { status: "completed" }],
    ["exit", { status: "crashed", detector: "exit" }],
    ["SIGTERM", { status: "crashed", detector: "SIGTERM" }],
    ["SIGKILL", { status: "crashed", detector: "process gone" }],
  ])("%s: a processor with an exporter of the other copy, and a fence of each", async (end, summary) => {
    const { stdout, stderr, signal } = spawnSync(process.execPath, [crossed, dir, end], {
      encoding: "utf8",
      timeout: 60_000,
    });
    expect([stderr, signal]).toEqual(["", end.startsWith("SIG") ? end : null]);
    const { started, ...shared } = JSON.parse(stdout);
    expect(shared).toEqual({
      copies: true,
      // At an exit, the fence and the report of what is lost.
      listeners: [1, 2, 1, 1],
      instances: [true, true, true, true],
      isActive: true,
    });
    if (end === "SIGKILL") await recoverTraces(dir);
    expect(readdirSync(dir).sort()).toEqual(["child.json", "crossed.json", "parent.json"]);
    const read = (id: string): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));
    const { spans, summary: found } = read("crossed");
    expect(
      spans
        .filter(({ kind }) => kind !== "session")
        .map(({ name }) => name)
        .sort(),
    ).toEqual(started.sort());
    expect(found).toMatchObject(summary);
    const [session] = read("child").spans.filter(({ kind }) => kind === "session");
    expect(session?.attributes).toMatchObject({ "crash_safe_file.parent_session.id": "parent" });
  });
});
