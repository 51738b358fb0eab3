/**
 * A shutdown that fails: what the counters, the message, a second shutdown and the disk say, while the fault lasts and
 * after the fault is gone.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Trace } from "../../src/altimate/trace.js";
import { FileExporter } from "../../src/altimate/trace-file-exporter.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { outcome } from "../../src/platform/async.js";
import type { CrashSafeFileError } from "../../src/platform/errors.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { FaultyFileSystem, faultCodes } from "../support/faulty-file-system.js";
import { logTurn } from "../support/logged-turn.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { tracerInto } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";

let root: string;
let dir: string;
beforeEach(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), "failed-shutdown-"));
  dir = join(root, "traces");
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const path = () => `${dir}/s.json`;

/** Names of ended spans that a reader finds, in the document and in side files. */
async function onDisk(): Promise<string[]> {
  try {
    const { trace } = await readTrace(path());
    const ended = trace.spans.filter(({ kind, endTime }) => kind !== "session" && endTime !== undefined);
    return ended.map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

/** An exporter behind a processor, on a clock that the test moves. */
class Recording {
  readonly clock = new StillClock();
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  readonly names: string[] = [];
  readonly #tracer;

  constructor(fileSystem = new FaultyFileSystem(), durability: "process" | "each" = "process") {
    const ports = { fileSystem, clock: this.clock, liveness: new MortalLiveness() };
    this.exporter = new CrashSafeFileSpanExporter({ dir, durability }, ports);
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.#tracer = tracerInto(this.processor);
  }

  record(count: number, id = "s"): void {
    for (let i = 0; i < count; i++) {
      const name = `step ${this.names.length}`;
      this.#tracer.startSpan(name, { attributes: { "session.id": id } }).end();
      this.names.push(name);
    }
    this.names.sort();
  }

  /** Lets time pass, second by second, with the work that timers begin. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds && this.exporter.stats().openSessions > 0; second++) {
      const { faults } = this.exporter.stats();
      this.clock.pass(1_000);
      // A retry ends with a written document, or with one more fault.
      await vi.waitUntil(() => {
        const stats = this.exporter.stats();
        return stats.openSessions === 0 || stats.faults > faults;
      }, 30_000);
    }
  }

  /** What the counters say agrees with what a reader finds. */
  async expectTrueCounters(openSessions: number): Promise<void> {
    const found = await onDisk();
    const { exported, inflight, recorded, dropped, ...stats } = this.exporter.stats();
    expect({ exported, inflight, recorded, dropped }).toEqual({
      exported: found.length,
      inflight: this.names.length - found.length,
      recorded: this.names.length,
      dropped: 0,
    });
    expect(stats.openSessions).toBe(openSessions);
    if (inflight === 0) return;
    expect(stats.queuedBytes).toBeGreaterThan(0);
  }

  async expectAllWritten(): Promise<void> {
    expect(fs.readdirSync(dir)).toEqual(["s.json"]);
    const trace = JSON.parse(fs.readFileSync(path(), "utf8"));
    expect(trace.summary.status).toBe("completed");
    expect(await onDisk()).toEqual(this.names);
    expect(this.exporter.stats()).toMatchObject({
      exported: this.names.length,
      inflight: 0,
      openSessions: 0,
      queuedBytes: 0,
    });
  }
}

/** Shuts down while the fault lasts, then lets the fault go. Returns whether the shutdown failed. */
async function failAndRecover(
  recording: Recording,
  fileSystem: FaultyFileSystem,
  code: string,
): Promise<boolean> {
  const { exporter, processor } = recording;
  const failure = (await outcome(processor.shutdown())) as CrashSafeFileError | undefined;
  if (failure === undefined) {
    fileSystem.clear();
    // Side files that could not be removed are removed later.
    recording.clock.pass(15_000);
    await recording.expectAllWritten();
    expect(recording.clock.pending).toBe(0);
    return false;
  }
  expect(failure.code).toBe("EXPORT_FAILED");
  expect(failure.message).toContain(path());
  expect(failure.message).toContain(code);
  const { inflight } = exporter.stats();
  const where =
    inflight > 0 ? /spans? of this exporter waits? in memory and would be lost with/ : /in side files in/;
  expect(failure.message).toMatch(where);
  await recording.expectTrueCounters(1);

  await expect(exporter.endSession("s")).rejects.toMatchObject({ code: "WRITE_FAILED" });
  await expect(processor.shutdown()).rejects.toMatchObject({ code: "EXPORT_FAILED" });
  await recording.expectTrueCounters(1);
  await recording.pass(3);
  await recording.expectTrueCounters(1);
  expect(processor.stopped).toBe(false);

  fileSystem.clear();
  await recording.pass(15);
  await recording.expectAllWritten();
  expect(processor.stopped).toBe(true);
  expect(exporter.stopped).toBe(true);
  expect(recording.clock.pending).toBe(0);
  await processor.shutdown();
  await exporter.endSession("s");
  await exporter.forceFlush();
  await recording.expectAllWritten();
  return true;
}

/** Calls without which no shutdown succeeds. A first document takes its name by a link alone. */
const needed = ["write", "fdatasync", "link", "lstat", "open"] as const;
/** Calls that replace a document. */
const neededLater = ["mkdir", "rename"] as const;

describe("P5 P14 a failed shutdown", () => {
  for (const code of faultCodes) {
    for (const name of needed) {
      // No fault: there are no hard links then, and a copy takes the name (test/promises/refused-ground.test.ts).
      if (name === "link" && code === "EACCES") continue;
      it(`P5 P14 ${name} fails with ${code} since the first span: words agree with the disk, and retries write all`, async () => {
        const fileSystem = new FaultyFileSystem();
        const recording = new Recording(fileSystem);
        fileSystem.fail(name, code);
        recording.record(3);
        expect(await failAndRecover(recording, fileSystem, code)).toBe(true);
      });
    }

    for (const name of neededLater) {
      it(`P5 P14 ${name} fails with ${code} since the first document: words agree with the disk, and retries write all`, async () => {
        const fileSystem = new FaultyFileSystem();
        const recording = new Recording(fileSystem);
        recording.record(1);
        await recording.processor.forceFlush();
        fileSystem.fail(name, code);
        recording.record(3);
        expect(await failAndRecover(recording, fileSystem, code)).toBe(true);
      });
    }

    for (const durability of code === "EIO" ? (["process", "each"] as const) : []) {
      it(`P5 P14 the Nth and later calls of a shutdown fail with ${code}, durability ${durability}: words agree with the disk`, async () => {
        let failures = 0;
        for (let nth = 1; ; nth++) {
          const fileSystem = new FaultyFileSystem();
          const recording = new Recording(fileSystem, durability);
          recording.record(3);
          if (nth % 2) await recording.exporter.forceFlush();
          recording.record(2);
          fileSystem.begin({ nth, times: "forever", code });
          if (await failAndRecover(recording, fileSystem, code)) failures++;
          else if (fileSystem.fired === 0) break;
          fs.rmSync(dir, { recursive: true });
        }
        expect(failures).toBeGreaterThan(5);
      });
    }
  }

  it("P14 counts spans of a session that two exporters write to, until the other exporter has written them", async () => {
    const fileSystem = new FaultyFileSystem();
    const clock = new StillClock();
    const ports = { fileSystem, clock, liveness: new MortalLiveness() };
    const first = new CrashSafeFileSpanExporter({ dir }, ports);
    const second = new CrashSafeFileSpanExporter({ dir }, ports);
    fileSystem.fail("write", "ENOSPC");
    for (const exporter of [first, second])
      tracerInto(new CrashSafeSpanProcessor(exporter))
        .startSpan("x", { attributes: { "session.id": "s" } })
        .end();
    await expect(first.shutdown()).rejects.toMatchObject({ code: "WRITE_FAILED" });
    expect(first.stats()).toMatchObject({ exported: 0, inflight: 1 });
    fileSystem.clear();
    await second.shutdown();
    await first.shutdown();
    for (const exporter of [first, second])
      expect(exporter.stats()).toMatchObject({ exported: 1, inflight: 0, openSessions: 0 });
    expect(clock.pending).toBe(0);
  });

  it("P14 counts the spans of an end that failed after the session was resumed", async () => {
    const fileSystem = new FaultyFileSystem();
    const recording = new Recording(fileSystem);
    fileSystem.fail("write", "ENOSPC");
    recording.record(2);
    await expect(recording.exporter.endSession("s")).rejects.toMatchObject({ code: "WRITE_FAILED" });
    recording.record(3);
    expect(recording.exporter.stats()).toMatchObject({
      exported: 0,
      inflight: 5,
      recorded: 5,
      openSessions: 2,
    });
    await expect(recording.exporter.endSession("s")).rejects.toMatchObject({
      code: "WRITE_FAILED",
      message: expect.stringContaining(path()),
    });
    fileSystem.clear();
    await recording.exporter.endSession("s");
    await recording.expectAllWritten();
    await recording.processor.shutdown();
  });

  for (const name of [...needed, ...neededLater]) {
    for (const when of ["since the first span", "at the shutdown"] as const) {
      it(`P5 P14 spans without a session, ${name} fails ${when}: nothing is lost, and all is written when the fault is gone`, async () => {
        const fileSystem = new FaultyFileSystem();
        const { clock, exporter, processor } = new Recording(fileSystem);
        if (when === "since the first span") fileSystem.fail(name, "EIO");
        for (let i = 0; i < 3; i++) tracerInto(processor).startSpan(`step ${i}`).end();
        fileSystem.fail(name, "EIO");
        const failure = await outcome(processor.shutdown());
        const { exported, inflight, recorded } = exporter.stats();
        expect(exported + inflight).toBe(recorded);
        expect(recorded).toBe(3);
        if (failure !== undefined) {
          expect(String(failure)).toContain("EIO");
          expect(processor.stopped).toBe(false);
          await expect(processor.shutdown()).rejects.toMatchObject({ code: "EXPORT_FAILED" });
        }
        fileSystem.clear();
        for (let second = 0; second < 15 && clock.pending > 0; second++) {
          clock.pass(1_000);
          await vi
            .waitUntil(() => processor.stopped || clock.pending === 0, { timeout: 200, interval: 1 })
            .catch(() => {});
        }
        await processor.shutdown();
        expect(exporter.stats()).toMatchObject({ exported: 3, inflight: 0, openSessions: 0, queuedBytes: 0 });
        const documents = fs.readdirSync(dir);
        expect(documents.filter((file) => !file.endsWith(".json"))).toEqual([]);
        const names = documents.flatMap((file) =>
          JSON.parse(fs.readFileSync(join(dir, file), "utf8")).spans.map(
            (span: { name: string }) => span.name,
          ),
        );
        expect(names.filter((name) => name.startsWith("step")).sort()).toEqual([
          "step 0",
          "step 1",
          "step 2",
        ]);
        expect(clock.pending).toBe(0);
      });
    }
  }

  it("P5 concurrent calls share one shutdown, and a call after its failure begins another", async () => {
    const fileSystem = new FaultyFileSystem();
    const { exporter, processor, ...recording } = new Recording(fileSystem);
    fileSystem.fail("link", "EIO");
    tracerInto(processor)
      .startSpan("x", { attributes: { "session.id": "s" } })
      .end();
    for (const target of [processor, exporter]) {
      const first = target.shutdown();
      expect(target.shutdown()).toBe(first);
      await expect(first).rejects.toThrow(/EIO/);
      expect(target.shutdown()).not.toBe(first);
      await expect(target.shutdown()).rejects.toThrow(/EIO/);
    }
    fileSystem.clear();
    await processor.shutdown();
    expect(processor.shutdown()).toBe(processor.shutdown());
    expect(fs.readdirSync(dir)).toEqual(["s.json"]);
    expect(recording.clock.pending).toBe(0);
  });

  it("P3 a crash fence after a failed shutdown holds, and the crashed document is written when the disk accepts it", async () => {
    const fileSystem = new FaultyFileSystem();
    const recording = new Recording(fileSystem);
    recording.record(2);
    fileSystem.fail("link", "EIO");
    await expect(recording.processor.shutdown()).rejects.toThrow(/EIO/);
    recording.processor.crash("fenced");
    expect(recording.exporter.stats()).toMatchObject({ openSessions: 1, exported: 2 });
    fileSystem.clear();
    await recording.pass(15);
    expect(JSON.parse(fs.readFileSync(path(), "utf8")).summary).toMatchObject({
      status: "crashed",
      error: "fenced",
    });
    expect(await onDisk()).toEqual(recording.names);
    expect(fs.readdirSync(dir)).toEqual(["s.json"]);
    await recording.processor.shutdown();
    expect(recording.clock.pending).toBe(0);
  });

  it("P5 names one document and the number of the others, and retries all of them", async () => {
    const fileSystem = new FaultyFileSystem();
    const recording = new Recording(fileSystem);
    for (let i = 0; i < 20; i++) recording.record(1, `s${i}`);
    fileSystem.fail("lstat", "EACCES");
    await expect(recording.processor.shutdown()).rejects.toThrow(
      /cannot write .*s0\.json: .*, and 19 more documents\. .*check the write permissions/,
    );
    expect(recording.exporter.stats()).toMatchObject({ openSessions: 20, exported: 20 });
    fileSystem.clear();
    await recording.pass(15);
    expect(fs.readdirSync(dir)).toHaveLength(20);
    expect(recording.clock.pending).toBe(0);
  });

  it("P5 a session tracing that failed to shut down shuts down at the next call", async () => {
    fs.writeFileSync(dir, "a file where the directory should be");
    const tracing = createSessionTracing({ dir });
    logTurn(tracing.tracer("s"), 1);
    const failure = await outcome(tracing.shutdown());
    expect(String(failure)).toContain(path());
    expect(tracing.stopped).toBe(false);
    await expect(tracing.shutdown()).rejects.toMatchObject({ code: "EXPORT_FAILED" });
    fs.rmSync(dir);
    await tracing.shutdown();
    expect(tracing.stopped).toBe(true);
    expect(fs.readdirSync(dir)).toEqual(["s.json"]);
    expect(JSON.parse(fs.readFileSync(path(), "utf8")).summary.status).toBe("completed");
  });

  it("P5 P14 endTrace returns no path of a document that is not written, and the next call writes the document", async () => {
    fs.writeFileSync(dir, "a file where the directory should be");
    const tracer = createSessionTracing({ dir }).tracer("s");
    logTurn(tracer, 1);
    const dropIn = Trace.withExporters([new FileExporter(dir)]);
    dropIn.startTrace("t");
    logTurn(dropIn as never, 1);
    expect([await tracer.endTrace(), await dropIn.endTrace("no good")]).toEqual([undefined, undefined]);
    expect(await tracer.endTrace()).toBe(undefined);
    fs.rmSync(dir);
    expect([await tracer.endTrace(), await dropIn.endTrace()]).toEqual([`${dir}/s.json`, `${dir}/t.json`]);
    expect(JSON.parse(fs.readFileSync(path(), "utf8")).summary.status).toBe("completed");
    expect(JSON.parse(fs.readFileSync(`${dir}/t.json`, "utf8")).summary).toMatchObject({
      status: "error",
      error: "no good",
    });
    expect(await dropIn.endTrace()).toBe(`${dir}/t.json`);
    expect(fs.readdirSync(dir)).toEqual(["s.json", "t.json"]);
  });

  it("P5 P14 a file in the place of the directory: 15 s after it is gone the document is complete, in real time", async () => {
    fs.writeFileSync(dir, "a file where the directory should be");
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const processor = new CrashSafeSpanProcessor(exporter);
    for (let i = 0; i < 30; i++)
      tracerInto(processor)
        .startSpan("x", { attributes: { "session.id": "s" } })
        .end();
    await expect(processor.shutdown()).rejects.toThrow(/30 spans of this exporter wait in memory/);
    expect(exporter.stats()).toMatchObject({ exported: 0, inflight: 30, recorded: 30, openSessions: 1 });
    fs.rmSync(dir);
    await vi.waitUntil(() => processor.stopped, 15_000);
    expect(await onDisk()).toHaveLength(30);
    expect(exporter.stats()).toMatchObject({ exported: 30, inflight: 0, openSessions: 0, queuedBytes: 0 });
    expect(fs.readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P5 P14 a full disk: counters, message, retries and the disk agree", async (context) => {
    fs.mkdirSync(dir);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=200k", "tmpfs", dir], { stdio: "ignore" });
    } catch {
      context.skip("no permission to mount a small file system here");
    }
    try {
      const exporter = new CrashSafeFileSpanExporter({ dir });
      const processor = new CrashSafeSpanProcessor(exporter);
      const attributes = { "session.id": "s", "input.value": "x".repeat(10_000) };
      for (let i = 0; i < 30; i++) tracerInto(processor).startSpan("x", { attributes }).end();
      await expect(processor.shutdown()).rejects.toThrow(
        /ENOSPC.* wait in memory .*free some space on that disk/,
      );
      const { exported, inflight, recorded, openSessions } = exporter.stats();
      expect([exported + inflight, recorded, openSessions]).toEqual([30, 30, 1]);
      expect(inflight).toBeGreaterThan(0);
      expect(await onDisk()).toHaveLength(exported);
      await expect(processor.shutdown()).rejects.toThrow(/ENOSPC/);
      execFileSync("mount", ["-o", "remount,size=2m", dir]);
      await vi.waitUntil(() => processor.stopped, 15_000);
      expect(await onDisk()).toHaveLength(30);
      expect(exporter.stats()).toMatchObject({ exported: 30, inflight: 0, openSessions: 0, queuedBytes: 0 });
      expect(fs.readdirSync(dir)).toEqual(["s.json"]);
    } finally {
      execFileSync("umount", ["-l", dir]);
    }
  });

  it("P5 P14 a directory of another user: counters, message, retries and the disk agree", async (context) => {
    if (process.geteuid?.() !== 0) context.skip("only root can become another user");
    fs.mkdirSync(dir, { mode: 0o755 });
    fs.chmodSync(root, 0o755);
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const processor = new CrashSafeSpanProcessor(exporter);
    process.seteuid?.(65_534);
    try {
      for (let i = 0; i < 30; i++)
        tracerInto(processor)
          .startSpan("x", { attributes: { "session.id": "s" } })
          .end();
      await expect(processor.shutdown()).rejects.toThrow(
        /EACCES.*30 spans .* wait in memory .*check the write permissions/,
      );
      expect(exporter.stats()).toMatchObject({ exported: 0, inflight: 30, recorded: 30, openSessions: 1 });
      await expect(exporter.endSession("s")).rejects.toThrow(/EACCES/);
    } finally {
      process.seteuid?.(0);
    }
    await exporter.endSession("s");
    expect(await onDisk()).toHaveLength(30);
    await processor.shutdown();
    expect(exporter.stats()).toMatchObject({ exported: 30, inflight: 0, openSessions: 0, queuedBytes: 0 });
    expect(fs.readdirSync(dir)).toEqual(["s.json"]);
  });
});
