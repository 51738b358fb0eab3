/** `tail --exit` ends where nothing can follow. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, emptyDirectory } from "../support/command-stage.js";

const contents = {
  "an empty file": "",
  "a list": "[]",
  null: "null",
  "bytes that are no text": "\0\u0001\0",
};

test.each(Object.entries(contents))("P6 of %s: with exit code 1", async (_, content) => {
  const dir = emptyDirectory();
  writeFileSync(join(dir, "ses_1.json"), content);
  const { code, err } = await command(dir, ["tail", "./ses_1.json", "--exit"]);
  expect([code, err]).toEqual([1, expect.stringContaining("ses_1.json is not a trace document")]);
});

test("P6 of a directory that does not exist: with exit code 1", async () => {
  const { code, err } = await command(join(emptyDirectory(), "misspelt"), ["tail", "--exit"]);
  expect([code, err]).toEqual([1, expect.stringContaining("it does not exist")]);
});
