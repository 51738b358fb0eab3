/**
 * When events stop, the document catches up without a further event: after a publish that succeeded, a publish that
 * failed, and a flush that timed out, at whichever call the last event came.
 */
import { statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AsyncFileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import type { Moment } from "../support/paused-file-system.js";
import { type Actor, Stage } from "../support/session-stage.js";

const bytesPerSecond = 1_000_000;
const pace = { bytesPerSecond, maxBytes: 32_000_000, startBytes: 0 };

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

/** Ended spans in the document, without the span of the session itself. */
const published = () => (stage.files.includes("s.json") ? stage.document("s").spans.length - 1 : 0);

/** The promised bound of staleness, with a small allowance for the tail. */
function bound(): number {
  const open = stage.files.find((name) => name.endsWith(".open"));
  const size = open ? statSync(`${stage.dir}/${open}`).size : 0;
  return Math.max(20, Math.ceil((size / bytesPerSecond) * 1000));
}

async function letPass(actor: Actor, millis: number): Promise<void> {
  actor.clock.pass(millis);
  await actor.fileSystem.idle();
}

describe("P4 after a publish that succeeded", () => {
  it("P4 the first event is in the document after 20 ms", async () => {
    const actor = stage.actor({}, { pace });
    actor.record("s", 1);
    await letPass(actor, 19);
    expect(published()).toBe(0);
    await letPass(actor, 1);
    expect(published()).toBe(1);
  });

  it.each([1, 10, 100, 500])("P4 one event after %i is in the document within size / R", async (count) => {
    const actor = stage.actor({}, { pace });
    actor.record("s", count, "x".repeat(2000));
    await letPass(actor, 20);
    expect(published()).toBe(count);
    actor.record("s", 1);
    await letPass(actor, bound());
    expect(published()).toBe(count + 1);
  });

  it("P4 a series of events that stops is in the document", async () => {
    const actor = stage.actor({}, { pace });
    for (let i = 1; i <= 60; i++) {
      actor.record("s", 1, "x".repeat(500 * (i % 7)));
      await letPass(actor, (i * 37) % 90);
    }
    await letPass(actor, bound());
    expect(published()).toBe(60);
  });

  it("P4 an event at each call of a publish schedules the next publish", async () => {
    let points = 0;
    for (const moment of ["issued", "done"] as const) {
      for (let number = 1; await eventAt(number, moment); number++) points++;
    }
    expect(points).toBeGreaterThanOrEqual(10);
  });

  /**
   * Each copy is also of one moment: a span that ends during the copy is in the document, open or ended, never
   * missing.
   */
  async function eventAt(number: number, moment: Moment): Promise<boolean> {
    stage.remove();
    stage = new Stage();
    const actor = stage.actor({}, { pace });
    actor.record("s", 2);
    const running = actor.start("s");
    actor.fileSystem.mark();
    const hold = actor.fileSystem.holdNumber(number, moment);
    actor.clock.pass(20);
    const over = actor.fileSystem.idle().then(() => "over");
    if ((await Promise.race([hold.reached, over])) === "over") return false;
    actor.end(running);
    actor.record("s", 1);
    hold.release();
    await actor.fileSystem.idle();
    const ids = stage.document("s").spans.map(({ spanId }) => spanId);
    expect(ids, `call ${number} ${moment}`).toContain(running.spanContext().spanId);
    expect(new Set(ids).size).toBe(ids.length);
    await letPass(actor, bound());
    expect(published(), `call ${number} ${moment}`).toBe(4);
    expect(
      stage.document("s").spans.every(({ endTime, kind }) => endTime !== undefined || kind === "session"),
    ).toBe(true);
    return true;
  }
});

/** A disk whose asynchronous calls fail while failures are left. */
function failingDisk() {
  const disk = { failures: 0, skip: 0 };
  const names = Object.keys(nodeFileSystem.async) as (keyof AsyncFileCalls)[];
  const fail =
    (name: keyof AsyncFileCalls) =>
    async (...args: never[]) => {
      if (name !== "close" && disk.failures > 0 && disk.skip-- <= 0) {
        disk.failures--;
        throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
      }
      return (nodeFileSystem.async[name] as (...args: never[]) => Promise<unknown>)(...args);
    };
  const async = Object.fromEntries(names.map((name) => [name, fail(name)])) as unknown as AsyncFileCalls;
  const fileSystem: FileSystem = { sync: nodeFileSystem.sync, async };
  return { disk, fileSystem };
}

describe("P4 after a publish that failed", () => {
  it("P4 at each of its calls, the retry publishes everything within half a second", async () => {
    for (let skip = 0; ; skip++) {
      stage.remove();
      stage = new Stage();
      const { disk, fileSystem } = failingDisk();
      const actor = stage.actor({}, { pace, fileSystem });
      // The housekeeping of a new exporter has ended before the first event.
      await letPass(actor, 0);
      actor.record("s", 3);
      Object.assign(disk, { failures: 1, skip });
      await letPass(actor, 20);
      if (disk.failures > 0) {
        expect(skip).toBeGreaterThanOrEqual(5);
        return;
      }
      expect(published(), `after call ${skip + 1} failed`).toBe(0);
      await letPass(actor, 500);
      expect(published(), `after call ${skip + 1} failed`).toBe(3);
      expect(actor.exporter.stats().faults).toBe(1);
    }
  });

  it("P4 repeatedly, the document catches up within half a minute after the disk works again", async () => {
    const { disk, fileSystem } = failingDisk();
    const actor = stage.actor({}, { pace, fileSystem });
    actor.record("s", 3);
    disk.failures = Number.POSITIVE_INFINITY;
    for (let seconds = 0; seconds < 120; seconds++) await letPass(actor, 1000);
    const { faults } = actor.exporter.stats();
    expect(faults).toBeGreaterThan(5);
    disk.failures = 0;
    await letPass(actor, 30_000);
    expect(published()).toBe(3);
  });
});

describe("P4 P5 after a flush that timed out", () => {
  it("P4 P5 the flush rejects, and the document catches up when the disk answers", async () => {
    const actor = stage.actor({}, { pace });
    const processor = new CrashSafeSpanProcessor(
      actor.exporter,
      { exportTimeoutMillis: 1000 },
      { clock: actor.clock },
    );
    actor.record("s", 1);
    const hold = actor.fileSystem.hold((name) => name === "fdatasync", "issued");
    const flushed = processor.forceFlush();
    await hold.reached;
    actor.record("s", 2);
    actor.clock.pass(1000);
    await expect(flushed).rejects.toMatchObject({ code: "EXPORT_TIMEOUT" });
    expect(published()).toBe(0);
    hold.release();
    await actor.fileSystem.idle();
    await letPass(actor, bound());
    expect(published()).toBe(3);
  });
});
