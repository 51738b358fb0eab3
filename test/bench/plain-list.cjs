// The floor of a listing: reads and parses the first and the last line of each document of a directory, and nothing else.
const { closeSync, fstatSync, openSync, readdirSync, readSync } = require("node:fs");
const { join } = require("node:path");

const [, , dir] = process.argv;
const bytes = 4_000;

const found = readdirSync(dir).flatMap((name) => {
  if (!name.endsWith(".json")) return [];
  const fd = openSync(join(dir, name), "r");
  const { size } = fstatSync(fd);
  const [first, last] = [Buffer.allocUnsafe(bytes), Buffer.allocUnsafe(bytes)];
  readSync(fd, first, 0, bytes, 0);
  readSync(fd, last, 0, bytes, Math.max(0, size - bytes));
  closeSync(fd);
  const tail = last.toString("utf8").trimEnd();
  const { sessionId } = JSON.parse(`${first.toString("utf8", 0, first.indexOf("\n"))}]}`);
  const { summary } = JSON.parse(`{"spans":[${tail.slice(tail.lastIndexOf("\n") + 1).replace(/^,/, "")}`);
  return [{ sessionId, summary }];
});
if (found.some(({ sessionId, summary }) => !sessionId || !summary)) throw new Error("a line is too long");
