/**
 * Programs of tests, lab and benches load modules of the build by name at run time, in processes of their own. A module
 * that was moved fails here, and not in a process whose parent waits for its lines.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { posix } from "node:path";
import { expect, test } from "vitest";

const require = createRequire(import.meta.url);

interface Loaded {
  /** The program. */
  readonly program: string;
  /** A module by its path in the build, without its extension. */
  readonly module: string;
  /** The names that the program takes from the module. */
  readonly names: readonly string[];
}

const programs = ["test/lab", "test/programs", "test/bench"].flatMap((dir) =>
  readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".mjs"))
    .map((path) => posix.join(dir, path.replaceAll("\\", "/"))),
);

/** `{ names } = await load("module")` and `(await load("module")).name`; other packages begin with `@`. */
const loadPattern =
  /(?:\{([^{}]*)\}\s*=\s*)?\(?await (?:load|engine|inner|entry)\("([a-z][\w/-]*)(?:\.js)?"\)(?:\)\.(\w+))?/g;
const importPattern = /import\s+(?:\{([^{}]*)\}\s+from\s+)?"(?:\.\.\/)+build\/([\w/-]+)\.m?js"/g;

const loaded: Loaded[] = programs.flatMap((program) =>
  [loadPattern, importPattern].flatMap((pattern) =>
    [...readFileSync(program, "utf8").matchAll(pattern)].map(([, list = "", module = "", name]) => ({
      program,
      module,
      names: [...list.split(",").map((part) => part.split(/:| as /)[0]?.trim() ?? ""), name ?? ""].filter(
        Boolean,
      ),
    })),
  ),
);

test("programs load modules of the build", () => expect(loaded.length).toBeGreaterThan(40));

test.each(loaded)("$program: $module of the build has $names", ({ module, names }) => {
  expect(existsSync(`build/${module}.js`), module).toBe(true);
  const exported = Object.keys(require(`../../build/${module}.js`));
  expect(names.filter((name) => !exported.includes(name))).toEqual([]);
});
