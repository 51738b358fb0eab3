/** `verify --ground`: what people and programs see, and what the command leaves alone. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { groundLines } from "../../src/cli/ground-report.js";
import { systemClock } from "../../src/platform/clock.js";
import { probeGround } from "../../src/recovery/ground-probe.js";
import { plainPalette } from "../../src/text/palette.js";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { RefusingFileSystem } from "../support/refusing-file-system.js";
import { ScriptedLiveness } from "../support/session-stage.js";

const schema = z.strictObject({
  schema: z.literal("crash-safe-file/ground/1"),
  dir: z.string(),
  result: z.enum(["whole", "reduced", "unusable"]),
  capabilities: z.array(
    z.strictObject({
      capability: z.string(),
      what: z.string(),
      isGiven: z.boolean(),
      seen: z.string(),
      isNeeded: z.boolean(),
      cost: z.string().optional(),
    }),
  ),
});

test("--json has an answer for each capability, and no session is changed", async () => {
  const dir = commandDirectory();
  const before = readdirSync(dir);
  const { code, out } = await command(dir, ["verify", "--ground", "--json"]);
  const { error, data } = schema.safeParse(JSON.parse(out));
  expect(error?.issues).toBe(undefined);
  expect(code).toBe(0);
  expect(data?.capabilities.length).toBeGreaterThan(10);
  expect(readdirSync(dir)).toEqual(before);
});

test.each([80, 120])("a machine that refuses four things, at %i columns", async (columns) => {
  const fileSystem = new RefusingFileSystem({
    calls: { fdatasync: "EINVAL", link: "EACCES" },
    locksOpenFiles: true,
    maxNameBytes: 143,
  });
  const ports = { fileSystem, clock: systemClock, liveness: new ScriptedLiveness() };
  const answers = await probeGround(ports, emptyDirectory());
  const lines = groundLines(answers, { colors: plainPalette(), columns });
  const text = lines.join("\n").replace(/\d+ ms/, "1 ms");
  await expect(`${text}\n`).toMatchFileSnapshot(`../fixtures/cli/verify-ground-${columns}.txt`);
});

test("a directory that cannot take a file, or does not exist, is reported", async () => {
  const dir = emptyDirectory();
  const missing = await command(join(dir, "typo"), ["verify", "--ground"]);
  expect([missing.code, missing.out, missing.err]).toEqual([
    1,
    "",
    expect.stringContaining("is no directory"),
  ]);
  const both = await command(dir, ["verify", "ses_1", "--ground"]);
  expect([both.code, both.err]).toEqual([2, expect.stringContaining("takes no session")]);
});
