/** The page of promises names tests that exist. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const rows = readFileSync("test/promises/README.md", "utf8")
  .split("\n")
  .filter((line) => /^\| (?!sentence|---)/.test(line))
  .map((line) => /\| ([\w/-]+\.test\.ts): (.*?) *\|$/.exec(line)?.slice(1) ?? [line, ""]);

test("each sentence has a test, which the file that is named has under that title", () => {
  expect(rows.length).toBeGreaterThan(70);
  const missing = rows.filter(([file = "", title = ""]) => {
    const text = readFileSync(`test/${file}`, "utf8");
    return ![`"${title}"`, `\`${title}\``].some((quoted) => text.includes(quoted));
  });
  expect(missing).toEqual([]);
});
