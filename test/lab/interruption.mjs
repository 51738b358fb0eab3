/** Cleanup of mounts, limits and children, also when the lab is interrupted. */
import { rmSync } from "node:fs";
import { dirname } from "node:path";

const pending = new Set();
const roots = new Set();
let isHooked = false;

function hook() {
  if (isHooked) return;
  isHooked = true;
  process.on("exit", () => {
    for (const undo of [...pending].reverse()) undo();
  });
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ])
    process.once(signal, () => {
      // Directories that the frame removes at its end, after unmounting.
      process.on("exit", () => {
        for (const root of roots) rmSync(root, { recursive: true, force: true });
      });
      process.exit(code);
    });
}

function untilDone(undo) {
  hook();
  const once = () => {
    if (pending.delete(once)) undo();
  };
  pending.add(once);
  return once;
}

/**
 * Calls `undo` after the scenario, or when the lab is interrupted. It must be synchronous. A second call does
 * nothing.
 */
export function undoLater(scratch, undo) {
  roots.add(dirname(scratch.dir));
  const once = untilDone(undo);
  scratch.after(once);
  return once;
}

/** Kills the child when the lab ends. */
export function dieWithLab(child) {
  const once = untilDone(() => child.kill("SIGKILL"));
  child.once("close", once);
  return child;
}
