/**
 * Symlinks that replace a file of the library in the middle of a session: what they point to stays unchanged, and
 * no span of the session is lost.
 */
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { SessionLock } from "../../src/storage/lock.js";
import { OutsideStage, victims } from "../support/outside-stage.js";
import { SessionHost, spanNames } from "../support/session-host.js";
import { StillClock } from "../support/still-clock.js";

let stage: OutsideStage;
beforeEach(() => {
  stage = new OutsideStage();
});
afterEach(() => stage.remove());

/** Acts once, before or after the first call of a kind. */
function acting(
  when: "before" | "after",
  wanted: (name: keyof FileCalls, args: readonly unknown[]) => boolean,
  act: () => void,
): FileSystem {
  let isDone = false;
  const due = (name: string, args: readonly unknown[]): boolean => {
    if (isDone || !wanted(name as keyof FileCalls, args)) return false;
    isDone = true;
    return true;
  };
  const wrap = <Calls extends object>(calls: Calls): Calls =>
    Object.fromEntries(
      Object.entries(calls).map(([name, call]) => [
        name,
        (...args: unknown[]) => {
          const isDue = due(name, args);
          if (isDue && when === "before") act();
          const result = call(...args);
          if (!isDue || when === "before") return result;
          if (result instanceof Promise) return result.finally(act);
          act();
          return result;
        },
      ]),
    ) as Calls;
  return { sync: wrap<FileCalls>(nodeFileSystem.sync), async: wrap(nodeFileSystem.async) };
}

/** The only file of the session's live writer whose name contains this part. */
function sideFile(part: ".open" | ".live" | ".tmp."): string {
  const found = stage.files.filter((name) => name.includes(part));
  expect(found).toHaveLength(1);
  return join(stage.traces, found[0] as string);
}

function replaceBy(path: string, target: string): void {
  fs.rmSync(path, { recursive: true });
  fs.symlinkSync(target, path);
}

const nothingRuns = { ...systemClock, after: () => ({ cancel() {} }), every: () => ({ cancel() {} }) };

describe.skipIf(process.platform === "win32")("P9 a symlink that replaces a file in use", () => {
  describe.each(victims)("to %s", (victim) => {
    test("P9 `.live`: the heartbeat does not touch the link's target", async () => {
      const target = stage.makeVictim(victim);
      const clock = new StillClock();
      let touches = 0;
      const fileSystem = acting(
        "before",
        (name) => {
          if (name === "touch") touches++;
          return false;
        },
        () => {},
      );
      const host = new SessionHost({ dir: stage.traces }, { clock, fileSystem });
      host.start("s", "running");
      await host.processor.forceFlush();
      replaceBy(sideFile(".live"), target);
      const before = stage.look();
      clock.pass(16_000);
      await expect.poll(() => touches).toBe(1);
      await host.exporter.forceFlush();
      expect(stage.look()).toEqual(before);
      host.record("s", "more");
      await host.processor.shutdown();
      expect(stage.look()).toEqual(before);
      expect(spanNames(stage.document()).sort()).toEqual(["more", "running"]);
    });

    test.each(["forceFlush", "endSession", "crash", "shutdown"] as const)(
      "P9 `.open`: %s writes the document from memory, and publishes no link",
      async (how) => {
        const target = stage.makeVictim(victim);
        const host = new SessionHost({ dir: stage.traces }, { clock: new StillClock() });
        host.record("s", "first");
        await host.processor.forceFlush();
        host.record("s", "second");
        replaceBy(sideFile(".open"), target);
        const before = stage.look();
        if (how === "forceFlush") {
          host.record("s", "third");
          await host.processor.forceFlush();
        }
        if (how === "endSession") await host.exporter.endSession("s");
        if (how === "crash") host.processor.crash("enough");
        if (how !== "crash") await host.processor.shutdown();
        const names = how === "forceFlush" ? ["first", "second", "third"] : ["first", "second"];
        expect(stage.look()).toEqual(before);
        expect(spanNames(stage.document())).toEqual(names);
        expect(stage.files).toEqual(["s.json"]);
      },
    );

    test.each([
      ["after it was made", "after", (name: string) => name === "mkdir"],
      ["before it is listed", "before", (name: string, path: unknown) => name === "readdir" && isLock(path)],
      ["after it was listed", "after", (name: string, path: unknown) => name === "readdir" && isLock(path)],
    ] as const)("P9 the lock, %s: the commit is refused, and nothing is lost", async (_, when, wanted) => {
      const target = stage.makeVictim(victim);
      const before = stage.look();
      const lock = join(stage.traces, "s.json.lock");
      const fileSystem = acting(
        when,
        (name, [path]) => wanted(name, path),
        () => {
          fs.renameSync(lock, join(stage.traces, "aside"));
          fs.symlinkSync(target, lock);
        },
      );
      const host = new SessionHost({ dir: stage.traces }, { clock: nothingRuns, fileSystem });
      host.record("s", "work");
      await expect(host.exporter.forceFlush()).rejects.toMatchObject({ code: "WRITE_FAILED" });
      expect(stage.look()).toEqual(before);
      fs.unlinkSync(lock);
      await host.processor.shutdown();
      expect(spanNames(stage.document())).toEqual(["work"]);
      expect(stage.look()).toEqual(before);
    });

    test.each([
      ["move", "/s.json.lock/"],
      ["link", "/s.json"],
      ["link", "/s.json.lock/"],
    ] as const)(
      "P9 the file that a commit by %s gives the name %s: the link never becomes the document",
      async (by, as) => {
        const target = stage.makeVictim(victim);
        const before = stage.look();
        const call = by === "move" ? "rename" : "link";
        // The first name of a document is a link to it, unless the file system refuses one.
        const refused = (name: string, to: unknown) => {
          if (as === "/s.json.lock/" && name === "link" && !isLock(dirname(String(to))))
            throw Object.assign(new Error("EIO"), { code: "EIO" });
          return false;
        };
        const fileSystem = acting(
          "before",
          (name, [, to]) => refused(name, to) || (name === call && String(to).includes(as)),
          () => replaceBy(sideFile(by === "move" ? ".tmp." : ".open"), target),
        );
        const host = new SessionHost({ dir: stage.traces }, { clock: nothingRuns, fileSystem });
        host.record("s", "work");
        if (by === "move")
          await expect(host.exporter.forceFlush()).rejects.toMatchObject({ code: "WRITE_FAILED" });
        else host.processor.crash("enough");
        expect(fs.existsSync(join(stage.traces, "s.json"))).toBe(false);
        await host.exporter.forceFlush();
        await host.processor.shutdown();
        expect(stage.look()).toEqual(before);
        expect(spanNames(stage.document())).toEqual(["work"]);
        expect(stage.files).toEqual(["s.json"]);
      },
    );
  });

  test.each(["before", "after"] as const)(
    "P9 a lock, %s the sweep lists it: no file of the other directory is removed",
    async (when) => {
      const target = stage.makeVictim("a directory");
      const before = stage.look();
      const lock = join(stage.traces, "s.json.lock");
      fs.mkdirSync(lock);
      const fileSystem = acting(
        when,
        (name, [path]) => name === (when === "before" ? "readdir" : "lstat") && isLock(path),
        () => replaceBy(lock, target),
      );
      stage.letHoursPass();
      const liveness = new SystemLiveness(nodeFileSystem.sync);
      const report = await recoverDirectory({ fileSystem, clock: systemClock, liveness }, stage.traces);
      expect(report.failures).toEqual([]);
      expect(fs.lstatSync(lock).isSymbolicLink()).toBe(true);
      expect(stage.look()).toEqual(before);
    },
  );
});

