/** Documents in the fixtures: whole ones, laid out byte by byte as ours are, but for ids. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const pathOf = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

export const fixture = (name: string): string => readFileSync(pathOf(name), "utf8");

/** `UPDATE=1 npx vitest run test/golden`: for a person to look at the difference. Checks never rewrite. */
const isUpdate = process.env.UPDATE === "1" && !process.env.CI;

/** The text is that of the fixture, byte for byte. */
export function expectGolden(name: string, text: string): void {
  const golden = withNames(text);
  if (isUpdate) writeFileSync(pathOf(name), golden);
  expect(golden).toBe(fixture(name));
}

/** Each id is its number in order of appearance, as long as it was: offsets in the document stay true. */
function withNames(text: string): string {
  const names = new Map<string, string>();
  return text.replace(/"(?:[0-9a-f]{32}|[0-9a-f]{16})"/g, (quoted) => {
    const known = names.get(quoted) ?? `"${(names.size + 1).toString(16).padStart(quoted.length - 2, "0")}"`;
    names.set(quoted, known);
    return known;
  });
}
