/** What a directory costs while nothing happens: a program that restarts when files change must not restart for nothing. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import {
  type AsyncFileCalls,
  type FileCalls,
  type FileSystem,
  nodeFileSystem,
} from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { tracerInto } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";

/** Calls that change no file, no time and no directory. */
const looks: ReadonlySet<string> = new Set([
  ...[
    "close",
    "read",
    "fstat",
    "lstat",
    "exists",
    "existsQuickly",
    "isDirectory",
    "readdir",
    "readText",
    "readlink",
  ],
]);

/** The machine's file system, which counts the calls that change something, and knows when no call is under way. */
class CountingFileSystem implements FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  changes: string[] = [];
  underway = 0;

  constructor() {
    const note = (name: string, args: unknown[]) => {
      if (looks.has(name) || (name === "open" && args[1] === "read")) return;
      this.changes.push(
        `${name} ${String(args[0])
          .split("/")
          .at(-1)
          ?.replace(/json\.[0-9a-z-]+/, "json.<token>")}`,
      );
    };
    const names = Object.keys(nodeFileSystem.sync) as (keyof FileCalls)[];
    const each = <T>(make: (name: keyof FileCalls) => T) =>
      Object.fromEntries(names.map((name) => [name, make(name)]));
    this.sync = each((name) => (...args: unknown[]) => {
      note(name, args);
      return (nodeFileSystem.sync[name] as (...args: unknown[]) => unknown)(...args);
    }) as unknown as FileCalls;
    this.async = each((name) => async (...args: unknown[]) => {
      note(name, args);
      this.underway++;
      try {
        return await (nodeFileSystem.async[name] as (...args: unknown[]) => Promise<unknown>)(...args);
      } finally {
        this.underway--;
      }
    }) as unknown as AsyncFileCalls;
  }
}

let root: string;
let dir: string;
let clock: StillClock;
let fileSystem: CountingFileSystem;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "idle-churn-"));
  dir = join(root, "traces");
  clock = new StillClock();
  fileSystem = new CountingFileSystem();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Lets a minute pass, with the work that timers begin. */
async function passMinute(): Promise<void> {
  for (let second = 0; second < 60; second++) {
    clock.pass(1_000);
    let quiet = 0;
    const isQuiet = () => {
      quiet = fileSystem.underway === 0 ? quiet + 1 : 0;
      return quiet > 3;
    };
    await vi.waitUntil(isQuiet, { timeout: 30_000, interval: 0 });
  }
}

const snapshot = () =>
  readdirSync(dir)
    .sort()
    .map((name) => {
      const { ino, size, mtimeMs } = statSync(`${dir}/${name}`);
      return { name, ino, size, mtimeMs };
    });

describe("an idle minute", () => {
  test.each(["process", "interval", "each"] as const)(
    "with open sessions, durability %s, renews their leases and changes nothing else",
    async (durability) => {
      const exporter = new CrashSafeFileSpanExporter(
        { dir, durability, maxFiles: 10, maxTotalBytes: 1e9 },
        { clock, fileSystem },
      );
      const processor = new CrashSafeSpanProcessor(exporter);
      for (const id of ["s1", "s2"])
        tracerInto(processor)
          .startSpan("a", { attributes: { "session.id": id } })
          .end();
      tracerInto(processor).startSpan("open", { attributes: { "session.id": "s3" } });
      await exporter.forceFlush();
      await passMinute();
      const before = snapshot();
      fileSystem.changes = [];
      await passMinute();
      const journals = ["s1", "s2", "s3"].map((id) => `touch ${id}.json.<token>.live`);
      expect([...new Set(fileSystem.changes)].sort()).toEqual(journals);
      expect(fileSystem.changes).toHaveLength(4 * journals.length);
      const bare = (files: typeof before) =>
        files.map(({ name, ino, size, mtimeMs }) => ({
          name,
          ino,
          size,
          ...(!name.endsWith(".live") && { mtimeMs }),
        }));
      expect(bare(snapshot())).toEqual(bare(before));
      await processor.shutdown();
    },
  );

  test("beside settled and foreign files changes nothing", async () => {
    const first = new CrashSafeFileSpanExporter({ dir }, { clock: new StillClock() });
    tracerInto(new CrashSafeSpanProcessor(first))
      .startSpan("a", { attributes: { "session.id": "s1" } })
      .end();
    await first.shutdown();
    for (const name of ["package.json", "index.js", "notes.json.bak"]) writeFileSync(`${dir}/${name}`, "{}");
    const exporter = new CrashSafeFileSpanExporter(
      { dir, maxFiles: 10, maxTotalBytes: 1e9 },
      { clock, fileSystem },
    );
    const before = snapshot();
    clock.pass(0);
    await passMinute();
    expect(fileSystem.changes).toEqual([]);
    expect(snapshot()).toEqual(before);
    await exporter.shutdown();
  });

  test("without a session creates no directory", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir, maxFiles: 10 }, { clock, fileSystem });
    clock.pass(0);
    await passMinute();
    expect(fileSystem.changes).toEqual([]);
    expect(existsSync(dir)).toBe(false);
    await exporter.shutdown();
    expect(existsSync(dir)).toBe(false);
  });
});
