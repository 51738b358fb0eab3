/** The recipes of CONTRIBUTING.md name files that exist, and the documentation names every dialect, option and counter. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { exporterOptions } from "../../src/exporter/file-exporter-options.js";
import { counters } from "../../src/format/counters.js";
import { ownTracer } from "../../src/projection/dialects/own-tracer.js";
import { dialects } from "../../src/projection/dialects.js";

const contributing = readFileSync("CONTRIBUTING.md", "utf8");
const recipes = [...contributing.matchAll(/^### (A new .+)\n([\s\S]*?)(?=^#)/gm)].map(
  ([, title = "", text = ""]) => ({ title, text }),
);

/** Paths in backticks or as targets of links. `<name>` stands for any name. */
const pathsIn = (text: string): string[] =>
  [...text.matchAll(/[`(]((?:src|test|docs|scripts)\/[^`)\s]+|[A-Z]+\.md|[a-z]+\.json)[`)]/g)].map(
    ([, path = ""]) => path,
  );

function exists(path: string): boolean {
  const at = path.lastIndexOf("/");
  const name = path.slice(at + 1);
  if (!name.includes("<name>")) return existsSync(path);
  const [start = "", end = ""] = name.split("<name>");
  return readdirSync(path.slice(0, at)).some((file) => file.startsWith(start) && file.endsWith(end));
}

describe("recipes", () => {
  test("exist for a dialect, an option, a counter and a command", () => {
    expect(recipes.map(({ title }) => title)).toEqual([
      "A new dialect",
      "A new option",
      "A new counter of the summary",
      "A new command",
    ]);
  });

  test.each(recipes)("$title: every file exists, and a test is named", ({ text }) => {
    const paths = pathsIn(text);
    expect(paths.length).toBeGreaterThan(2);
    expect(paths.filter((path) => !exists(path))).toEqual([]);
    const tests = [...text.matchAll(/npx vitest run ([^`\n]+)/g)].flatMap(([, files = ""]) =>
      files.split(" "),
    );
    expect(tests.length).toBeGreaterThan(0);
    expect(tests.filter((file) => !exists(file))).toEqual([]);
  });
});

describe("documentation", () => {
  const attributes = readFileSync("docs/attributes.md", "utf8");
  const documents = readFileSync("docs/documents.md", "utf8");
  const configuration = readFileSync("docs/configuration.md", "utf8");

  test("docs/attributes.md links the file of every dialect, and each dialect is in use", () => {
    const files = readdirSync("src/projection/dialects");
    expect(files.filter((file) => !attributes.includes(`](../src/projection/dialects/${file})`))).toEqual([]);
    expect([...dialects, ownTracer].map(({ name }) => `${name}.ts`).sort()).toEqual(files.sort());
  });

  test("docs/documents.md names every counter", () => {
    expect(Object.keys(counters).filter((name) => !documents.includes(`\`${name}\``))).toEqual([]);
  });

  test("docs/configuration.md names every option of the file exporter, and its variable", () => {
    const names = Object.entries(exporterOptions).flatMap(([name, option]) => [
      name,
      ...("variable" in option ? [option.variable.name] : []),
    ]);
    expect(names.filter((name) => !configuration.includes(`\`${name}\``))).toEqual([]);
  });
});
