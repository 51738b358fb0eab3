/**
 * The rules of the architecture: the rooms of `src`, and the direction of their imports. Read from the folders
 * themselves.
 */
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, expect, test } from "vitest";

/** Files of `src` by their paths in it, with `/` on every platform. */
const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => /\.(c?ts|tsx)$/.test(path));

const textOf = (file: string): string => readFileSync(`src/${file}`, "utf8");

/** The room of a file. Entries are at the top and have none. */
const roomOf = (file: string): string => (file.includes("/") ? (file.split("/")[0] as string) : "");

/** The source of an imported file. */
function sourceOf(path: string): string {
  const source = path.replace(/\.(c?)js$/, ".$1ts");
  return files.includes(source) || !files.includes(`${source}x`) ? source : `${source}x`;
}

/** Imports of each file, own files by their paths in `src`. Type imports are marked. */
const imports = new Map(
  files.map((file) => {
    const found = [
      ...textOf(file).matchAll(/^(?:import|export)\s+(type\s+)?(?:[^"';]*?from\s+)?"([^"]+)";/gms),
    ];
    return [
      file,
      found.map(([, type, from = ""]) => ({
        from: from.startsWith(".") ? sourceOf(posix.join(posix.dirname(file), from)) : from,
        isType: type !== undefined,
      })),
    ] as const;
  }),
);

/** Everything that a file loads at run time. */
function reaches(file: string, seen = new Set<string>()): Set<string> {
  for (const { from, isType } of imports.get(file) ?? []) {
    if (isType || seen.has(from)) continue;
    seen.add(from);
    if (imports.has(from)) reaches(from, seen);
  }
  return seen;
}

const openTelemetryIn = (names: Iterable<string>): string[] =>
  [...names].filter((name) => name.startsWith("@opentelemetry"));

/** The rooms from top to bottom, as CONTRIBUTING.md lists them. */
const rooms = [...readFileSync("CONTRIBUTING.md", "utf8").matchAll(/^\| `src\/([a-z]*)\/?`/gm)].map(
  ([, room = ""]) => room,
);
const rank = (file: string): number => rooms.indexOf(roomOf(file));

describe("rooms", () => {
  test("CONTRIBUTING.md lists the folders of src, each once", () => {
    const folders = readdirSync("src", { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    expect([...rooms].sort()).toEqual(["", ...folders].sort());
  });

  test("imports go down the list of rooms, imports of types included", () => {
    const upward = files.flatMap((file) =>
      (imports.get(file) ?? [])
        .filter(({ from }) => imports.has(from) && rank(from) < rank(file))
        .map(({ from }) => `${file} imports ${from}`),
    );
    expect(upward).toEqual([]);
  });

  test("imports point one way: no file reaches itself", () => {
    expect(files.filter((file) => reaches(file).has(file))).toEqual([]);
  });

  test("every relative import is an existing file", () => {
    const broken = [...imports].flatMap(([file, found]) =>
      found
        .filter(({ from }) => /\.(c?ts|tsx)$/.test(from) && !imports.has(from))
        .map(({ from }) => `${file}: ${from}`),
    );
    expect(broken).toEqual([]);
  });

  test("only entries are at the top of src, and package.json has each as an export or a command", () => {
    const { exports, bin } = JSON.parse(readFileSync("package.json", "utf8"));
    const entries = Object.keys(exports)
      .filter((path) => path !== "./package.json")
      .map((path) => `${path === "." ? "index" : path.slice(2)}.ts`)
      .concat(Object.values(bin as object).map((file) => posix.basename(file).replace(/js$/, "ts")));
    expect(files.filter((file) => roomOf(file) === "").sort()).toEqual(entries.sort());
  });

  test("no base name occurs in two rooms", () => {
    const names = files.map((file) => posix.basename(file).replace(/\.(c?ts|tsx)$/, ""));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test("each room has a README of a few lines", () => {
    const lines = rooms.map((room) => [
      room,
      readFileSync(posix.join("src", room, "README.md"), "utf8")
        .trim()
        .split("\n").length,
    ]);
    expect(lines.filter(([, count]) => Number(count) < 3 || Number(count) > 15)).toEqual([]);
  });

  test("a file has at most 400 lines", () => {
    expect(files.filter((file) => textOf(file).split("\n").length > 401)).toEqual([]);
  });
});

describe("the dependencies of a room", () => {
  test.each(["directory", "recovery", "storage", "format", "platform"])(
    "%s does not depend on OpenTelemetry",
    (room) => {
      const inside = files.filter((file) => roomOf(file) === room);
      expect(inside.length).toBeGreaterThan(2);
      const needing = inside.filter(
        (file) =>
          openTelemetryIn(reaches(file)).length > 0 ||
          (imports.get(file) ?? []).some(
            ({ from }) => from.startsWith("@opentelemetry") || roomOf(from) === "otel",
          ),
      );
      expect(needing).toEqual([]);
    },
  );

  test("only the file system port imports node:fs", () => {
    const importers = files.filter((file) =>
      imports.get(file)?.some(({ from }) => /^(node:)?fs\b/.test(from)),
    );
    expect(importers).toEqual(["platform/file-system.ts"]);
  });

  test("no file imports createRequire by its name, which webpack would read and warn about", () => {
    expect(files.filter((file) => /import \{[^}]*\bcreateRequire\b/.test(textOf(file)))).toEqual([]);
  });

  test("only one file reads the environment", () => {
    expect(files.filter((file) => textOf(file).includes("process.env"))).toEqual(["platform/environment.ts"]);
  });

  test("nothing imports the viewer, which runs in a browser", () => {
    const importers = files.filter(
      (file) => roomOf(file) !== "viewer" && imports.get(file)?.some(({ from }) => roomOf(from) === "viewer"),
    );
    expect(importers).toEqual([]);
    expect([...reaches("viewer/page.tsx")].filter((name) => /^(node:|@opentelemetry)/.test(name))).toEqual(
      [],
    );
  });

  test("P10 reading and recovery need no OpenTelemetry package", () => {
    const reached = reaches("reader.ts");
    expect(openTelemetryIn(reached)).toEqual([]);
    expect(reached.size).toBeGreaterThan(15);
  });

  test("P10 one file requires an SDK, by literal names in try and catch; exporter and processor do not reach it", () => {
    const requiring = files.filter((file) => /\brequire\(/.test(textOf(file)));
    const [file = ""] = requiring;
    expect(requiring).toEqual(["tracer/sdk-packages.cts"]);
    const text = textOf(file);
    expect(text.match(/require\(/g)).toHaveLength(
      text.match(/require\("@opentelemetry\/[a-z-]+"\)/g)?.length ?? 0,
    );
    // Each one directly within a try block, because bundlers accept no other form as optional.
    const tried = [...text.matchAll(/^ *try \{\n(.*?)^ *\} catch/gms)]
      .map(([, block]) => block ?? "")
      .join("");
    expect(tried.match(/require\(/g)).toHaveLength(4);
    expect(text.match(/require\(/g)).toHaveLength(4);
    // webpack would log a warning for a package that is missing: it drops these branches, and they have another way.
    expect(
      text.match(/if \(typeof __webpack_require__ !== "function"\) \{\n *try \{\n *return require\(/g),
    ).toHaveLength(4);
    expect(reaches("session.ts")).toContain(file);
    expect(reaches("index.ts")).not.toContain(file);
    expect(imports.get(file)?.filter(({ from }) => imports.has(from))).toEqual([]);
  });

  test("no package but the api of OpenTelemetry is imported; command and viewer have some more, which the build inlines", () => {
    const allowed = /^(node:|@opentelemetry\/api$)/;
    const foreign = [...imports].flatMap(([file, found]) =>
      found
        .filter(({ from }) => !imports.has(from) && !allowed.test(from))
        .map(({ from }) => `${roomOf(file)}: ${from}`),
    );
    expect([...new Set(foreign)].sort()).toEqual([
      "text: fast-string-truncated-width",
      "text: picocolors",
      "viewer: preact",
      "viewer: preact/hooks",
    ]);
  });
});
