/** Linux reports the loss of written bytes once: the next sync of the file succeeds, and they are on no disk. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

/** The first sync of a file with this ending fails with EIO. Remembers the inodes whose sync has failed. */
function failing(ending: string): { fileSystem: FileSystem; lost: Set<bigint>; synced: Set<bigint> } {
  const [lost, synced] = [new Set<bigint>(), new Set<bigint>()];
  let isDue = true;
  const inodeOf = (fd: number) => nodeFileSystem.sync.fstat(fd).ino;
  const isNamed = (ino: bigint) =>
    stage.files.some((name) => {
      const stat = nodeFileSystem.sync.lstat(`${stage.dir}/${name}`);
      return name.endsWith(ending) && stat?.ino === ino;
    });
  const check = (fd: number) => {
    const ino = inodeOf(fd);
    if (isDue && isNamed(ino)) {
      isDue = false;
      lost.add(ino);
      throw Object.assign(new Error("EIO: injected, fdatasync"), { code: "EIO" });
    }
    synced.add(ino);
  };
  const sync = { ...nodeFileSystem.sync, fdatasync: check };
  const async = { ...nodeFileSystem.async, fdatasync: async (fd: number) => check(fd) };
  return { fileSystem: { sync, async }, lost, synced };
}

const inodeOf = (name: string) => nodeFileSystem.sync.lstat(`${stage.dir}/${name}`)?.ino as bigint;

describe("P1 P12 a sync that failed with EIO is not believed when the next one succeeds", () => {
  test("the final document is a new file, not the append log whose sync has failed", async () => {
    const { fileSystem, lost } = failing(".open");
    const one = stage.actor({ durability: "each" }, { fileSystem });
    one.record("s", 3);
    expect(lost.size).toBe(1);
    await one.processor.shutdown();
    expect(lost).not.toContain(inodeOf("s.json"));
    expect(ended(stage.document("s"))).toHaveLength(3);
    expect(stage.files).toEqual(["s.json"]);
  });

  test("the document of a crash fence is a new file, too", () => {
    const { fileSystem, lost } = failing(".open");
    const one = stage.actor({ durability: "each" }, { fileSystem });
    one.record("s", 3);
    one.processor.crash("out of memory");
    expect(lost).not.toContain(inodeOf("s.json"));
    expect(ended(stage.document("s"))).toHaveLength(3);
  });

  test.each([".open", ".live"])(
    "the file %s of a running session is written anew within two seconds",
    async (ending) => {
      const { fileSystem, lost, synced } = failing(ending);
      const one = stage.actor({ durability: "each" }, { fileSystem });
      one.record("s", 3);
      await one.processor.forceFlush();
      const own = () => inodeOf(stage.files.find((name) => name.endsWith(ending)) as string);
      one.clock.pass(2_000);
      expect(lost).not.toContain(own());
      one.record("s", 1);
      expect(synced).toContain(own());
      await one.processor.shutdown();
      expect(ended(stage.document("s"))).toHaveLength(4);
    },
  );
});
