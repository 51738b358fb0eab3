/**
 * State has one owner: in the rooms that hold the state of sessions, no object offers a field that another file could
 * write to. Reads the declarations that the compiler emits for `src`.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const rooms = ["directory", "storage", "exporter"];

const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

/** Emits the declarations of `src`, `@internal` ones included, and returns those of the rooms by file. */
function emittedDeclarations(): Map<string, string> {
  const out = mkdtempSync(join(tmpdir(), "state-owners-"));
  const options = ["--emitDeclarationOnly", "--stripInternal", "false", "--outDir", out];
  try {
    execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", ...options]);
    const files = rooms.flatMap((room) => readdirSync(join(out, room)).map((name) => `${room}/${name}`));
    return new Map(files.map((file) => [file, readFileSync(join(out, file), "utf8")]));
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const ownerPattern = /^export (?:declare (?:abstract )?class|interface) (\w+)/;
/** A property with its modifiers, its name and the first line of its type; or a setter with its name. */
const propertyPattern = /^ {4}((?:[a-z]+ )*)(\w+)\??: (.*)$|^ {4}(?:static )?set (\w+)\(/;
/** Types of which a `readonly` field can still be changed by every reader. */
const containerPattern = /^(?:Weak)?(?:Map|Set)<|^Array<|^(?!readonly )[^(]*\[\];$/;

/** Members of exported classes and interfaces that code outside of the file can change. */
function mutableFieldsOf(declarations: string): string[] {
  const found: string[] = [];
  let owner = "";
  for (const line of declarations.split("\n")) {
    if (/^\w/.test(line)) owner = ownerPattern.exec(line)?.[1] ?? "";
    const [matched, modifiers = "", property = "", type = "", setter] = propertyPattern.exec(line) ?? [];
    if (owner === "" || matched === undefined || /\b(?:private|protected)\b/.test(modifiers)) continue;
    const isReadonly = /\breadonly\b/.test(modifiers) && !containerPattern.test(type);
    if (setter !== undefined || !isReadonly) found.push(`${owner}.${setter ?? property}`);
  }
  return found;
}

test("no exported class or interface of the rooms that hold state has a field that another file can change", () => {
  const declarations = emittedDeclarations();
  expect(declarations.size).toBeGreaterThan(20);
  const found = [...declarations].flatMap(([file, text]) =>
    mutableFieldsOf(text).map((field) => `${file.replace(/\.d\.ts$/, "")}: ${field}`),
  );
  expect(found).toEqual([]);
});

test("the test finds every field that can be changed, and no other", () => {
  const text = [
    "/** A. */",
    "export declare class A {",
    "    #private;",
    "    private hidden: number;",
    "    readonly fixed: number;",
    "    readonly list: readonly string[];",
    "    readonly call: (text: string[]) => string[];",
    "    readonly lookup: ReadonlyMap<string, number>;",
    "    static readonly one: {",
    "        inner: number;",
    "    };",
    "    /** A sentence: with a colon. */",
    "    get value(): number;",
    "    method(argument: number): void;",
    "    open: boolean;",
    "    optional?: boolean;",
    "    static shared: number;",
    "    readonly map: Map<string, number>;",
    "    readonly texts: string[];",
    "    get both(): number;",
    "    set both(value: number);",
    "}",
    "interface Internal {",
    "    free: number;",
    "}",
    "export interface B {",
    "    readonly fixed: number;",
    "    free: number;",
    "}",
  ].join("\n");
  const free = ["A.open", "A.optional", "A.shared", "A.map", "A.texts", "A.both", "B.free"];
  expect(mutableFieldsOf(text)).toEqual(free);
});
