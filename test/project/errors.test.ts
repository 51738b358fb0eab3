/** Every error code, every reason of a lost span and every message of the library is on docs/errors.md. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type CrashSafeErrorCode, CrashSafeFileError, reasonOf } from "../../src/platform/errors.js";

const oneLine = (text: string) => text.replace(/\s+/g, " ");
const page = oneLine(readFileSync("docs/errors.md", "utf8"));
const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => /\.c?ts$/.test(file) && !/^(cli|viewer)[/.]/.test(file.replaceAll("\\", "/")))
  .map((file) => ({ file, text: readFileSync(join("src", file), "utf8") }));

/** What comes before the text of a message: a call that logs it, an error that has it, a reason that becomes part of it. */
const beginning =
  /(?:\.log\(\s*"[a-z]+",\s*|\.failure\(\s*|\blog\(\s*(?!"[a-z]+",)|new CrashSafeFileError\(\s*"[A-Z_]+",\s*|\bwhy:\s*)(["'`])((?:\\.|(?!\1)[^\\])*)\1/g;

/** The longest part of a message that is always the same. */
const constantPart = (message: string) =>
  message
    .split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/)
    .map((part) => oneLine(part).replace(/^\W+|\W+$/g, ""))
    .reduce((longest, part) => (part.length > longest.length ? part : longest), "");

const messages = sources.flatMap(({ file, text }) =>
  [...text.matchAll(beginning)].map(([, , message = ""]) => ({ file, part: constantPart(message) })),
);

describe("docs/errors.md", () => {
  test("has every message of the library", () => {
    expect(messages.length).toBeGreaterThan(40);
    expect(messages.filter(({ part }) => !page.includes(part))).toEqual([]);
  });

  test("has every message of the command", () => {
    const texts = readdirSync("src/cli").map((file) => readFileSync(join("src/cli", file), "utf8"));
    const thrown = texts.flatMap((text) =>
      [...text.matchAll(/new (?:CommandError|UsageError)\(\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1/g)].map(
        ([, , message = ""]) => constantPart(message.replaceAll("\\`", "")),
      ),
    );
    expect(thrown.length).toBeGreaterThan(25);
    expect(thrown.filter((part) => !page.includes(part))).toEqual([]);
  });

  test("has a section for every code, and no other", () => {
    const source = sources.find(({ file }) => file.endsWith("errors.ts"))?.text ?? "";
    const codes = [...source.matchAll(/^ {2}\| "([A-Z_]+)"/gm)].map(([, code]) => code);
    const sections = [...readFileSync("docs/errors.md", "utf8").matchAll(/^### ([A-Z_]+)$/gm)];
    expect(codes.length).toBeGreaterThan(5);
    expect(sections.map(([, code]) => code)).toEqual(codes);
  });

  test("has a heading where the message of each code links to", () => {
    for (const [, code = ""] of readFileSync("docs/errors.md", "utf8").matchAll(/^### ([A-Z_]+)$/gm)) {
      const { message } = new CrashSafeFileError(code as CrashSafeErrorCode, "no space left");
      // The sites that show the pages make such an anchor of a heading.
      expect(message).toBe(`no space left (docs/errors.md#${code.toLowerCase()})`);
      expect(reasonOf(new CrashSafeFileError(code as CrashSafeErrorCode, message))).toBe(message);
    }
    expect(reasonOf(new CrashSafeFileError("WRITE_FAILED", "no space left"))).toBe("no space left");
  });

  test("has every `error.type` of a lost span", () => {
    const types = sources.flatMap(({ text }) =>
      [...text.matchAll(/\btype: "([a-z]+(?:_[a-z]+)*)",? ?\n? *why/g)].map(([, type = ""]) => type),
    );
    expect(new Set(types).size).toBeGreaterThan(6);
    expect([...new Set(types)].filter((type) => !page.includes(`\`${type}\``))).toEqual([]);
  });
});
