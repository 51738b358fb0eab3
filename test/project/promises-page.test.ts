/** The pages of promises and of the contract name tests that exist. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const rowsOf = (page: string): string[][] =>
  readFileSync(`test/promises/${page}`, "utf8")
    .split("\n")
    .filter((line) => /^\| (?!sentence|line|---)/.test(line))
    .map((line) => /\| ([\w/-]+\.test\.ts): (.*?) *\|$/.exec(line)?.slice(1) ?? [line, ""]);

test.each([
  ["README.md", 70],
  ["contract.md", 200],
])("each sentence of %s has a test, which the file that is named has under that title", (page, least) => {
  const rows = rowsOf(page);
  expect(rows.length).toBeGreaterThan(least);
  const missing = rows.filter(([file = "", title = ""]) => {
    const text = readFileSync(`test/${file}`, "utf8");
    return ![`"${title}"`, `\`${title}\``].some((quoted) => text.includes(quoted));
  });
  expect(missing).toEqual([]);
});
