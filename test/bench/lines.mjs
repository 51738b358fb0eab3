/** Counts what a dead process left in a file of one JSON text per line. */
import { existsSync, readFileSync } from "node:fs";

/** Lines that parse, from their `from`-th character on. */
export function wholeLines(path, from = 0) {
  if (!existsSync(path)) return 0;
  let count = 0;
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line.length <= from) continue;
    try {
      JSON.parse(line.slice(from));
      count++;
    } catch {
      // A torn line is unreadable.
    }
  }
  return count;
}
