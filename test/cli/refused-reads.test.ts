/** What commands say of files and directories that the file system refuses, and of times on the command line. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { failureReason } from "../../src/cli/failure-reason.js";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf } from "../support/trace-documents.js";

test("P14 the reason of a refusal is in words", async () => {
  expect(failureReason(Object.assign(new Error("x"), { code: "EACCES" }))).toBe("no permission (EACCES)");
  const dir = emptyDirectory();
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1")));
  const listed = await command(dir, ["list", "--dir", join(dir, "ses_1.json")]);
  expect([listed.code, listed.err]).toEqual([1, expect.stringContaining("is no directory (ENOTDIR)")]);
  const shared = await command(dir, ["share", "ses_1", "--output", join(dir, "none", "x.html")]);
  expect([shared.code, shared.err]).toEqual([1, expect.stringContaining("its directory does not exist")]);
});

test("P14 open reports a directory that cannot be listed", async () => {
  const dir = join(emptyDirectory(), "misspelt");
  const stop = new AbortController();
  const { err } = await command(dir, ["open", "--no-open"], {
    signal: stop.signal,
    cwd: ".",
    onOutput: () => stop.abort(),
  });
  expect(err).toContain("it does not exist");
});

test("stats takes the dates that list takes", async () => {
  const dir = emptyDirectory();
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1")));
  const sessionsSince = async (date: string) =>
    JSON.parse((await command(dir, ["stats", "--json", "--since", date])).out).sessions;
  expect([await sessionsSince("2026-01-01"), await sessionsSince("2026-01-03")]).toEqual([1, 0]);
});
