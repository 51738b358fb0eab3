/** Space on the disk for one run of a scenario, and the cleanup after it (mounts, limits, attributes). */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

export function scratchIn(root) {
  const dir = mkdtempSync(join(root, "run-"));
  const undo = [];
  let count = 0;
  return {
    /** A directory for files that are no traces. */
    dir,
    /** An empty directory of its own. */
    newDirectory() {
      const made = join(dir, `${++count}`);
      mkdirSync(made);
      return made;
    },
    /** Runs before the space is removed, latest first, also when the scenario throws. */
    after(work) {
      undo.push(work);
    },
    async remove() {
      for (const work of undo.reverse()) {
        try {
          await work();
        } catch (error) {
          console.error(`not undone: ${error}`);
        }
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
