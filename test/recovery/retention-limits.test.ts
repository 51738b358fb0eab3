/** Retention by age and by size, and every kind of orphaned file. */
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import type { Liveness } from "../../src/platform/liveness.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { prune, type Retention } from "../../src/recovery/retention.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

const hour = 3_600_000;
const day = 24 * hour;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

/** Settled sessions `s0`, `s1`, …, this many days old. */
async function settled(...days: number[]): Promise<void> {
  const one = stage.actor();
  for (const id of days.keys()) one.record(`s${id}`, 2);
  await one.processor.shutdown();
  for (const [id, old] of days.entries()) age(`s${id}.json`, old * day);
}

function age(name: string, millis: number): void {
  const then = (Date.now() - millis) / 1000;
  utimesSync(`${stage.dir}/${name}`, then, then);
}

const write = (...names: string[]) => {
  for (const name of names) writeFileSync(`${stage.dir}/${name}`, "something");
};

const sizeOf = (...names: string[]) =>
  names.reduce((sum, name) => sum + statSync(`${stage.dir}/${name}`).size, 0);

const ports = (liveness: Liveness = stage.liveness, fileSystem = nodeFileSystem) => ({
  fileSystem,
  liveness,
  clock: systemClock,
});

const keep = (limits: Partial<Retention>, from = ports()) =>
  runAsync(
    from.fileSystem,
    prune(from, stage.dir, { maxFiles: 0, maxFileAgeMillis: 0, maxTotalBytes: 0, ...limits }),
  );

describe("P9 an empty directory with the name of a lock", () => {
  test("is left alone while it may be the lock of another program, and removed from a document of ours after an hour", async () => {
    await settled(1);
    const names = ["s0.json.lock", "package.json.lock", "data.json.lock"];
    for (const name of names) mkdirSync(`${stage.dir}/${name}`);
    writeFileSync(`${stage.dir}/package.json`, "{}");
    await recoverDirectory(ports(), stage.dir);
    expect(stage.files).toEqual(expect.arrayContaining(names));
    const later = { ...ports(), clock: { ...systemClock, now: () => Date.now() + 1.1 * hour } };
    await recoverDirectory(later, stage.dir);
    expect(stage.files).toEqual(["data.json.lock", "package.json", "package.json.lock", "s0.json"]);
  });

  test("is removed with the side files of its owner", async () => {
    const dead = stage.actor();
    dead.record("s0", 1);
    await dead.processor.forceFlush();
    stage.liveness.bury();
    mkdirSync(`${stage.dir}/s0.json.lock`);
    await recoverDirectory(ports(), stage.dir);
    expect(stage.files).toEqual(["s0.json"]);
  });
});

describe("P7 P9 retention by age", () => {
  test("removes documents last written before the limit, and no younger ones", async () => {
    await settled(10, 3, 8, 1);
    await keep({ maxFileAgeMillis: 8 * day + hour });
    expect(stage.files).toEqual(["s1.json", "s2.json", "s3.json"]);
    await keep({ maxFileAgeMillis: 2 * day });
    expect(stage.files).toEqual(["s3.json"]);
  });

  test("never removes a live session, of this process or another, however old its document is", async () => {
    await settled(10, 10);
    const other = stage.actor();
    other.record("s0", 1);
    await other.processor.forceFlush();
    age("s0.json", 10 * day);
    await keep({ maxFileAgeMillis: day });
    expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual(["s0.json"]);
    await other.processor.shutdown();
    expect(ended(stage.document("s0"))).toHaveLength(3);
  });

  test("removes with a document its damaged copies, its replay checkpoint and leftover files of other writers", async () => {
    await settled(10, 1);
    write("s0.json.replayed", "s0.json.damaged.a-1-2-3-4", "s0.json.damaged.a-1-2-3-4.live");
    write(
      "s1.json.replayed",
      "s1.json.damaged.a-1-2-3-4",
      "gone.json.damaged.a-1-2-3-4",
      "new.json.damaged.b-1-2-3-4",
    );
    age("gone.json.damaged.a-1-2-3-4", 10 * day);
    age("s1.json.damaged.a-1-2-3-4", 10 * day);
    await keep({ maxFileAgeMillis: 2 * day });
    expect(stage.files).toEqual([
      ...["new.json.damaged.b-1-2-3-4", "s1.json", "s1.json.damaged.a-1-2-3-4", "s1.json.replayed"],
    ]);
  });

  test("keeps a session that was resumed, and ended, while the documents were listed", async () => {
    await settled(10, 9);
    const calls = { ...nodeFileSystem.sync };
    const later = stage.actor();
    calls.readdir = (path) => {
      if (path === stage.dir && !existsSync(`${stage.dir}/once`)) {
        write("once");
        later.record("s0", 1);
        later.processor.crash("over");
      }
      return nodeFileSystem.sync.readdir(path);
    };
    await keep({ maxFileAgeMillis: day }, ports(stage.liveness, { ...nodeFileSystem, sync: calls }));
    expect(stage.files).toEqual(["once", "s0.json"]);
    expect(ended(stage.document("s0"))).toHaveLength(3);
  });
});

