/** A document that is replaced keeps its owner and its mode. */
import { chmodSync, chownSync, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { RefusingFileSystem } from "../support/refusing-file-system.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

const look = () => {
  const { uid, gid, mode } = lstatSync(join(stage.dir, "s.json"));
  return { uid, gid, mode: (mode & 0o7777).toString(8) };
};

/** Every file that there is belongs to a user, as after the death of a process of that user. */
function give(uid: number, gid: number): void {
  for (const name of readdirSync(stage.dir)) chownSync(join(stage.dir, name), uid, gid);
}

const recover = ({ clock }: Actor, fileSystem = nodeFileSystem) =>
  recoverDirectory({ fileSystem, clock, liveness: stage.liveness }, stage.dir);

describe.skipIf(process.platform === "win32")("P9 modes", () => {
  test("P9 a publish, an end, a resume and a crash keep the mode that a user has given to the document", async () => {
    const one = stage.actor();
    one.record("s", 1);
    await one.processor.forceFlush();
    expect(look().mode).toBe("600");
    chmodSync(join(stage.dir, "s.json"), 0o644);
    one.record("s", 1);
    await one.processor.forceFlush();
    expect(look().mode).toBe("644");
    await one.exporter.endSession("s");
    expect(look().mode).toBe("644");
    one.exporter.openSession({ id: "s", traceId: "1".repeat(32), startTime: 1, name: "s", metadata: {} });
    one.record("s", 1);
    await one.processor.forceFlush();
    expect(look().mode).toBe("644");
    one.processor.crash("out of memory");
    expect(look().mode).toBe("644");
    expect(ended(stage.document("s"))).toHaveLength(3);
  });

  test("P9 of the mode only the permissions are kept", async () => {
    const one = stage.actor();
    one.record("s", 1);
    await one.processor.forceFlush();
    chmodSync(join(stage.dir, "s.json"), 0o4755);
    one.record("s", 1);
    await one.processor.forceFlush();
    expect(look().mode).toBe("755");
  });
});

describe.skipIf(process.getuid?.() !== 0)("P9 root and a user's documents (skipped without root)", () => {
  const [uid, gid] = [65_534, 65_533];

  test("P9 root's recovery keeps the owner and the mode of the document that it replaces", async () => {
    const one = stage.actor();
    one.record("s", 1);
    await one.processor.forceFlush();
    one.record("s", 1);
    give(uid, gid);
    chmodSync(join(stage.dir, "s.json"), 0o640);
    stage.liveness.bury();
    expect((await recover(one)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(2);
    expect(look()).toEqual({ uid, gid, mode: "640" });
  });

  test("P9 root's recovery gives the owner of the side files a document that was not there", async () => {
    const one = stage.actor();
    one.record("s", 2);
    give(uid, gid);
    stage.liveness.bury();
    expect((await recover(one)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(2);
    expect(look()).toEqual({ uid, gid, mode: "600" });
  });

  test("P9 root's writer leaves a user's document to the user", async () => {
    const one = stage.actor();
    one.record("s", 1);
    await one.processor.forceFlush();
    chownSync(join(stage.dir, "s.json"), uid, gid);
    one.record("s", 1);
    await one.processor.shutdown();
    expect(look()).toEqual({ uid, gid, mode: "600" });
  });

  test("P6 P9 a file system that refuses the change of an owner costs the owner only", async () => {
    const fileSystem = new RefusingFileSystem({ calls: { adopt: "EPERM" } });
    const one = stage.actor({}, { fileSystem });
    one.record("s", 1);
    await one.processor.forceFlush();
    one.record("s", 1);
    give(uid, gid);
    stage.liveness.bury();
    expect((await recover(one, fileSystem)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(2);
    expect(look()).toMatchObject({ uid: 0, mode: "600" });
  });
});
