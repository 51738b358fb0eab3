/** The files that housekeeping removes, and those that it never removes. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import type { Liveness } from "../../src/platform/liveness.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { prune, type Retention } from "../../src/recovery/retention.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

/** Settled sessions `s0`, `s1`, …, the first the oldest. */
async function settledSessions(count: number): Promise<void> {
  const one = stage.actor();
  for (let i = 0; i < count; i++) one.record(`s${i}`, 2);
  await one.processor.shutdown();
  for (let i = 0; i < count; i++) age(`s${i}.json`, (count - i) * 3_600);
}

function age(name: string, seconds: number): void {
  const then = Date.now() / 1000 - seconds;
  utimesSync(`${stage.dir}/${name}`, then, then);
}

/** Runs all of housekeeping. */
async function tidy(
  limits: number | Partial<Retention>,
  fileSystem: FileSystem = nodeFileSystem,
  liveness: Liveness = stage.liveness,
): Promise<void> {
  const given = typeof limits === "number" ? { maxFiles: limits } : limits;
  const ports = { fileSystem, liveness, clock: systemClock };
  expect((await recoverDirectory(ports, stage.dir)).failures).toEqual([]);
  await runAsync(fileSystem, prune(ports, stage.dir, { ...unlimited, ...given }));
}

const unlimited = { maxFiles: 0, maxFileAgeMillis: 0, maxTotalBytes: 0 };

const documents = () => stage.files.filter((name) => name.endsWith(".json"));

describe("retention of documents", () => {
  test("P7 removes the oldest by modification time, and none without a limit", async () => {
    await settledSessions(5);
    age("s3.json", 100 * 3_600);
    await tidy(0);
    expect(stage.files).toHaveLength(5);
    await tidy(3);
    expect(stage.files).toEqual(["s1.json", "s2.json", "s4.json"]);
  });

  test("P7 never removes a session that is live in this process", async () => {
    await settledSessions(4);
    const one = stage.actor();
    one.record("s0", 1);
    one.start("s1");
    one.record("s9", 1);
    await one.processor.forceFlush();
    age("s0.json", 1_000_000);
    age("s1.json", 1_000_000);
    await tidy(4);
    expect(documents()).toEqual(["s0.json", "s1.json", "s3.json", "s9.json"]);
    await one.processor.shutdown();
    expect(ended(stage.document("s0"))).toHaveLength(3);
  });

  test("P7 never removes a session that is live in another process", async () => {
    await settledSessions(3);
    const other = stage.actor();
    other.record("s0", 1);
    await tidy(1);
    expect(documents()).toEqual(["s0.json"]);
    await other.processor.shutdown();
    expect(ended(stage.document("s0"))).toHaveLength(3);
  });

  test("P7 runs when an exporter starts, and every ten seconds", async () => {
    await settledSessions(3);
    const one = stage.actor({ maxFiles: 2 });
    one.clock.pass(0);
    await expect.poll(documents).toEqual(["s1.json", "s2.json"]);
    one.record("s9", 1);
    await one.processor.forceFlush();
    one.clock.pass(10_000);
    await expect.poll(documents).toEqual(["s2.json", "s9.json"]);
  });

  test("P7 loses nothing of a session that is resumed while the documents are listed", async () => {
    await settledSessions(3);
    const slow = new PausedFileSystem();
    const hold = slow.hold((name) => name === "lstat", "done");
    const tidied = tidy(1, slow);
    await hold.reached;
    const other = stage.actor();
    other.record("s0", 1);
    hold.release();
    await tidied;
    expect(existsSync(`${stage.dir}/s0.json`)).toBe(true);
    await other.processor.shutdown();
    expect(ended(stage.document("s0"))).toHaveLength(3);
  });

  test("P7 loses nothing of a session that is resumed between the last check and the removal", async () => {
    await settledSessions(3);
    const other = stage.actor();
    const calls = { ...nodeFileSystem.sync };
    let resumed = 0;
    calls.readdir = (path) => {
      const names = nodeFileSystem.sync.readdir(path);
      // The last check. The earlier ones do not wait.
      if (path === stage.dir && ++resumed === 1) other.record("s0", 1);
      return names;
    };
    await tidy(1, { ...nodeFileSystem, sync: calls });
    expect(resumed).toBe(1);
    expect(existsSync(`${stage.dir}/s0.json`)).toBe(false);
    await other.processor.forceFlush();
    expect(ended(stage.document("s0"))).toHaveLength(3);
    await other.processor.shutdown();
    expect(ended(stage.document("s0"))).toHaveLength(3);
    expect(stage.document("s0").summary.status).toBe("completed");
  });

  test.each(["before it is looked at again", "before it is taken"])(
    "P2 P7 keeps a document that is resumed and ended again after the last check for writers, %s",
    async (when) => {
      await settledSessions(3);
      const other = stage.actor();
      const resume = () => {
        other.record("s0", 1);
        other.processor.crash("out of memory");
      };
      await tidy(1, at(when, resume));
      expect(stage.files).toEqual(["s0.json", "s2.json"]);
      expect(ended(stage.document("s0"))).toHaveLength(3);
      expect(stage.document("s0").summary).toMatchObject({ status: "crashed", error: "out of memory" });
    },
  );

  test("P2 P7 loses nothing of a session that has a new document before the removed one is put back", async () => {
    await settledSessions(3);
    const [other, third] = [stage.actor(), stage.actor()];
    const resume = () => {
      other.record("s0", 1);
      other.processor.crash("out of memory");
    };
    const begin = () => {
      third.record("s0", 1);
      third.processor.crash("out of time");
    };
    await tidy(1, at("before it is taken", resume, begin));
    await tidy(0);
    expect(stage.files).toEqual(["s0.json", "s2.json"]);
    expect(ended(stage.document("s0"))).toHaveLength(4);
    expect(stage.document("s0").summary.status).toBe("crashed");
  });

  test("P7 puts back a document that was claimed by a remover which was killed", async () => {
    await settledSessions(3);
    const before = stage.bytes("s0");
    const calls = { ...nodeFileSystem.sync };
    calls.unlink = () => {
      throw new Error("killed");
    };
    await tidy(2, { ...nodeFileSystem, sync: calls });
    expect(documents()).toEqual(["s1.json", "s2.json"]);
    await tidy(0);
    expect(stage.files).toEqual(["s0.json", "s1.json", "s2.json"]);
    expect(stage.bytes("s0")).toBe(before);
  });
});

