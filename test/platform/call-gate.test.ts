/** Asynchronous calls pass beside each other while the file system answers, and one at a time when it does not. */
import { expect, test } from "vitest";
import { gated } from "../../src/platform/call-gate.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import { settled } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";

function stage() {
  const clock = new StillClock();
  const below = new PausedFileSystem(nodeFileSystem);
  const { exists } = gated(below, clock).async;
  return { clock, below, look: () => exists("/") };
}

test("P12 a file system that has not answered yet is asked with one call", async () => {
  const { below, look } = stage();
  const hold = below.hold(() => true, "issued");
  const looks = [look(), look(), look()];
  await settled();
  expect(below.underway).toHaveLength(1);
  hold.release();
  expect(await Promise.all(looks)).toEqual([true, true, true]);
  expect(below.names).toHaveLength(3);
});

test("P13 calls pass beside each other while it answers", async () => {
  const { below, look } = stage();
  await look();
  const hold = below.hold(() => true, "issued");
  const looks = [look(), look(), look()];
  await settled();
  expect(below.underway).toHaveLength(3);
  hold.release();
  await Promise.all(looks);
});

test("P12 a call that has not returned for a second holds up the later ones, until it returns", async () => {
  const { clock, below, look } = stage();
  await look();
  const hold = below.hold(() => true, "issued");
  const stuck = look();
  clock.pass(1_000);
  const later = [look(), look()];
  await settled();
  expect(below.underway).toHaveLength(1);
  hold.release();
  await Promise.all([stuck, ...later]);
  expect(below.underway).toHaveLength(0);
});

test("P12 a call that fails is an answer", async () => {
  const clock = new StillClock();
  const { readdir, exists } = gated(nodeFileSystem, clock).async;
  await expect(Promise.all([readdir("/nowhere/at all"), exists("/")])).rejects.toThrow("ENOENT");
  expect(await exists("/")).toBe(true);
});
