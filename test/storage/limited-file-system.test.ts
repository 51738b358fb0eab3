/** Sessions where the file system has no hard links, or another file is in the place of a lock. */
import { rmSync, symlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

describe("P6 P7 sessions on a limited file system", () => {
  test("P6 are finalized and fenced by a copy where there are no hard links", async () => {
    const stage = new Stage();
    try {
      const sync = { ...nodeFileSystem.sync };
      sync.link = () => {
        throw Object.assign(new Error("no links here"), { code: "EPERM" });
      };
      const one = stage.actor({}, { fileSystem: { ...nodeFileSystem, sync } });
      one.record("sealed", 2);
      await one.exporter.endSession("sealed");
      one.record("fenced", 2);
      one.start("fenced");
      one.processor.crash("out of memory");
      expect(stage.document("sealed").summary.status).toBe("completed");
      expect(stage.document("fenced").summary.status).toBe("crashed");
      expect(ended(stage.document("sealed"))).toHaveLength(2);
      expect(ended(stage.document("fenced"))).toHaveLength(2);
      expect(stage.files).toEqual(["fenced.json", "sealed.json"]);
    } finally {
      stage.remove();
    }
  });

  test("P6 P9 wait until the place of their lock is free, and lose nothing", async () => {
    const stage = new Stage();
    const outside = new Stage();
    try {
      symlinkSync(outside.dir, `${stage.dir}/s.json.lock`);
      const one = stage.actor();
      one.record("s", 2);
      await expect(one.processor.forceFlush()).rejects.toThrow("EEXIST");
      expect(outside.files).toEqual([]);
      rmSync(`${stage.dir}/s.json.lock`);
      await one.processor.shutdown();
      expect(ended(stage.document("s"))).toHaveLength(2);
      expect(stage.files).toEqual(["s.json"]);
    } finally {
      stage.remove();
      outside.remove();
    }
  });
});
