/** Room on the disk for one run of a scenario, and what has to be undone after it (mounts, limits, attributes). */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

export function scratchIn(root) {
  const dir = mkdtempSync(join(root, "run-"));
  const undo = [];
  let count = 0;
  return {
    /** Beside it, for files that are no trace directory. */
    dir,
    /** An empty directory of its own. */
    newDirectory() {
      const made = join(dir, `${++count}`);
      mkdirSync(made);
      return made;
    },
    /** To be done before the room is removed, latest first; also when the scenario throws. */
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