/** A file system on which another writer acts while `s0.json` is being removed, and when it has been claimed. */
function at(when: string, act: () => void, whenTaken: () => void = () => {}): FileSystem {
  const path = `${stage.dir}/s0.json`;
  const calls = { ...nodeFileSystem.sync };
  calls.readdir = (dir) => {
    const names = nodeFileSystem.sync.readdir(dir);
    if (dir === stage.dir && when === "before it is looked at again") act();
    return names;
  };
  calls.rename = (from, to) => {
    if (from === path && when === "before it is taken") act();
    nodeFileSystem.sync.rename(from, to);
    if (from === path) whenTaken();
  };
  return { ...nodeFileSystem, sync: calls };
}

describe("sweeping of leftover files", () => {
  test("P7 removes copies older than an hour, and never younger ones", async () => {
    await settledSessions(1);
    for (const name of ["s0.json.tmp.123", "s0.json.tmp.456", "gone.json.tmp.abc-def.7", "notes.json.tmp"])
      writeFileSync(`${stage.dir}/${name}`, "half");
    age("s0.json.tmp.123", 3_601);
    age("gone.json.tmp.abc-def.7", 3_601);
    age("s0.json.tmp.456", 3_500);
    age("notes.json.tmp", 1_000_000);
    await tidy(0, nodeFileSystem, new MortalLiveness());
    expect(stage.files).toEqual(["notes.json.tmp", "s0.json", "s0.json.tmp.456"]);
  });

  test("P7 keeps a live owner's copy, however old, because the machine may have slept, or its clock was set", async () => {
    await settledSessions(1);
    const liveness = new MortalLiveness();
    const [living, dead] = [liveness.newToken(), liveness.newToken()];
    liveness.kill(dead);
    for (const name of [
      `s0.json.tmp.${living}.1`,
      `s0.json.tmp.${living}-recovery.2`,
      `s0.json.tmp.${dead}.3`,
    ]) {
      writeFileSync(`${stage.dir}/${name}`, "half");
      age(name, 8 * 3_600);
    }
    await tidy(0, nodeFileSystem, liveness);
    expect(stage.files).toEqual(["s0.json", `s0.json.tmp.${living}-recovery.2`, `s0.json.tmp.${living}.1`]);
  });

  test("P7 removes claims and copies of dead owners at once, and of live owners never", async () => {
    await settledSessions(1);
    mkdirSync(`${stage.dir}/s0.json.lock`);
    mkdirSync(`${stage.dir}/s1.json.lock`);
    for (const name of [
      "s0.json.lock/dead",
      "s1.json.lock/dead",
      "s1.json.lock/living",
      "s0.json.tmp.dead.1",
    ])
      writeFileSync(`${stage.dir}/${name}`, "half");
    stage.liveness.dead.add("dead");
    await tidy(0);
    expect(stage.files).toEqual(["s0.json", "s1.json.lock"]);
    expect(nodeFileSystem.sync.readdir(`${stage.dir}/s1.json.lock`)).toEqual(["living"]);
  });

  test("P6 reports nothing about a lock that vanishes or is no lock", async () => {
    mkdirSync(`${stage.dir}/a.json.lock`);
    mkdirSync(`${stage.dir}/b.json.lock`);
    writeFileSync(`${stage.dir}/c.json.lock`, "a file");
    writeFileSync(`${stage.dir}/z.json.tmp.dead.1`, "half");
    stage.liveness.dead.add("dead");
    const calls = { ...nodeFileSystem.sync };
    calls.readdir = (path) => {
      if (path.endsWith("a.json.lock")) nodeFileSystem.sync.rmdir(path);
      return nodeFileSystem.sync.readdir(path);
    };
    const ports = {
      fileSystem: { ...nodeFileSystem, sync: calls },
      liveness: stage.liveness,
      clock: systemClock,
    };
    expect((await recoverDirectory(ports, stage.dir)).failures).toEqual([]);
    // Empty: another program may hold it.
    expect(stage.files).toEqual(["b.json.lock", "c.json.lock"]);
  });

  test("P9 P7 follows no symlink", async () => {
    const outside = new Stage();
    try {
      writeFileSync(`${outside.dir}/mine.json`, "{}");
      for (const name of ["a.json", "b.json.tmp.dead.1"])
        symlinkSync(`${outside.dir}/mine.json`, `${stage.dir}/${name}`);
      stage.liveness.dead.add("dead");
      await tidy(1);
      expect(readFileSync(`${outside.dir}/mine.json`, "utf8")).toBe("{}");
    } finally {
      outside.remove();
    }
  });
});
