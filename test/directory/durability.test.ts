import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import type { Durability } from "../../src/storage/durability.js";
import { tracerInto } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";

type Side = "open" | "live";

/** The machine's file system. Notes which side files are synced and which are open. */
class SyncWatch implements FileSystem {
  readonly synced: Side[] = [];
  readonly held = new Map<number, Side>();
  /** The number of syncs that fail. */
  failures = 0;
  readonly sync = {
    ...nodeFileSystem.sync,
    open: (...args: Parameters<FileSystem["sync"]["open"]>) =>
      this.#opened(nodeFileSystem.sync.open(...args), args[0]),
    fdatasync: (fd: number) => {
      nodeFileSystem.sync.fdatasync(fd);
      this.#note(fd);
    },
    close: (fd: number) => {
      this.held.delete(fd);
      nodeFileSystem.sync.close(fd);
    },
  };
  readonly async = {
    ...nodeFileSystem.async,
    fdatasync: async (fd: number) => {
      if (this.held.has(fd) && this.failures-- > 0)
        throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
      await nodeFileSystem.async.fdatasync(fd);
      this.#note(fd);
    },
    close: (fd: number) => {
      this.held.delete(fd);
      return nodeFileSystem.async.close(fd);
    },
  };

  /**
   * What was synced since the last call, in any order. A concurrent publish may have synced the append log as well.
   */
  takeSynced(): Side[] {
    return [...new Set(this.synced.splice(0))].sort();
  }

  #opened(fd: number, path: string): number {
    const side = /\.(open|live)$/.exec(path)?.[1];
    if (side) this.held.set(fd, side as Side);
    else this.held.delete(fd);
    return fd;
  }

  #note(fd: number): void {
    const side = this.held.get(fd);
    if (side) this.synced.push(side);
  }
}

/** Waits for an event without a time limit, because disks may be slow. */
const inTime = { timeout: 30_000 };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function stage(durability: Durability) {
  const dir = mkdtempSync(join(tmpdir(), "durability-"));
  const fileSystem = new SyncWatch();
  const clock = new StillClock();
  const exporter = new CrashSafeFileSpanExporter({ dir, durability }, { fileSystem, clock });
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = tracerInto(processor);
  cleanups.push(async () => {
    await processor.shutdown();
    rmSync(dir, { recursive: true, force: true });
  });
  const start = (sessionId = "s") => tracer.startSpan("work", { attributes: { "session.id": sessionId } });
  return { dir, fileSystem, clock, start };
}

test('P2 "each": a start and an end are synced when their call returns', () => {
  const { fileSystem, start } = stage("each");
  const span = start();
  expect(fileSystem.takeSynced()).toContain("live");
  span.end();
  expect(fileSystem.takeSynced()).toEqual(["open"]);
  start();
  expect(fileSystem.takeSynced()).toEqual(["live"]);
});

test('P2 "interval": records are synced within a second, starts included, and none twice', async () => {
  const { fileSystem, clock, start } = stage("interval");
  start().end();
  fileSystem.takeSynced();
  start().end();
  expect(fileSystem.takeSynced()).toEqual([]);
  clock.pass(1_000);
  await vi.waitFor(() => expect(new Set(fileSystem.synced)).toEqual(new Set(["live", "open"])), inTime);
  fileSystem.takeSynced();

  clock.pass(1_000);
  start();
  clock.pass(1_000);
  await vi.waitFor(() => expect(fileSystem.synced).toContain("live"), inTime);
  expect(fileSystem.takeSynced()).toEqual(["live"]);
});

test('P2 "interval": a file whose sync failed is written anew in the next second, also without a further record', async () => {
  const { dir, fileSystem, clock, start } = stage("interval");
  const journal = (): bigint | undefined => {
    const name = readdirSync(dir).find((file) => file.endsWith(".live"));
    return name === undefined ? undefined : fileSystem.sync.lstat(join(dir, name))?.ino;
  };
  start().end();
  start().end();
  // Once the document is published, no publish syncs the append log.
  clock.pass(20);
  await vi.waitFor(() => expect(fileSystem.synced.filter((side) => side === "live")).toHaveLength(2), inTime);
  start().end();
  fileSystem.takeSynced();
  fileSystem.failures = 1;
  clock.pass(1_000);
  const failed = journal();
  await vi.waitFor(() => expect(fileSystem.failures).toBeLessThan(1), inTime);
  await vi.waitFor(() => {
    clock.pass(1_000);
    expect(journal()).not.toBe(failed);
  }, inTime);
});

test('P2 "process": no side file is synced for a record', () => {
  const { fileSystem, start } = stage("process");
  for (let i = 0; i < 10; i++) start().end();
  expect(fileSystem.takeSynced()).toEqual([]);
});

test("P8 publishing and syncing many sessions holds no more of their files open than recording does", async () => {
  const { fileSystem, clock, start } = stage("interval");
  const sessions = 150;
  for (let i = 0; i < sessions; i++) start(`s${i}`).end();
  await vi.waitFor(() => expect(fileSystem.held.size).toBeLessThanOrEqual(2 * 40), inTime);
  fileSystem.takeSynced();
  clock.pass(1_000);
  // The first record of a session is synced with it. The end came later.
  await vi.waitFor(
    () => expect(fileSystem.synced.filter((side) => side === "open")).toHaveLength(sessions),
    inTime,
  );
  await vi.waitFor(() => expect(fileSystem.held.size).toBeLessThanOrEqual(2 * 40), inTime);
});