const isLock = (path: unknown): boolean => String(path).endsWith(".lock");

describe.skipIf(process.platform === "win32")("P9 a call of the file system on a symlink", () => {
  const { sync, async } = nodeFileSystem;
  type Calls = Pick<FileCalls, "open" | "exists" | "link" | "touch" | "readText">;
  const run = async <Name extends keyof Calls>(
    how: "sync" | "async",
    name: Name,
    ...args: Parameters<Calls[Name]>
  ): Promise<unknown> => ((how === "sync" ? sync : async)[name] as (...args: unknown[]) => unknown)(...args);

  describe.each(["sync", "async"] as const)("%s", (how) => {
    test.each(victims)("P9 does not follow the link to %s", async (victim) => {
      const target = stage.makeVictim(victim);
      const link = join(stage.traces, "s.json");
      fs.symlinkSync(target, link);
      const before = stage.look();
      const first = fs.lstatSync(link, { bigint: true });
      expect(await run(how, "exists", link)).toBe(false);
      await run(how, "touch", link);
      expect(fs.lstatSync(link, { bigint: true }).ctimeNs).toBeGreaterThan(first.ctimeNs);
      for (const mode of ["read", "append"] as const)
        await expect(run(how, "open", link, mode)).rejects.toMatchObject({ code: "ELOOP" });
      await expect(run(how, "open", link, "create")).rejects.toMatchObject({ code: "EEXIST" });
      await expect(run(how, "readText", link)).rejects.toMatchObject({ code: "ELOOP" });
      await expect(run(how, "link", link, `${link}.2`)).rejects.toMatchObject({ code: "ELOOP" });
      expect(stage.files).toEqual(["s.json"]);
      expect(stage.look()).toEqual(before);
    });
  });

  test("P9 a lock that is a link is refused before it is read, because a read of its target may never return", () => {
    fs.symlinkSync(stage.makeVictim("a directory"), join(stage.traces, "s.json.lock"));
    const reads: string[] = [];
    const readdir = (path: string) => {
      reads.push(path);
      return sync.readdir(path);
    };
    const lock = new SessionLock({ ...sync, readdir }, { dir: stage.traces, name: "s" });
    expect(() => lock.list()).toThrow("ENOTDIR");
    expect(reads).toEqual([]);
  });
});
