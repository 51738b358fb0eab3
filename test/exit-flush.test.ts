import { diag } from "@opentelemetry/api";
import { afterEach, expect, it, vi } from "vitest";
import { joinExitFlush, leaveExitFlush } from "../src/exit-flush.js";
import { listenToDiag } from "./span-processor-stage.js";

const before = process.listeners("beforeExit");
const ours = () => process.listeners("beforeExit").filter((listener) => !before.includes(listener));
const meetNaturalExit = () => {
  for (const listener of ours()) (listener as () => void)();
};

afterEach(() => diag.disable());

it("P6 flushes each target once, so that the process can end", () => {
  const targets = [{ forceFlush: vi.fn(async () => {}) }, { forceFlush: vi.fn(async () => {}) }];
  for (const target of targets) joinExitFlush(target);
  for (const target of targets) joinExitFlush(target);
  expect(ours()).toHaveLength(1);
  meetNaturalExit();
  meetNaturalExit();
  for (const { forceFlush } of targets) expect(forceFlush).toHaveBeenCalledOnce();
  expect(ours()).toHaveLength(0);
});

it("P6 leaves out a target that has left", () => {
  const target = { forceFlush: vi.fn(async () => {}) };
  joinExitFlush(target);
  leaveExitFlush(target);
  leaveExitFlush(target);
  expect(ours()).toHaveLength(0);
  meetNaturalExit();
  expect(target.forceFlush).not.toHaveBeenCalled();
});

it("P6 reports a flush that fails", async () => {
  const told = listenToDiag();
  joinExitFlush({ forceFlush: () => Promise.reject(new Error("disk full")) });
  meetNaturalExit();
  await Promise.resolve();
  expect(told).toEqual(["CrashSafeSpanProcessor: the flush before exit failed"]);
});
