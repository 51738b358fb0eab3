/** Descriptors whose file is gone: the server of a mount died and came back, or a share has another file under the name. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { runSync } from "../../src/platform/gensync.js";
import { openDocument } from "../../src/storage/document-file.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

/** A mount: while its server is dead every call fails, and what was open before stays dead afterwards. */
class Mount {
  readonly fileSystem: FileSystem;
  #isDead = false;
  readonly #open = new Set<number>();
  readonly #stale = new Set<number>();

  constructor() {
    const names = Object.keys(nodeFileSystem.sync) as (keyof FileCalls)[];
    const wrapped = (calls: object) =>
      Object.fromEntries(names.map((name) => [name, this.#on(name, Reflect.get(calls, name))]));
    this.fileSystem = {
      sync: wrapped(nodeFileSystem.sync) as unknown as FileCalls,
      async: wrapped(nodeFileSystem.async) as unknown as FileSystem["async"],
    };
  }

  die(): void {
    this.#isDead = true;
    for (const fd of this.#open) this.#stale.add(fd);
  }

  comeBack(): void {
    this.#isDead = false;
  }

  #on(name: keyof FileCalls, call: (...args: unknown[]) => unknown) {
    return (...args: unknown[]) => {
      const [first] = args;
      if (name === "close") {
        this.#open.delete(first as number);
        this.#stale.delete(first as number);
      } else if (this.#isDead || (typeof first === "number" && this.#stale.has(first)))
        throw Object.assign(new Error(`ENOTCONN: the server is gone, ${name}`), { code: "ENOTCONN" });
      const result = call(...args);
      if (name === "open") void Promise.resolve(result).then((fd) => this.#open.add(fd as number));
      return result;
    };
  }
}

test("P2 P6 a mount whose server dies and comes back costs no span", async () => {
  const mount = new Mount();
  const actor = stage.actor({}, { fileSystem: mount.fileSystem });
  actor.record("s", 3);
  await actor.processor.forceFlush();
  mount.die();
  actor.record("s", 2);
  await expect(actor.processor.forceFlush()).rejects.toThrow(/ENOTCONN/);
  mount.comeBack();
  actor.record("s", 1);
  await actor.processor.forceFlush();
  expect(ended(stage.document("s"))).toHaveLength(6);
  await actor.processor.shutdown();
  expect(ended(stage.document("s"))).toHaveLength(6);
  expect(stage.files).toEqual(["s.json"]);
  expect(actor.exporter.stats().dropped).toBe(0);
});

test("P12 a document that a share has replaced since it was opened is opened again", async () => {
  const actor = stage.actor();
  actor.record("s", 1);
  await actor.processor.shutdown();
  let refused = 1;
  const fstat: FileCalls["fstat"] = (fd) => {
    if (refused-- > 0)
      throw Object.assign(new Error("Unknown system error -116"), { code: "Unknown system error -116" });
    return nodeFileSystem.sync.fstat(fd);
  };
  const fileSystem = { ...nodeFileSystem, sync: { ...nodeFileSystem.sync, fstat } };
  const opened = runSync(fileSystem, openDocument(fileSystem, { dir: stage.dir, name: "s" }));
  opened?.descriptor.releaseNow();
  expect(opened?.size).toBeGreaterThan(0);
});
