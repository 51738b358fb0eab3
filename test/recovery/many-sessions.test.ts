/** A recovery of many sessions lists their directory a few times, and not once for each session. */
import { expect, test } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import { ended } from "../support/span-lines.js";
import { passTick, TwinStage } from "../support/twin-stage.js";

const twins = new TwinStage();
const ids = Array.from({ length: 30 }, (_, n) => `ses_${n}`);

test("P13 a recovery lists the directory of thirty sessions at most four times", async () => {
  const dead = twins.actor();
  for (const id of ids) dead.record(id, 1);
  twins.bury();
  const counted = new PausedFileSystem(nodeFileSystem);
  const { sessions, failures } = await twins.recover(undefined, counted);
  expect(failures).toEqual([]);
  expect(sessions).toHaveLength(30);
  expect(counted.names.filter((name) => name === "readdir").length).toBeLessThanOrEqual(4);
  for (const id of ids) expect(ended(twins.document(id))).toHaveLength(1);
});

test("P7 P13 a recovery leaves a session to the peer writer that opened it after the listing, and has published", async () => {
  const dead = twins.actor();
  dead.record("ses_0", 1);
  dead.record("ses_1", 1);
  await dead.processor.forceFlush();
  twins.bury();
  const slow = new PausedFileSystem();
  const atWork = slow.hold((name) => name === "fdatasync", "issued");
  const report = twins.recover(undefined, slow);
  await atWork.reached;
  // One session is being recovered, from a listing that has the other one.
  const peer = twins.actor();
  const spans = ["ses_0", "ses_1"].map((id) => peer.start(id));
  await peer.processor.forceFlush();
  atWork.release();
  expect((await report).failures).toEqual([]);
  for (const [n, span] of spans.entries()) {
    const { summary, spans: lines } = twins.document(`ses_${n}`);
    expect(summary.status).toBe("running");
    const { spanId } = span.spanContext();
    expect(lines.find((line) => line.spanId === spanId)).not.toHaveProperty("interrupted");
  }
  passTick();
  for (const span of spans) peer.end(span);
  await peer.processor.shutdown();
  for (const id of ["ses_0", "ses_1"]) expect(ended(twins.document(id))).toHaveLength(2);
});
