import { expect, it, vi } from "vitest";
import { joinExitFlush, leaveExitFlush } from "../../src/platform/exit-flush.js";

const before = process.listeners("beforeExit");
const ours = () => process.listeners("beforeExit").filter((listener) => !before.includes(listener));
const meetNaturalExit = () => {
  for (const listener of ours()) (listener as () => void)();
};

it("P6 flushes each target once, so that the process can end", () => {
  const targets = [{ forceFlush: vi.fn(async () => {}) }, { forceFlush: vi.fn(async () => {}) }];
  for (const target of targets) joinExitFlush(target, () => {});
  for (const target of targets) joinExitFlush(target, () => {});
  expect(ours()).toHaveLength(1);
  meetNaturalExit();
  meetNaturalExit();
  for (const { forceFlush } of targets) expect(forceFlush).toHaveBeenCalledOnce();
  expect(ours()).toHaveLength(0);
});

it("P6 does not flush a target that has left", () => {
  const target = { forceFlush: vi.fn(async () => {}) };
  joinExitFlush(target, () => {});
  leaveExitFlush(target);
  leaveExitFlush(target);
  expect(ours()).toHaveLength(0);
  meetNaturalExit();
  expect(target.forceFlush).not.toHaveBeenCalled();
});

it("P6 reports a flush that fails", async () => {
  const error = new Error("disk full");
  const reported: unknown[] = [];
  joinExitFlush({ forceFlush: () => Promise.reject(error) }, (cause) => reported.push(cause));
  meetNaturalExit();
  await Promise.resolve();
  expect(reported).toEqual([error]);
});
