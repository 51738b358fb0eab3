/** A span ends while the disk refuses its line, during a publish. */
import { expect, test } from "vitest";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { ended } from "../support/span-lines.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();

test("P4 P6 M2 a flush that begins before the disk is full has spans that ended meanwhile, once the disk has room", async () => {
  let isFull = false;
  const { sync, async } = nodeFileSystem;
  const write: typeof sync.write = (...args) => {
    if (isFull) throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    return sync.write(...args);
  };
  const fileSystem: FileSystem = { sync: { ...sync, write }, async };
  const one = twins.actor({}, { fileSystem });
  one.record(id, 1);
  // The publish has checked that each line is written, and looks for published documents of peer writers.
  const looks = one.fileSystem.hold((name) => name === "lstat", "done");
  const flushed = one.processor.forceFlush();
  await looks.reached;
  isFull = true;
  one.record(id, 1);
  isFull = false;
  const copied = one.fileSystem.hold((name) => name === "fdatasync", "issued");
  looks.release();
  await copied.reached;
  // The line is written, next to a copy without it.
  one.clock.pass(1_000);
  copied.release();
  await flushed;
  // No further event comes: time alone must publish it.
  one.clock.pass(31_000);
  await one.fileSystem.idle();
  expect(ended(twins.document(id))).toHaveLength(2);
});
