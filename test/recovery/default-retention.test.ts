/** Default bounds: documents of traces that name no session, and nothing else. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { recoverDirectory, untilRecovered } from "../../src/recovery/recover-directory.js";
import { prune, type Retention, unnamedBounds } from "../../src/recovery/retention.js";
import { Stage } from "../support/session-stage.js";
import { documentOf } from "../support/trace-documents.js";

const day = 24 * 3_600_000;
const most = unnamedBounds.maxFiles;

let stage: Stage;
let logged: string[];
beforeEach(() => {
  stage = new Stage();
  logged = [];
  const log = (...words: unknown[]) => void logged.push(words.join(" "));
  diag.setLogger({ error: log, warn: log, info: log, debug() {}, verbose() {} }, DiagLogLevel.ALL);
});
afterEach(async () => {
  await stage.end();
  diag.disable();
});

const at = (fileName: string) => `${stage.dir}/${fileName}`;
const traceId = (n: number) => (0xa000 + n).toString(16).padStart(32, "0");

function age(fileName: string, days: number): void {
  const then = (Date.now() - days * day) / 1_000;
  utimesSync(at(fileName), then, then);
}

/** A document under the name of its session, this many days old. */
function write(document: Partial<TraceFile> & { sessionId: string }, days: number): void {
  const fileName = `${document.sessionId}.json`;
  writeFileSync(at(fileName), JSON.stringify(document));
  age(fileName, days);
}

/** Documents of unnamed traces, the first one the oldest. */
function unnamed(count: number, from = 0): void {
  for (let n = from; n < from + count; n++)
    write({ ...documentOf(traceId(n)), traceId: traceId(n) }, 500 - n / 10);
}

/** 1,000 files that are older than all documents, none of them ours, and most with the name of an unnamed trace. */
function foreign(): string[] {
  const names: string[] = [];
  const add = (name: string, make: (path: string) => void) => {
    make(at(name));
    names.push(name);
  };
  for (let n = 0; n < 200; n++) {
    const id = (0xf_0000 + n).toString(16).padStart(32, "0");
    add(`${id}.json`, (path) => writeFileSync(path, '{"version":2,"notes":"mine"}'));
    add(`config-${n}.json`, (path) => writeFileSync(path, '{"mine":true}'));
    // A copy of an unnamed document under another trace id.
    const copy = (0xe_0000 + n).toString(16).padStart(32, "0");
    add(`${copy}.json`, (path) =>
      writeFileSync(path, JSON.stringify({ ...documentOf(traceId(n)), traceId: traceId(n) })),
    );
    const folder = (0xd_0000 + n).toString(16).padStart(32, "0");
    add(`${folder}.json`, (path) => mkdirSync(path));
    add(`notes-${n}.txt`, (path) => writeFileSync(path, "mine"));
  }
  for (const name of names) age(name, 900);
  const link = (0xc_0000).toString(16).padStart(32, "0");
  add(`${link}.json`, (path) => symlinkSync(at(`${traceId(most)}.json`), path));
  const pipe = (0xc_0001).toString(16).padStart(32, "0");
  add(`${pipe}.json`, (path) => void execFileSync("mkfifo", [path]));
  return names;
}

/** Documents that are ours, and of sessions with names: the default bounds leave them alone. */
function named(): string[] {
  const { id: _, ...old } = documentOf("ses_old");
  write(old, 800);
  const ids = ["ses_1", "0123456789abcdef0123456789abcdef", "fedcba98-7654-3210-fedc-ba9876543210"];
  for (const id of ids) write(documentOf(id), 800);
  // The old tracer's, under a name of the form of a trace id.
  const oldHex = "00000000000000000000000000000abc";
  const { id: __, ...oldUnderHex } = { ...documentOf(oldHex), traceId: oldHex };
  write(oldUnderHex, 800);
  return ["ses_old", ...ids, oldHex].map((id) => `${id}.json`);
}

/** The document of one run with the policy `process`; `unnamed`: as this package marks it. */
const runId = (n: number) => `my-server-20261130T081500Z-${n}`;
function run(n: number, days: number, unnamed: boolean): void {
  const document = documentOf(runId(n));
  const layout = { v: 1 as const, ...(unnamed && { unnamed: true as const }), tailStart: 1 };
  write({ ...document, layout }, days);
}

const none: Retention = { maxFiles: undefined, maxFileAgeMillis: 0, maxTotalBytes: undefined };

async function keep(
  limits: Partial<Retention> = {},
  fileSystem: FileSystem = nodeFileSystem,
): Promise<string[]> {
  const removed: string[] = [];
  const ports = { fileSystem, liveness: stage.liveness, clock: systemClock };
  const onRemoved = (path: string) => removed.push(path.slice(stage.dir.length + 1));
  await runAsync(fileSystem, prune(ports, stage.dir, { ...none, ...limits }, { onRemoved }));
  return removed;
}

