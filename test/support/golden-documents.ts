/** Documents in the fixtures: whole documents, byte by byte as the library writes them, except for ids. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const pathOf = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

export const fixture = (name: string): string => readFileSync(pathOf(name), "utf8");

/**
 * `UPDATE=1 npx vitest run test/tracer/golden` rewrites them, for a person to read the difference. CI never
 * rewrites.
 */
const isUpdate = process.env.UPDATE === "1" && !process.env.CI;

/** Expects the text of the fixture, byte for byte. */
export function expectGolden(name: string, text: string): void {
  const golden = withNames(text);
  if (isUpdate) writeFileSync(pathOf(name), golden);
  expect(golden).toBe(fixture(name));
}

/**
 * Replaces each id by its number in order of appearance, with the same length, so that offsets in the document stay
 * valid.
 */
function withNames(text: string): string {
  const names = new Map<string, string>();
  const named = text.replace(/"(?:[0-9a-f]{32}|[0-9a-f]{16}|[0-9a-f]{10})"/g, (quoted) => {
    const known = names.get(quoted) ?? `"${(names.size + 1).toString(16).padStart(quoted.length - 2, "0")}"`;
    names.set(quoted, known);
    return known;
  });
  // After every offset: the token of a writer, and the resource, which names the SDK.
  return named
    .replace(/"awaits":\{"[^"]+"/, '"awaits":{"writer"')
    .replace(/("resources":\{"[^"]+":\{"attributes":)\{[^}]*\}/, "$1{}");
}
