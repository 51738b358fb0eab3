/** The README is short, and its programs are those that the recipes run. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const readme = readFileSync("README.md", "utf8");
const isWord = (text: string) => /\w/.test(text);
const wordsIn = (text: string) => text.split(/\s+/).filter(isWord);

/** Paragraphs and items of lists, without code, tables, headings, pictures, and the addresses of links. */
const paragraphs = readme
  .replace(/^```.*?^```$/gms, "")
  .replace(/^ {4}.*$/gm, "")
  .replace(/^[|#!].*$/gm, "")
  .replace(/\]\([^)]*\)/g, "]")
  .split(/\n\s*\n|\n(?=- )/)
  .map((text) => text.trim())
  .filter(isWord);

describe("the README", () => {
  test("has 900 words at most, code included", () => {
    expect(wordsIn(readme).length).toBeLessThanOrEqual(900);
  });

  test("has no sentence above 30 words and no paragraph above 80", () => {
    expect(paragraphs.length).toBeGreaterThan(15);
    expect(paragraphs.filter((text) => wordsIn(text).length > 80)).toEqual([]);
    const sentences = paragraphs.flatMap((text) => text.split(/(?<=[.:?!])\s+/));
    expect(sentences.filter((text) => wordsIn(text).length > 30)).toEqual([]);
  });

  test("shows the program that the recipe runs", () => {
    const shown = /^```js\n(import \{ NodeSDK.*?)^```$/ms.exec(readme)?.[1];
    expect(readFileSync("docs/recipes/nodesdk.md", "utf8")).toContain(shown);
  });
});
