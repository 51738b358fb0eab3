/** The command line of the pages: each command and option exists, and docs/cli.md names each. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { commonOptions } from "../../src/cli/command.js";
import { commands } from "../../src/cli/commands.js";
import { pages } from "../support/pages.js";

const cli = readFileSync("docs/cli.md", "utf8");
/** Names of the options of each command, those that all have included. */
const options = new Map(
  await Promise.all(
    Object.entries(commands).map(async ([name, { load }]) => {
      const { options: own } = await load();
      return [name, { own, names: [...Object.keys(own), ...Object.keys(commonOptions)] }] as const;
    }),
  ),
);

/** Calls of the command, in blocks and between backticks. */
const calls = pages.flatMap(({ path, text }) =>
  [...text.matchAll(/\bcrash-safe-file ([a-z]+)\b([^`\n#|]*)/g)].map(([call, name = "", rest = ""]) => ({
    path,
    call,
    name,
    asked: [...rest.matchAll(/(?<=\s)--([a-z-]+)/g)].map(([, option]) => option),
  })),
);

describe("the command line on the pages", () => {
  test("has commands and options that exist", () => {
    expect(calls.length).toBeGreaterThan(25);
    const wrong = calls.filter(
      ({ name, asked }) =>
        asked.some((option) => !options.get(name)?.names.includes(option ?? "")) || !options.has(name),
    );
    expect(wrong).toEqual([]);
  });

  test("is whole: docs/cli.md has a row for each command, with each of its options", () => {
    const rows = [...cli.matchAll(/^\| `([a-z]+)[^`]*` +\| (.*) \|$/gm)];
    const missing = [...options].flatMap(([name, { own }]) => {
      const row = rows.filter(([, command]) => command === name).join("\n");
      return Object.keys(own)
        .filter((option) => !new RegExp(`--${option}\\b`).test(row))
        .map((option) => `${name} --${option}`);
    });
    expect(rows.map(([, name]) => name)).toEqual(expect.arrayContaining(Object.keys(commands)));
    expect(missing).toEqual([]);
  });
});
