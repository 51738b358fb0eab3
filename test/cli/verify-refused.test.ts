/** `verify` on files that the file system refuses to read: what was not seen is not called corrupt. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { refuse, refuseReads } from "../support/refused-calls.js";
import { documentOf } from "../support/trace-documents.js";

const one = (): string => {
  const dir = emptyDirectory();
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1")));
  return dir;
};

async function resultOf(dir: string) {
  const { code, out } = await command(dir, ["verify", "ses_1", "--json"]);
  return { code, ...JSON.parse(out) };
}

const unread = (message: string) => ({
  code: 2,
  result: "unread",
  sessions: [{ result: "unread", spans: 0, findings: [{ level: "unread", file: "ses_1.json", message }] }],
});

test("P14 verify says of a document that cannot be opened why, and not that it is corrupt", async () => {
  const dir = one();
  refuse("open", "EACCES", /ses_1\.json$/);
  expect(await resultOf(dir)).toMatchObject(unread("cannot be read: no permission (EACCES)"));
  const { code, out, err } = await command(dir, ["verify"], { columns: 80 });
  expect(code).toBe(2);
  expect(stripVTControlCharacters(out)).toMatch(/^\? unread {2}ses_1 {2}\d/);
  expect(out).toContain("ses_1.json: cannot be read: no permission (EACCES)");
  expect(out).not.toMatch(/corrupt|damaged|0 spans/);
  expect(err).toContain("1 session: 0 whole, 0 repairable, 1 unread, 0 corrupt");
});

test("P14 verify says of a document with bad sectors that it was not read", async () => {
  const dir = one();
  refuseReads(/ses_1\.json$/);
  expect(await resultOf(dir)).toMatchObject(unread("cannot be read: the disk reports an error (EIO)"));
});

test("P14 verify says of a directory in the place of a document what it is", async () => {
  const dir = emptyDirectory();
  mkdirSync(join(dir, "ses_1.json"));
  expect(await resultOf(dir)).toMatchObject(unread("cannot be read: it is a directory (EISDIR)"));
});

test("P14 a corrupt document stays corrupt beside a log that cannot be read", async () => {
  const dir = commandDirectory();
  refuse("open", "EACCES", /\.open$/);
  const { out } = await command(dir, ["verify", "ses_broken", "ses_killed", "--json"]);
  const { result, sessions } = JSON.parse(out);
  expect(result).toBe("corrupt");
  expect(sessions[1]).toMatchObject({
    name: "ses_killed",
    result: "unread",
    findings: [{ level: "unread", file: expect.stringMatching(/^ses_killed\.json\..*\.open$/) }],
  });
});

test("P14 one file that cannot be looked at ends no listing of the others", async () => {
  const dir = one();
  writeFileSync(join(dir, "ses_2.json"), JSON.stringify(documentOf("ses_2")));
  refuse("lstat", "EACCES", /ses_1\.json$/);
  refuse("open", "EACCES", /ses_1\.json$/);
  const { code, out } = await command(dir, ["list", "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(out).sessions).toEqual([
    expect.objectContaining({ name: "ses_2", status: "completed" }),
    expect.objectContaining({ name: "ses_1", status: "damaged" }),
  ]);
  expect((await resultOf(dir)).sessions[0]).toMatchObject({ result: "unread", bytes: null });
  expect((await command(dir, ["verify", "ses_1"], { columns: 80 })).out).not.toContain("0 B");
  const { out: shown, err } = await command(dir, ["list"], { columns: 80 });
  expect(shown + err).toContain("it cannot be read: no per");
  expect((await command(dir, ["show", "ses_2"])).code).toBe(0);
  const refused = await command(dir, ["show", "ses_1"]);
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("EACCES")]);
});
