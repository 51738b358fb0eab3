/** File systems that refuse something: each refusal costs what the refused thing gives, and is reported once. */
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Ground, onGround } from "../../src/platform/ground.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { type Refusals, RefusingFileSystem } from "../support/refusing-file-system.js";
import { ReportedStage } from "../support/reported-stage.js";
import type { Actor } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

const reported = new ReportedStage();

/** Each capability that is refused, under the name that `stats().refused` has for it. */
const grounds: Readonly<Record<string, Refusals & { readonly as?: string; readonly code?: string }>> = {
  "fdatasync EINVAL": { calls: { fdatasync: "EINVAL" }, as: "sync", code: "EINVAL" },
  "fdatasync ENOTSUP": { calls: { fdatasync: "ENOTSUP" }, as: "sync", code: "ENOTSUP" },
  "fdatasync ERR_ACCESS_DENIED": {
    calls: { fdatasync: "ERR_ACCESS_DENIED", syncDirectory: "ERR_ACCESS_DENIED" },
    as: "sync",
    code: "ERR_ACCESS_DENIED",
  },
  "link EACCES": { calls: { link: "EACCES" }, as: "hardLinks", code: "EACCES" },
  "link ENOTSUP": { calls: { link: "ENOTSUP" }, as: "hardLinks", code: "ENOTSUP" },
  "inodes that differ by call": { inodes: "differ by call", as: "stableInodes", code: "INODES" },
  "inodes that are new at each look": { inodes: "new at each look", as: "stableInodes", code: "INODES" },
  "inodes that are all zero": { inodes: "all zero", as: "stableInodes", code: "INODES" },
  "a document that is held for two renames": { heldRenames: 2, as: "openFiles", code: "EPERM" },
  "open files that no rename replaces": { locksOpenFiles: true, as: "openFiles" },
  "open files that no rename replaces, which nothing states": {
    renameOverOpen: "EBUSY",
    as: "openFiles",
    code: "EBUSY",
  },
};

/** Grounds, alone and in pairs. */
function* combinations(): Generator<[string, Refusals, Readonly<Record<string, string>>]> {
  const all = Object.entries(grounds);
  for (const [index, [name, one]] of all.entries()) {
    yield [name, one, refusedBy(one)];
    for (const [otherName, other] of all.slice(index + 1)) {
      if (one.as !== undefined && one.as === other.as) continue;
      const both = { ...one, ...other, calls: { ...one.calls, ...other.calls } };
      yield [`${name}, ${otherName}`, both, { ...refusedBy(one), ...refusedBy(other) }];
    }
  }
}

const refusedBy = ({ as, code }: { readonly as?: string; readonly code?: string }): Record<string, string> =>
  as && code ? { [as]: code } : {};

const names = (id: string): string[] =>
  ended(reported.stage.document(id))
    .map(({ name }) => name)
    .sort();

describe.each([...combinations()])("P12 on a file system with %s", (_, refusals, refused) => {
  const on = (): Actor => reported.stage.actor({}, { fileSystem: new RefusingFileSystem(refusals) });

  test("P12 a session is recorded, flushed twice, ended, resumed, fenced; each refusal is reported once", async () => {
    const one = on();
    one.record("s", 2);
    await one.processor.forceFlush();
    one.record("s", 1);
    await one.processor.forceFlush();
    expect(reported.stage.document("s").summary.status).toBe("completed");
    await one.exporter.endSession("s");
    expect(ended(reported.stage.document("s"))).toHaveLength(3);
    one.exporter.openSession({ id: "s", traceId: "1".repeat(32), startTime: 1, name: "s", metadata: {} });
    one.record("s", 1);
    await one.processor.forceFlush();
    expect(ended(reported.stage.document("s"))).toHaveLength(4);
    one.start("s");
    one.processor.crash("out of memory");
    expect(reported.stage.document("s").summary).toMatchObject({ status: "crashed", error: "out of memory" });
    expect(reported.stage.files).toEqual(["s.json"]);
    expect(one.exporter.stats()).toMatchObject({ dropped: 0, faults: 0 });
    expect(one.exporter.stats().refused).toMatchObject(refused);
    const counted = Object.keys(one.exporter.stats().refused).length;
    expect(reported.reports.filter((text) => text.includes("works without"))).toHaveLength(counted);
    expect(reported.reports).toHaveLength(counted);
  });

  test("P7 P12 two writers of one session end with the union of their spans", async () => {
    const one = on();
    const two = on();
    one.record("s", 2);
    two.record("s", 3);
    await Promise.all([one.processor.forceFlush(), two.processor.forceFlush()]);
    one.record("s", 2);
    await one.processor.shutdown();
    two.record("s", 1);
    await two.processor.shutdown();
    expect(ended(reported.stage.document("s"))).toHaveLength(8);
    expect(names("s")).toHaveLength(8);
    expect(readdirSync(reported.stage.dir)).toEqual(["s.json"]);
  });

  test("P2 P12 a dead writer is recovered", async () => {
    const one = on();
    one.record("s", 3);
    await one.processor.forceFlush();
    one.record("s", 1);
    one.start("s");
    reported.stage.liveness.bury();
    const ports = {
      fileSystem: onGround(new RefusingFileSystem(refusals), new Ground()),
      clock: one.clock,
      liveness: reported.stage.liveness,
    };
    const { sessions, failures } = await recoverDirectory(ports, reported.stage.dir);
    expect({ sessions: sessions.length, failures }).toEqual({ sessions: 1, failures: [] });
    const document = reported.stage.document("s");
    expect(document.summary.status).toBe("crashed");
    expect(ended(document).filter(({ interrupted }) => !interrupted)).toHaveLength(4);
  });
});
