/** The probe of a directory: each refusal has its answer, and the directory is left as it was. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { type GroundAnswer, probeGround } from "../../src/recovery/ground-probe.js";
import { foldingFileSystem } from "../support/folding-file-system.js";
import { type Refusals, RefusingFileSystem } from "../support/refusing-file-system.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

const probe = (
  fileSystem: FileSystem,
  liveness = new SystemLiveness(nodeFileSystem.sync),
): Promise<readonly GroundAnswer[]> => probeGround({ fileSystem, clock: systemClock, liveness }, stage.dir);

/** What is missing, and what was seen of it. */
const missing = (answers: readonly GroundAnswer[]): Record<string, string> =>
  Object.fromEntries(answers.filter(({ isGiven }) => !isGiven).map((one) => [one.capability, one.seen]));

/** A file system some of whose calls are other ones. */
const withCalls = (calls: Partial<FileSystem["sync"]>): FileSystem => ({
  sync: { ...nodeFileSystem.sync, ...calls },
  async: nodeFileSystem.async,
});

test.runIf(process.platform === "linux")("P12 this machine gives everything", async () => {
  writeFileSync(join(stage.dir, "s.json"), "{}");
  const answers = await probe(nodeFileSystem);
  expect(missing(answers)).toEqual({});
  expect(answers.filter(({ cost }) => cost !== undefined)).toEqual([]);
  expect(stage.files).toEqual(["s.json"]);
});

const refusing: readonly (readonly [name: string, refusals: Refusals, answers: object])[] = [
  ["syncs", { calls: { fdatasync: "EINVAL" } }, { sync: "EINVAL" }],
  ["syncs of directories", { calls: { syncDirectory: "EACCES" } }, { directorySync: "EACCES" }],
  ["hard links", { calls: { link: "EPERM" } }, { hardLinks: "EPERM" }],
  ["inodes that are all zero", { inodes: "all zero" }, { stableInodes: "INODES" }],
  ["inodes that are new at each look", { inodes: "new at each look" }, { stableInodes: "INODES" }],
  ["renames over open files", { locksOpenFiles: true }, { openFiles: "EPERM" }],
  ["names of more than 143 bytes", { maxNameBytes: 143 }, { longNames: "143 bytes" }],
  ["permissions", { calls: { adopt: "EPERM" } }, {}],
  [
    "four things at once",
    { calls: { fdatasync: "ENOTSUP", link: "EACCES" }, inodes: "differ by call", maxNameBytes: 143 },
    { sync: "ENOTSUP", hardLinks: "EACCES", stableInodes: "INODES", longNames: "143 bytes" },
  ],
];

describe("P12 a probe of a file system that refuses", () => {
  test.each(refusing)("%s names it and its cost, and documents are written", async (_, refusals, answers) => {
    const fileSystem = new RefusingFileSystem(refusals);
    const found = await probe(fileSystem);
    expect(missing(found)).toEqual(answers);
    for (const { isGiven, isNeeded, cost } of found)
      if (!isGiven) expect([isNeeded, !cost]).toEqual([false, false]);
    expect(stage.files).toEqual([]);
  });

  test.each(refusing)("%s answers what stats() has after a session", async (_, refusals) => {
    const found = missing(await probe(new RefusingFileSystem(refusals)));
    const actor = stage.actor({}, { fileSystem: new RefusingFileSystem(refusals) });
    actor.record("s", 2);
    await actor.processor.forceFlush();
    await actor.processor.shutdown();
    const { refused } = actor.exporter.stats();
    for (const [capability, code] of Object.entries(refused)) expect(found[capability]).toBe(code);
  });
});

test("P12 names that are folded are one file", async () => {
  const found = missing(await probe(foldingFileSystem(stage.dir)));
  expect(found).toEqual({ letterCase: "one file", unicodeForm: "one file" });
});

const unusable: readonly (readonly [name: string, fileSystem: FileSystem, answers: object])[] = [
  [
    "a directory that takes no entries",
    new RefusingFileSystem({ calls: { mkdir: "EROFS" } }),
    { writing: "EROFS" },
  ],
  [
    "a create that takes a file which is there",
    withCalls({
      open: (path, mode) =>
        nodeFileSystem.sync.open(
          path,
          mode === "create" && nodeFileSystem.sync.exists(path) ? "append" : mode,
        ),
    }),
    { exclusiveCreate: "a second create succeeds" },
  ],
  [
    "renames that always fail",
    new RefusingFileSystem({ calls: { rename: "ENOSYS" } }),
    { rename: "ENOSYS", commit: "ENOSYS" },
  ],
];

test.each(unusable)("P12 on %s, no document can be written", async (_, fileSystem, answers) => {
  const found = await probe(fileSystem);
  expect(missing(found)).toMatchObject(answers);
  const needed = found.filter(({ isGiven, isNeeded }) => !isGiven && isNeeded);
  expect(needed.map(({ capability }) => capability)).toEqual(Object.keys(answers));
  expect(stage.files).toEqual([]);
});

test("P12 a probe removes what a killed one has left, and leaves that of a living one alone", async () => {
  const [dead, alive] = [stage.liveness.newToken(), stage.liveness.newToken()];
  stage.liveness.dead.add(dead);
  for (const token of [dead, alive]) {
    mkdirSync(join(stage.dir, `ground-probe.${token}/document.json.lock`), { recursive: true });
    writeFileSync(join(stage.dir, `ground-probe.${token}/document.json.lock/${token}`), "x");
  }
  await probeGround({ fileSystem: nodeFileSystem, clock: systemClock, liveness: stage.liveness }, stage.dir);
  expect(readdirSync(stage.dir)).toEqual([`ground-probe.${alive}`]);
});
