// The machine's file system, which stops the whole process before one chosen call. The parent then kills the
// process between two chosen system calls.
import { nodeFileSystem } from "../../build/platform/file-system.js";

/** Freezes before call number `freezeAt` (from 1) after `arm()`. */
export function freezingFileSystem(freezeAt, onFrozen) {
  let left = Number.POSITIVE_INFINITY;
  const guard = (calls) =>
    Object.fromEntries(
      Object.entries(calls).map(([name, call]) => [
        name,
        (...args) => {
          if (--left === 0) {
            onFrozen();
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
          }
          return call(...args);
        },
      ]),
    );
  return {
    fileSystem: { sync: guard(nodeFileSystem.sync), async: guard(nodeFileSystem.async) },
    arm() {
      left = freezeAt;
    },
  };
}
