/**
 * The published types: every declaration with a contract has a comment. Data members need none, except those of
 * options.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const files = readdirSync("dist", { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".d.ts"),
);

interface Declaration {
  readonly name: string;
  readonly isDescribed: boolean;
}

/** Exported declarations of a file, their callable members, and the members of options. */
function declarationsOf(text: string): Declaration[] {
  const found: Declaration[] = [];
  const lines = text.split("\n");
  let owner = "";
  for (const [i, line] of lines.entries()) {
    const isDescribed = lines[i - 1]?.trimEnd().endsWith("*/") ?? false;
    const [, declared] =
      /^export declare (?:const|function|class|abstract class) (\w+)|^export (?:interface|type) (\w+)/
        .exec(line)
        ?.filter((part) => part !== undefined) ?? [];
    if (declared !== undefined) {
      owner = declared;
      found.push({ name: owner, isDescribed });
      continue;
    }
    // One level deep. The parts of an inline type belong to its declaration.
    const member = /^ {4}(?!private |\*|\/)((?:static |readonly |get |set |async )*)(\w+)\??([(<:])/.exec(
      line,
    );
    if (!member) continue;
    const [, modifiers = "", name, next] = member;
    const isCallable = next !== ":" || /\b[gs]et /.test(modifiers);
    if (isCallable || /(Options|Info|Context)$/.test(owner))
      found.push({ name: `${owner}.${name}`, isDescribed });
  }
  return found;
}

const declarations = files.flatMap((file) =>
  declarationsOf(readFileSync(`dist/${file}`, "utf8")).map((one) => ({ ...one, file })),
);

test("every exported declaration, every method, and every option has a comment", () => {
  expect(declarations.length).toBeGreaterThan(250);
  expect(
    declarations.filter(({ isDescribed }) => !isDescribed).map(({ file, name }) => `${file} ${name}`),
  ).toEqual([]);
});

test("every name that an entry exports is among the declarations", () => {
  const names = new Set(declarations.map(({ name }) => name));
  const exported = ["index", "reader", "session", "altimate"].flatMap((entry) =>
    [...readFileSync(`dist/${entry}.d.ts`, "utf8").matchAll(/\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
      [...list.matchAll(/(?:^|,)\s*(?:type )?(\w+)/g)].map(([, name = ""]) => name),
    ),
  );
  expect(exported.length).toBeGreaterThan(30);
  expect(exported.filter((name) => !names.has(name))).toEqual([]);
});

test("the altimate entry has every name that altimate-code imports, and a trace is made by its statics only", () => {
  const entry = readFileSync("dist/altimate.d.ts", "utf8");
  const exported = [...entry.matchAll(/\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
    list.split(",").map((name) =>
      name
        .replace(/^.* as /, "")
        .replace("type ", "")
        .trim(),
    ),
  );
  expect(exported).toEqual(
    expect.arrayContaining([
      ...["Trace", "Tracer", "Recap", "FileExporter", "HttpExporter", "capSpansForSerialization"],
      ...["MAX_SERIALIZED_SPANS", "USER_MESSAGE_INPUT_MAX_CHARS"],
      ...["TraceFile", "TraceSpan", "TraceExporter", "TokenUsage"],
    ]),
  );
  expect(readFileSync("dist/altimate/trace.d.ts", "utf8")).toMatch(/^ {4}private constructor\(/m);
});

test("a missing comment is found", () => {
  const text = [
    "/** A. */\nexport interface AOptions {\n    bare: number;\n    /** Described. */\n    other: number;\n}",
    "export declare class B {\n    #private;\n    /** C. */\n    constructor();\n    get d(): number;\n    e(): void;\n    f: number;\n}",
  ].join("\n");
  const bare = declarationsOf(text).filter(({ isDescribed }) => !isDescribed);
  expect(bare.map(({ name }) => name)).toEqual(["AOptions.bare", "B", "B.d", "B.e"]);
});
