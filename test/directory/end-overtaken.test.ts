/** Ends and flushes that another call overtakes. Random interleavings found each case once. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

/** A disk that rejects documents while `refuses` is set. */
function refusingDisk() {
  const disk = { refuses: false };
  const link = (from: string, to: string) => {
    if (disk.refuses) throw Object.assign(new Error("no"), { code: "EIO" });
    nodeFileSystem.sync.link(from, to);
  };
  return { disk, fileSystem: { sync: { ...nodeFileSystem.sync, link }, async: nodeFileSystem.async } };
}

it("P2 a span that starts while an idle session waits to be finalized continues the session", async () => {
  const actor = stage.actor({ sessionIdleMillis: 5_000 });
  actor.record("s", 1);
  await actor.exporter.forceFlush();
  const hold = actor.fileSystem.hold(() => true, "issued");
  actor.clock.pass(7_000);
  await hold.reached;
  const span = actor.start("s");
  hold.release();
  await actor.fileSystem.idle();
  await actor.exporter.forceFlush();
  const open = stage.document("s").spans.find(({ spanId }) => spanId === span.spanContext().spanId);
  expect(open?.endTime).toBeUndefined();
  actor.end(span);
  await actor.exporter.shutdown();
  expect(stage.document("s").spans).toHaveLength(3);
  expect(actor.exporter.stats()).toMatchObject({ recorded: 2, dropped: 0, faults: 0 });
});

it("P5 a flush before the end of its session is true although the end comes first", async () => {
  const actor = stage.actor();
  actor.record("s", 2);
  const flushed = actor.exporter.forceFlush();
  const ended = actor.exporter.endSession("s");
  await flushed;
  expect(stage.document("s").spans).toHaveLength(3);
  await ended;
});

it("P5 the late end of a closed span opens no session", async () => {
  const actor = stage.actor();
  const span = actor.start("s");
  await actor.exporter.endSession("s");
  const ended = stage.bytes("s");
  span.end();
  await actor.exporter.forceFlush();
  expect(stage.bytes("s")).toBe(ended);
  expect(stage.files).toEqual(["s.json"]);
  expect(actor.exporter.stats()).toMatchObject({ recorded: 0, dropped: 1 });
});

it("P5 a flush overtaken by a crash fence that the disk refused rejects", async () => {
  const { disk, fileSystem } = refusingDisk();
  const actor = stage.actor({}, { fileSystem });
  actor.record("s", 2);
  const hold = actor.fileSystem.hold((name) => name === "fdatasync", "issued");
  const flushed = actor.exporter.forceFlush();
  await hold.reached;
  disk.refuses = true;
  actor.exporter.crash("boom");
  hold.release();
  await expect(flushed).rejects.toMatchObject({ code: "WRITE_FAILED" });
  disk.refuses = false;
  await actor.exporter.forceFlush();
  expect(stage.document("s").summary.status).toBe("crashed");
});

it("P5 a flush of a refused crash fence, overtaken by another crash fence, rejects", async () => {
  const { disk, fileSystem } = refusingDisk();
  const actor = stage.actor({}, { fileSystem });
  actor.record("s", 2);
  disk.refuses = true;
  actor.exporter.crash("boom");
  const hold = actor.fileSystem.hold(() => true, "issued");
  const flushed = actor.exporter.forceFlush();
  await hold.reached;
  actor.exporter.crash("again");
  hold.release();
  await expect(flushed).rejects.toMatchObject({ code: "WRITE_FAILED" });
});

it("P3 a crash fence during shutdown marks the sessions of the exporter", async () => {
  const actor = stage.actor();
  actor.record("s", 2);
  const shutDown = actor.exporter.shutdown();
  actor.exporter.crash("boom");
  expect(stage.document("s").summary).toMatchObject({ status: "crashed", error: "boom" });
  await shutDown;
  await actor.fileSystem.idle();
  expect(stage.document("s").summary).toMatchObject({ status: "crashed", error: "boom" });
});
