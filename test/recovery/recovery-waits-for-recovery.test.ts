/**
 * A recovery whose caller reads the documents next, while another recovery, of this process or another, has taken
 * the files. A new exporter recovers in the background while a program calls recoverTraces.
 */
import { expect, test } from "vitest";
import { untilRecovered } from "../../src/recovery/recover-directory.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import * as lines from "../support/span-lines.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();

/** A session with a published document and newer side files, whose process is dead. */
async function leaveSession(): Promise<void> {
  const dead = twins.actor();
  dead.record(id, 2);
  await dead.processor.forceFlush();
  dead.record(id, 2);
  dead.start(id);
  twins.bury();
}

/** A recovery that has taken the files, and pauses. */
async function standingStill() {
  const slow = new PausedFileSystem();
  const atWork = slow.hold((name) => name === "fdatasync", "issued");
  const report = twins.recover(undefined, slow);
  await atWork.reached;
  return { report, goOn: () => atWork.release() };
}

test.each([
  ["before it looks for them", undefined],
  ["after it has listed them", "readdir"],
  ["after it has seen that their owner is dead", "lstat"],
])("P2 P7 it ends when the session is complete, taken %s", async (_, call) => {
  await leaveSession();
  const early = call ? undefined : await standingStill();
  const fileSystem = new PausedFileSystem();
  const looked = fileSystem.hold((name) => name === (call ?? "readdir"), "done");
  const waiting = twins.recover(undefined, fileSystem, untilRecovered);
  const found = waiting.then(() => twins.document(id));
  await looked.reached;
  const { report, goOn } = early ?? (await standingStill());
  const again = fileSystem.hold((name) => name === "readdir", "issued");
  looked.release();
  // A recovery that does not wait resolves at once, and lists the directory only once.
  await Promise.race([again.reached, found]);
  goOn();
  again.release();
  expect((await found).summary.status).toBe("crashed");
  expect(lines.ended(await found)).toHaveLength(4);
  expect(await waiting).toEqual({ sessions: [], failures: [], running: 0 });
  expect((await report).sessions).toHaveLength(1);
});

test("P2 when the other recovery dies, the waiting recovery finishes the files", async () => {
  await leaveSession();
  const { report, goOn } = await standingStill();
  const fileSystem = new PausedFileSystem();
  const again = fileSystem.hold((name, number) => name === "readdir" && number > 1, "issued");
  const waiting = twins.recover(undefined, fileSystem, untilRecovered);
  await again.reached;
  // Its token, as every process has one.
  twins.bury();
  again.release();
  expect((await waiting).sessions).toMatchObject([{ id, action: "rebuilt", status: "crashed" }]);
  expect(lines.ended(twins.document(id))).toHaveLength(4);
  goOn();
  await report;
  expect(lines.ended(twins.document(id))).toHaveLength(4);
  expect(twins.files).toEqual([`${id}.json`]);
});

test("P2 a session whose recovery does not end counts as running when the wait is over", async () => {
  await leaveSession();
  const { report, goOn } = await standingStill();
  expect(await twins.recover(undefined, undefined, { attempts: 3, delayMillis: 1 })).toEqual({
    sessions: [],
    failures: [],
    running: 1,
  });
  goOn();
  expect((await report).sessions).toHaveLength(1);
});

test("P2 live writers are not awaited", async () => {
  const living = twins.actor();
  living.record(id, 2);
  const [patient, other] = [new PausedFileSystem(), new PausedFileSystem()];
  const report = await twins.recover(undefined, patient, untilRecovered);
  expect(report).toEqual({ sessions: [], failures: [], running: 1 });
  await twins.recover(undefined, other);
  expect(patient.names).toEqual(other.names);
});
