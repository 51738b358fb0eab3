// A writer without code of this package: appends a line, syncs it, and prints the line with the time. For ever.
import { fdatasyncSync, openSync, writeSync } from "node:fs";

const [path, isUnsynced] = process.argv.slice(2);
const fd = openSync(path, "a", 0o600);
for (let n = 1; ; n++) {
  writeSync(fd, `${n} ${"x".repeat(400)}\n`);
  if (!isUnsynced) fdatasyncSync(fd);
  writeSync(1, `${n} ${process.hrtime.bigint()}\n`);
}
