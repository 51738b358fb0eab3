/** docs/trace-v2.schema.json describes documents completely: each member that the types and the fixtures have, and no other. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";

interface Schema {
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
  [keyword: string]: unknown;
}
const read = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));
const schema = read("docs/trace-v2.schema.json") as Schema;

/** The schema without room for members of later versions. */
function closed(part: unknown): unknown {
  if (typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map(closed);
  const entries = Object.entries(part).map(([key, value]) => [key, closed(value)]);
  return { ...Object.fromEntries(entries), ...("properties" in part && { additionalProperties: false }) };
}

const formats = { "date-time": (text: string) => !Number.isNaN(Date.parse(text)) };
const validate = new Ajv2020({ formats }).compile(schema);
const validateClosed = new Ajv2020({ formats }).compile(closed(schema) as Schema);

const documents = ["documents", "released/0.1.0"].flatMap((dir) =>
  readdirSync(join("test/fixtures", dir), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".json"))
    .map((file) => join("test/fixtures", dir, file)),
);

describe("docs/trace-v2.schema.json", () => {
  test.each(documents)("accepts %s, and knows each of its members", (path) => {
    validateClosed(read(path));
    expect(validateClosed.errors ?? []).toEqual([]);
  });

  test("has the members of the example of docs/documents.md, which are in the order of a document", () => {
    const [, example = ""] =
      /^```\n(\{"version":2.*?)^```$/ms.exec(readFileSync("docs/documents.md", "utf8")) ?? [];
    const [head = "", span = "", , root = ""] = example.split("\n");
    const namesIn = (text: string) => [...text.matchAll(/"(\w+)":/g)].map(([, name = ""]) => name);
    const shown = [...namesIn(head), ...namesIn(root.slice(root.indexOf("}],")))];
    const document = read("test/fixtures/documents/crashed.json") as Record<string, unknown>;
    const known = Object.keys(document);
    expect(shown.filter((name) => !(name in (schema.properties ?? {})))).toEqual([]);
    expect(shown.filter((name) => known.includes(name))).toEqual(
      known.filter((name) => shown.includes(name)),
    );
    const [first] = document.spans as [object];
    expect(namesIn(span)).toEqual(Object.keys(first).filter((name) => namesIn(span).includes(name)));
  });

  test("accepts members of later versions", () => {
    expect(validate({ ...(read("test/fixtures/documents/crashed.json") as object), later: 1 })).toBe(true);
  });

  test("refuses other values in each member", () => {
    const document = read("test/fixtures/documents/crashed.json") as Record<string, unknown>;
    const required = schema.required as string[];
    const accepted = required.filter((key) => validate({ ...document, [key]: false }));
    expect(accepted).toEqual([]);
    const spans = document.spans as Record<string, unknown>[];
    for (const change of [
      { kind: "other" },
      { startTime: "now" },
      { status: "running" },
      { interrupted: false },
    ])
      expect(validate({ ...document, spans: [{ ...spans[0], ...change }] }), JSON.stringify(change)).toBe(
        false,
      );
  });

  test("has every member of the types", () => {
    const source = readFileSync("src/format/trace-file.ts", "utf8");
    const members = [...source.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name);
    const known = new Set(JSON.stringify(schema).match(/(?<=")\w+(?=":\{)/g));
    expect(members.length).toBeGreaterThan(80);
    expect(members.filter((name) => !known.has(name ?? ""))).toEqual([]);
  });
});