describe("P7 P8 retention by bytes", () => {
  test("removes the oldest until the rest fits, and none when all fit", async () => {
    await settled(3, 9, 5, 1);
    const all = sizeOf("s0.json", "s1.json", "s2.json", "s3.json");
    await keep({ maxTotalBytes: all });
    expect(stage.files).toHaveLength(4);
    await keep({ maxTotalBytes: all - 1 });
    expect(stage.files).toEqual(["s0.json", "s2.json", "s3.json"]);
    await keep({ maxTotalBytes: sizeOf("s0.json", "s3.json") });
    expect(stage.files).toEqual(["s0.json", "s3.json"]);
  });

  test("counts damaged copies, and a live session that it does not remove", async () => {
    await settled(5, 4, 3, 2);
    const one = stage.actor();
    one.record("s0", 1);
    await one.processor.forceFlush();
    age("s0.json", 5 * day);
    write("s2.json.damaged.a-1-2-3-4");
    await keep({ maxTotalBytes: sizeOf("s0.json", "s2.json", "s3.json", "s2.json.damaged.a-1-2-3-4") - 1 });
    expect(stage.files.filter((name) => !name.includes(".test-"))).toEqual(["s0.json", "s3.json"]);
  });

  test("combines with the other limits: the strictest one decides", async () => {
    await settled(9, 7, 5, 3, 1);
    await keep({ maxFiles: 4, maxFileAgeMillis: 6 * day, maxTotalBytes: 1e9 });
    expect(stage.files).toEqual(["s2.json", "s3.json", "s4.json"]);
    await keep({ maxFiles: 2, maxFileAgeMillis: 6 * day, maxTotalBytes: 1e9 });
    expect(stage.files).toEqual(["s3.json", "s4.json"]);
  });

  test("runs when an exporter starts, and every minute", async () => {
    await settled(9, 1);
    const one = stage.actor({ maxFileAgeMillis: 2 * day });
    one.clock.pass(0);
    await expect.poll(() => stage.files).toEqual(["s1.json"]);
    age("s1.json", 3 * day);
    one.record("s9", 1);
    one.clock.pass(50_000);
    await expect.poll(() => stage.files).toContain("s9.json");
    expect(stage.files).toContain("s1.json");
    await expect
      .poll(() => {
        one.clock.pass(10_000);
        return stage.files;
      })
      .not.toContain("s1.json");
  });
});

describe("P6 P7 orphaned files", () => {
  /** Owners of unknown state: another boot, or another machine. */
  const stranger: Liveness = { newToken: () => "me-0-0-0-0", verdict: () => "unknown" };

  test("a settled directory holds nothing but documents, whatever dead processes left in it", async () => {
    await settled(1);
    const dead = stage.actor();
    for (const id of ["s0", "fresh"]) dead.start(id);
    await dead.processor.forceFlush();
    dead.record("late", 1);
    stage.liveness.bury();
    for (const token of ["dead-0-0-0-1", "dead-0-0-0-1-recovery"]) stage.liveness.dead.add(token);
    const [open] = stage.files.filter((name) => name.startsWith("late.json.") && name.endsWith(".open"));
    const [live] = stage.files.filter((name) => name.startsWith("fresh.json.") && name.endsWith(".open"));
    nodeFileSystem.sync.unlink(`${stage.dir}/${open?.replace(/open$/, "live")}`);
    nodeFileSystem.sync.unlink(`${stage.dir}/${live}`);
    mkdirSync(`${stage.dir}/s0.json.lock`);
    write("s0.json.lock/dead-0-0-0-1", "s0.json.tmp.dead-0-0-0-1.7", "nobody.json.replayed");
    write(
      "headless.json.dead-0-0-0-1.open",
      "only.json.dead-0-0-0-1.live",
      "x.json.dead-0-0-0-1-recovery.live",
    );
    const { failures } = await recoverDirectory(ports(), stage.dir);
    await keep({});
    expect(failures).toEqual([]);
    expect(stage.files.filter((name) => !/^[^.]+\.json$|\.damaged\./.test(name))).toEqual([]);
    expect(stage.files).toEqual(expect.arrayContaining(["fresh.json", "late.json", "s0.json"]));
  });

  test("claims and copies of unknown owners are removed after an hour, and not earlier", async () => {
    await settled(1);
    mkdirSync(`${stage.dir}/s0.json.lock`);
    write("s0.json.lock/x-0-0-0-1", "s0.json.tmp.x-0-0-0-1.1");
    age("s0.json.tmp.x-0-0-0-1.1", 0.9 * hour);
    // A claim is a document that was written long before it was moved there.
    age("s0.json.lock/x-0-0-0-1", 9 * day);
    await recoverDirectory(ports(stranger), stage.dir);
    await keep({}, ports(stranger));
    expect(stage.files).toEqual(["s0.json", "s0.json.lock", "s0.json.tmp.x-0-0-0-1.1"]);
    expect(readdirSync(`${stage.dir}/s0.json.lock`)).toEqual(["x-0-0-0-1"]);
    const later = { ...ports(stranger), clock: { ...systemClock, now: () => Date.now() + 1.1 * hour } };
    await recoverDirectory(later, stage.dir);
    await keep({}, later);
    expect(stage.files).toEqual(["s0.json"]);
  });
});
