/** The rules of the house: who may import whom. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const files = readdirSync("src").filter((name) => /\.c?ts$/.test(name));

/** Imports of each file; those of types only are marked. */
const imports = new Map(
  files.map((name) => {
    const text = readFileSync(`src/${name}`, "utf8");
    const found = [...text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^"';]*?from\s+)?"([^"]+)";/gms)];
    return [
      name,
      found.map(([, type, from]) => ({ from: from as string, isType: type !== undefined })),
    ] as const;
  }),
);

/** Everything a file reaches at run time. */
function reaches(name: string, seen = new Set<string>()): Set<string> {
  for (const { from, isType } of imports.get(name) ?? []) {
    if (isType || seen.has(from)) continue;
    seen.add(from);
    if (from.startsWith("./")) reaches(from.slice(2).replace(/js$/, "ts"), seen);
  }
  return seen;
}

/** The map of the house: the layers from top to bottom, and the files of each. */
const layers = [
  ...readFileSync("CONTRIBUTING.md", "utf8").matchAll(/^\d+\. \*\*.*\n(?: {3,4}\S.*\n)*/gm),
].map(([item]) => [...item.matchAll(/`([a-z-]+|dialect-\*)`/g)].map(([, name = ""]) => name));
const layerOf = (file: string) => {
  const name = file.replace(/^\.\//, "").replace(/\.c?[jt]s$/, "");
  return layers.flatMap((names, layer) =>
    names.includes(name) || (names.includes("dialect-*") && name.startsWith("dialect-")) ? [layer] : [],
  );
};

describe("layers", () => {
  test("each file is once on the map, and each name of the map is a file", () => {
    expect(layers).toHaveLength(12);
    expect(files.filter((name) => layerOf(name).length !== 1)).toEqual([]);
    const names = files.map((name) => name.replace(/\.c?ts$/, ""));
    expect(layers.flat().filter((name) => name !== "dialect-*" && !names.includes(name))).toEqual([]);
  });

  test("no file imports from a layer above its own", () => {
    const upward = files.flatMap((name) =>
      (imports.get(name) ?? [])
        .filter(({ from, isType }) => !isType && from.startsWith("./"))
        .filter(({ from }) => (layerOf(from)[0] ?? -1) < (layerOf(name)[0] ?? 0))
        .map(({ from }) => `${name} imports ${from}`),
    );
    expect(upward).toEqual([]);
  });

  test("the layers from a directory down to the machine need no OpenTelemetry package", () => {
    const needing = files.filter((name) => {
      const [layer = 0] = layerOf(name);
      return (
        layer >= 7 && layer <= 10 && [...reaches(name)].some((from) => from.startsWith("@opentelemetry"))
      );
    });
    expect(needing).toEqual([]);
  });

  test("only the port imports node:fs", () => {
    const importers = files.filter((name) =>
      imports.get(name)?.some(({ from }) => /^(node:)?fs\b/.test(from)),
    );
    expect(importers).toEqual(["file-system.ts"]);
  });

  test("P10 reading and recovery need no OpenTelemetry package", () => {
    const reached = reaches("reader.ts");
    expect([...reached].filter((from) => from.startsWith("@opentelemetry"))).toEqual([]);
    expect(reached.size).toBeGreaterThan(15);
  });

  test("P10 one file requires an SDK, by literal names in try and catch; exporter and processor do not reach it", () => {
    const requiring = files.filter((name) => /\brequire\(/.test(readFileSync(`src/${name}`, "utf8")));
    expect(requiring).toEqual(["sdk-packages.cts"]);
    const text = readFileSync("src/sdk-packages.cts", "utf8");
    expect(text.match(/require\(/g)).toHaveLength(
      text.match(/require\("@opentelemetry\/[a-z-]+"\)/g)?.length ?? 0,
    );
    // Each one directly within a try block: bundlers take no other for optional.
    const tried = [...text.matchAll(/^ *try \{\n(.*?)^ *\} catch/gms)]
      .map(([, block]) => block ?? "")
      .join("");
    expect(tried.match(/require\(/g)).toHaveLength(4);
    expect(text.match(/require\(/g)).toHaveLength(4);
    expect(reaches("session.ts")).toContain("./sdk-packages.cjs");
    expect(reaches("index.ts")).not.toContain("./sdk-packages.cjs");
    expect(imports.get("sdk-packages.cts")).toEqual([]);
  });

  test("the engine needs no OpenTelemetry package", () => {
    expect([...reaches("trace-registry.ts")].filter((from) => from.startsWith("@opentelemetry"))).toEqual([]);
  });

  test("nothing but api and core of OpenTelemetry is imported, and nothing else from outside Node", () => {
    const outside = new Set([...imports.values()].flat().map(({ from }) => from));
    const allowed = /^(\.\/|node:|@opentelemetry\/(api|core)$)/;
    expect([...outside].filter((from) => !allowed.test(from))).toEqual([]);
  });

  test("imports point one way: no file reaches itself", () => {
    const circular = files.filter((name) => reaches(name).has(`./${name.slice(0, -3)}.js`));
    expect(circular).toEqual([]);
  });

  test("rooms are small", () => {
    const large = files.filter((name) => readFileSync(`src/${name}`, "utf8").split("\n").length > 286);
    expect(large).toEqual([]);
  });

  test("one file reads the environment", () => {
    const readers = files.filter((name) => readFileSync(`src/${name}`, "utf8").includes("process.env"));
    expect(readers).toEqual(["environment.ts"]);
  });
});