describe("P9 default bounds", () => {
  test("beside 1,000 foreign files, named sessions, live ones and wrong times, only the oldest unnamed documents go, and each is logged", async () => {
    const others = [...foreign(), ...named()];
    unnamed(most + 8);
    const [ahead, live] = [`${traceId(3)}.json`, `${traceId(5)}.json`];
    // A time in the future says nothing: the file was changed just now.
    age(ahead, -4_000);
    const writer = stage.actor();
    writer.start(traceId(5));
    const exporter = stage.actor();
    exporter.clock.pass(0);
    const expected = [0, 1, 2, 4, 6, 7, 8, 9].map((n) => `${traceId(n)}.json`);
    await vi.waitUntil(
      () => logged.filter((line) => line.includes("removed ")).length >= expected.length,
      30_000,
    );
    await exporter.processor.shutdown();
    const removals = logged.filter((line) => line.includes("removed "));
    expect(removals).toHaveLength(expected.length);
    for (const fileName of expected) {
      expect(stage.files).not.toContain(fileName);
      expect(removals).toContainEqual(
        expect.stringMatching(new RegExp(`removed \\S*${fileName}: by default, traces that name no session`)),
      );
    }
    expect(stage.files).toEqual(expect.arrayContaining([...others, ahead, live]));
    const kept = Array.from({ length: most + 8 }, (_, n) => `${traceId(n)}.json`).filter(
      (name) => !expected.includes(name),
    );
    expect(stage.files).toEqual(expect.arrayContaining(kept));
  });

  test("256 MB of unnamed documents are kept, whatever named sessions have", async () => {
    unnamed(3);
    write(documentOf("ses_1"), 900);
    // Sparse: retention reads heads and sizes only.
    for (const name of [...[0, 1, 2].map(traceId), "ses_1"]) {
      truncateSync(at(`${name}.json`), 100_000_000);
      age(`${name}.json`, name === traceId(0) ? 600 : 500);
    }
    expect(await keep()).toEqual([`${traceId(0)}.json`]);
    expect(await keep()).toEqual([]);
    expect(await keep({ maxTotalBytes: 0 })).toEqual([]);
  });

  test("documents of whole runs (withoutSession: process) count, and a session that a program named so does not", async () => {
    for (let n = 0; n < most + 2; n++) run(n, 500 - n / 10, n !== 1);
    expect(await keep()).toEqual([`${runId(0)}.json`]);
    expect(await keep()).toEqual([]);
    run(0, 600, true);
    expect(await keep({ maxFiles: most + 1 })).toEqual([`${runId(0)}.json`]);
  });

  test.each(["shutdown", "kill", "kill before the move", "resume"] as const)(
    "the document of a run is marked after %s",
    async (way) => {
      const options = { withoutSession: "process" as const };
      const actor = stage.actor(options);
      actor.startUnnamed("HTTP").end();
      if (way === "kill before the move") actor.startUnnamed("open");
      else await actor.processor.forceFlush();
      if (way === "shutdown") await actor.processor.shutdown();
      else stage.liveness.bury();
      if (way === "resume") {
        const second = stage.actor(options);
        second.startUnnamed("later").end();
        await second.processor.shutdown();
      }
      const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: stage.liveness };
      expect((await recoverDirectory(ports, stage.dir, untilRecovered)).failures).toEqual([]);
      const [fileName] = stage.files;
      expect(stage.files).toEqual([expect.stringMatching(/^unknown_service.*-\d{8}T\d{6}Z-\d+\.json$/)]);
      const document: TraceFile = JSON.parse(readFileSync(at(fileName as string), "utf8"));
      expect(document.layout).toMatchObject({ unnamed: true });
      expect(document.metadata).toEqual({});
      expect(Object.keys(document)).not.toContain("unnamed");
    },
  );

  test("no head is read while the bounds hold", async () => {
    named();
    unnamed(20);
    const opened: string[] = [];
    const async = { ...nodeFileSystem.async };
    async.open = (path, mode) => {
      opened.push(path);
      return nodeFileSystem.async.open(path, mode);
    };
    expect(await keep({}, { ...nodeFileSystem, async })).toEqual([]);
    expect(opened).toEqual([]);
  });

  test.each([
    ["maxFiles", { maxFiles: 0 }],
    ["maxFiles, of a larger number", { maxFiles: 5_000 }],
  ])("%s replaces the bound on the number", async (_, limits) => {
    unnamed(most + 5);
    expect(await keep(limits)).toEqual([]);
  });
});

describe("P9 limits of the program", () => {
  test("remove unnamed documents first, then the oldest", async () => {
    named();
    unnamed(3);
    write(documentOf("ses_2"), 1);
    expect(await keep({ maxFiles: 7 })).toEqual([`${traceId(0)}.json`, `${traceId(1)}.json`]);
    const next = await keep({ maxFiles: 3 });
    expect(next[0]).toBe(`${traceId(2)}.json`);
    expect(next).toHaveLength(4);
    expect(stage.files).toContain("ses_2.json");
    expect(await keep({ maxFileAgeMillis: 100 * day })).toHaveLength(2);
    expect(stage.files).toEqual(["ses_2.json"]);
  });
});
