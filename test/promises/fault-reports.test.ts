/** What the library reports about faults, and what a fault does to calls that come while it lasts. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { IdleClock } from "../support/idle-clock.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { spanOf } from "../support/projection-span.js";
import { spansOf } from "../support/recorded-session.js";

const sessionId = "ses_reports";
const reported: string[] = [];
let dir: string;

beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "fault-reports-"));
  reported.length = 0;
  const report = (...words: unknown[]) => void reported.push(words.join(" "));
  diag.setLogger({ error: report, warn: report, info() {}, debug() {}, verbose() {} }, DiagLogLevel.ALL);
  reported.length = 0;
});
afterEach(() => {
  diag.disable();
  fs.rmSync(dir, { recursive: true, force: true });
});

function traced(n: number, text = "short"): ReadableSpan {
  const spanId = (0x1000_0000 + n).toString(16).padStart(16, "0");
  return spanOf({
    name: `step ${n}`,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    attributes: { "session.id": sessionId, text },
  });
}

const document = (exporter: CrashSafeFileSpanExporter): TraceFile =>
  JSON.parse(fs.readFileSync(exporter.tracePath(sessionId), "utf8"));

const namesIn = (exporter: CrashSafeFileSpanExporter): string[] =>
  [...spansOf(document(exporter)).values()].map(({ name }) => name);

function exporterOn(fileSystem: FaultyFileSystem): CrashSafeFileSpanExporter {
  return new CrashSafeFileSpanExporter(
    { dir },
    { fileSystem, clock: new IdleClock(), liveness: new MortalLiveness() },
  );
}

const namesOf = (count: number): string[] => Array.from({ length: count }, (_, n) => `step ${n}`);

describe("P6 reports of faults", () => {
  it("P6 a full disk is reported once, not once per span, and counted", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 10, times: "forever", code: "ENOSPC" });
    const exporter = exporterOn(fileSystem);
    for (let n = 0; n < 200; n++) exporter.recordEnd(traced(n));
    await expect(exporter.forceFlush()).rejects.toMatchObject({
      name: "CrashSafeFileError",
      code: "WRITE_FAILED",
      cause: { code: "ENOSPC" },
    });
    expect(reported).toHaveLength(1);
    expect(reported[0]).toMatch(/ENOSPC.*free some space/);
    expect(exporter.stats()).toMatchObject({ recorded: 200, dropped: 0 });
    expect(exporter.stats().faults).toBeGreaterThan(150);
    fileSystem.clear();
    await exporter.forceFlush();
    expect(namesIn(exporter)).toEqual(namesOf(200));
    await exporter.shutdown();
    expect(reported).toHaveLength(1);
  });

  it("P6 records that exceed the retry queue are dropped, the newest first, and counted", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 10, times: "forever", code: "ENOSPC" });
    const exporter = exporterOn(fileSystem);
    const text = "x".repeat(1_000_000);
    for (let n = 0; n < 50; n++) exporter.recordEnd(traced(n, text));
    const { recorded, dropped } = exporter.stats();
    expect(recorded + dropped).toBe(50);
    expect(recorded).toBeGreaterThanOrEqual(31);
    expect(dropped).toBeGreaterThan(10);
    // The first drop is reported at once. The rest are reported together at the end.
    expect(reported.filter((line) => line.includes("dropped"))).toEqual([
      expect.stringMatching(/dropped 1 span: .*retry queue is full; free some space/),
    ]);
    fileSystem.clear();
    exporter.recordEnd(traced(50));
    await exporter.forceFlush();
    expect(namesIn(exporter)).toEqual([...namesOf(recorded), "step 50"]);
    await exporter.shutdown();
    expect(reported.at(-1)).toMatch(`dropped ${dropped - 1} more spans: `);
    expect(reported.at(-1)).toMatch(`(${dropped} in all)`);
  });

  it("P6 the rest of a record that was cut short is written before any other byte", async () => {
    for (let nth = 1; nth <= 5; nth++) {
      const fileSystem = new FaultyFileSystem({ nth, times: "once", code: "ENOSPC", isShort: true });
      const exporter = exporterOn(fileSystem);
      for (let n = 0; n < 3; n++) exporter.recordEnd(traced(n));
      expect(fileSystem.fired).toBe(1);
      await exporter.forceFlush();
      expect(namesIn(exporter)).toEqual(namesOf(3));
      await exporter.shutdown();
      for (const name of fs.readdirSync(dir)) fs.rmSync(join(dir, name));
    }
  });

  it("P5 a second endSession after a failed end does not resolve while the end is not written", async () => {
    const fileSystem = new FaultyFileSystem();
    fileSystem.fail("link", "EIO");
    const exporter = exporterOn(fileSystem);
    exporter.recordEnd(traced(0));
    const failure = { code: "WRITE_FAILED", cause: { code: "EIO" } };
    await expect(exporter.endSession(sessionId)).rejects.toMatchObject(failure);
    await expect(exporter.endSession(sessionId)).rejects.toMatchObject(failure);
    await expect(exporter.forceFlush()).rejects.toMatchObject(failure);
    fileSystem.clear();
    await exporter.endSession(sessionId);
    expect(document(exporter).summary.status).toBe("completed");
    expect(fs.readdirSync(dir)).toEqual([`${sessionId}.json`]);
    await exporter.shutdown();
  });

  it("P5 a second endSession waits for the first", async () => {
    const exporter = exporterOn(new FaultyFileSystem());
    exporter.recordEnd(traced(0));
    const first = exporter.endSession(sessionId);
    await exporter.endSession(sessionId);
    expect(document(exporter).summary.status).toBe("completed");
    await first;
    await exporter.shutdown();
  });

  it("P6 a directory without write permission throws nothing and loses no span", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 1, times: "forever", code: "EACCES" });
    const exporter = exporterOn(fileSystem);
    exporter.recordStart(traced(0));
    exporter.recordEnd(traced(0));
    exporter.export([traced(1)], ({ code }) => expect(code).toBe(0));
    await expect(exporter.endSession(sessionId)).rejects.toMatchObject({ code: "WRITE_FAILED" });
    fileSystem.clear();
    await exporter.shutdown();
    expect(namesIn(exporter)).toEqual(namesOf(2));
  });
});

/** A disk of one megabyte. Mounting it requires root. */
function mountSmallDisk(at: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", at], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("P6 a real full disk", () => {
  it("P6 spans wait in memory while a disk is full, and are all written when the disk has room again", async (context) => {
    if (!mountSmallDisk(dir)) context.skip("no permission to mount a small file system here");
    try {
      const traces = join(dir, "traces");
      const exporter = new CrashSafeFileSpanExporter({ dir: traces }, { clock: new IdleClock() });
      exporter.recordEnd(traced(0));
      await exporter.forceFlush();
      const before = fs.readFileSync(exporter.tracePath(sessionId));

      const filler = join(dir, "filler");
      fillUp(filler);
      for (let n = 1; n < 40; n++) exporter.recordEnd(traced(n, "y".repeat(5_000)));
      await expect(exporter.forceFlush()).rejects.toMatchObject({ code: "WRITE_FAILED" });
      expect(fs.readFileSync(exporter.tracePath(sessionId)).equals(before)).toBe(true);
      expect(exporter.stats()).toMatchObject({ recorded: 40, dropped: 0 });
      expect(reported.filter((line) => line.includes("ENOSPC"))).toHaveLength(1);

      nodeFileSystem.sync.unlink(filler);
      await exporter.forceFlush();
      expect(namesIn(exporter)).toEqual(namesOf(40));
      await exporter.shutdown();
      expect(fs.readdirSync(traces)).toEqual([`${sessionId}.json`]);
    } finally {
      execFileSync("umount", ["-l", dir]);
    }
  });

  it("P6 a crash fence on a full disk keeps the last good document, and finishes it when the disk has room", async (context) => {
    if (!mountSmallDisk(dir)) context.skip("no permission to mount a small file system here");
    try {
      const exporter = new CrashSafeFileSpanExporter(
        { dir: join(dir, "traces") },
        { clock: new IdleClock() },
      );
      exporter.recordStart(traced(99));
      exporter.recordEnd(traced(0));
      await exporter.forceFlush();
      const filler = join(dir, "filler");
      fillUp(filler);
      for (let n = 1; n < 10; n++) exporter.recordEnd(traced(n, "y".repeat(5_000)));
      exporter.crash("fenced");
      expect(document(exporter).summary).toMatchObject({ status: "completed", idle: true });
      nodeFileSystem.sync.unlink(filler);
      await exporter.forceFlush();
      expect(document(exporter).summary).toMatchObject({ status: "crashed", error: "fenced" });
      expect(namesIn(exporter).sort()).toEqual([...namesOf(10), "step 99"].sort());
      await exporter.shutdown();
    } finally {
      execFileSync("umount", ["-l", dir]);
    }
  });
});

/** Writes until the disk is full. */
function fillUp(path: string): void {
  const fd = fs.openSync(path, "w");
  try {
    for (;;) fs.writeSync(fd, Buffer.alloc(4_096));
  } catch (error) {
    expect((error as { code?: string }).code).toBe("ENOSPC");
  } finally {
    fs.closeSync(fd);
  }
}
