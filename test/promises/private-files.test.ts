/**
 * Traces are private to their owner: file modes, and symlinks planted at the names that the library is about to
 * create.
 */
import * as fs from "node:fs";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseEntry } from "../../src/format/file-names.js";
import { type Clock, systemClock } from "../../src/platform/clock.js";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import type { Liveness } from "../../src/platform/liveness.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { PlantingFileSystem } from "../support/planting-file-system.js";
import { Sandbox, SessionHost, spanNames } from "../support/session-host.js";

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

/** Publishes only on request, so that every run makes the same calls. */
const timerless: Clock = {
  ...systemClock,
  after: () => ({ cancel: () => {} }),
  every: () => ({ cancel: () => {} }),
};

/** Reports every owner as dead, so that recovery after a writer's end can run in this process. */
const mourning: Liveness = {
  newToken: () => new SystemLiveness(nodeFileSystem.sync).newToken(),
  verdict: () => "dead",
};

describe.skipIf(process.platform === "win32")("P9 modes", () => {
  /** Checks the modes of everything below the root after each call. */
  function watching(seen: Map<string, string>): FileSystem {
    const look = () => {
      for (const path of fs.readdirSync(sandbox.root, { recursive: true }) as string[]) {
        const stat = fs.lstatSync(join(sandbox.root, path), { throwIfNoEntry: false });
        if (stat) seen.set(path, `${stat.isDirectory() ? "d" : "-"}${(stat.mode & 0o7777).toString(8)}`);
      }
    };
    const wrap = <Calls extends object>(calls: Calls): Calls =>
      Object.fromEntries(
        Object.entries(calls).map(([name, call]) => [
          name,
          (...args: unknown[]) => {
            const result = call(...args);
            if (result instanceof Promise) return result.finally(look);
            look();
            return result;
          },
        ]),
      ) as Calls;
    return { sync: wrap<FileCalls>(nodeFileSystem.sync), async: wrap(nodeFileSystem.async) };
  }

  async function liveAllLives(dir: string, seen: Map<string, string>): Promise<void> {
    const fileSystem = watching(seen);
    const host = new SessionHost(
      { dir, maxSpans: 10, durability: "interval" },
      { fileSystem, clock: timerless },
    );
    host.record("damaged", "work");
    host.record("ended", "work");
    host.start("fenced", "work");
    for (let i = 0; i < 30; i++) host.record("capped", `work ${i}`);
    await host.processor.forceFlush();
    await host.exporter.endSession("ended");
    host.record("ended", "more");
    await host.processor.forceFlush();
    host.processor.crash("enough");
    const dead = new SessionHost({ dir }, { fileSystem, clock: timerless });
    dead.record("ended", "lost and found");
    await recoverDirectory({ fileSystem, clock: systemClock, liveness: mourning }, dir);
    await dead.processor.shutdown();
    await host.processor.shutdown();
  }

  it.each(["022", "000", "002"])("P9 files are 0600 and directories 0700 under umask %s", async (umask) => {
    const before = process.umask(parseInt(umask, 8));
    const seen = new Map<string, string>();
    try {
      await liveAllLives(join(sandbox.root, "a", "b", "traces"), seen);
    } finally {
      process.umask(before);
    }
    const kinds = new Set([...seen.keys()].map((path) => parseEntry(basename(path)).type));
    expect(kinds).toEqual(new Set(["document", "open", "live", "lock", "temp", "other"]));
    const odd = [...seen].filter(([, mode]) => mode !== "-600" && mode !== "d700");
    expect(odd).toEqual([]);
  });

  it("P9 an existing directory keeps its mode, and so do foreign files in it", async () => {
    fs.mkdirSync(sandbox.traces);
    fs.chmodSync(sandbox.traces, 0o755);
    const foreign = join(sandbox.traces, "notes.txt");
    fs.writeFileSync(foreign, "mine");
    fs.chmodSync(foreign, 0o644);
    const seen = new Map<string, string>();
    await liveAllLives(sandbox.traces, seen);
    const odd = [...seen].filter(([, mode]) => mode !== "-600" && mode !== "d700");
    expect(new Map(odd)).toEqual(
      new Map([
        ["traces", "d755"],
        ["traces/notes.txt", "-644"],
      ]),
    );
    expect(fs.readFileSync(foreign, "utf8")).toBe("mine");
  });
});

/** The targets of the links, outside of the directory. No test may change them. */
const victims = ["a file", "a document of the same session", "a directory", "nothing"] as const;
type Victim = (typeof victims)[number];

const victimDocument = JSON.stringify({
  version: 2,
  id: "s",
  traceId: "00",
  sessionId: "s",
  startedAt: "2020-01-01T00:00:00.000Z",
  spans: [
    { spanId: "1", parentSpanId: null, name: "s", kind: "session", startTime: 1, status: "ok" },
    { spanId: "2", parentSpanId: "1", name: "secret", kind: "span", startTime: 1, endTime: 2, status: "ok" },
  ],
  summary: { status: "completed" },
});

function makeVictim(kind: Victim): string {
  const path = join(sandbox.root, "outside", "victim");
  fs.rmSync(join(sandbox.root, "outside"), { recursive: true, force: true });
  fs.mkdirSync(join(sandbox.root, "outside"));
  if (kind === "a file") fs.writeFileSync(path, "precious", { mode: 0o644 });
  if (kind === "a document of the same session") fs.writeFileSync(path, victimDocument, { mode: 0o644 });
  if (kind === "a directory") fs.mkdirSync(path, { mode: 0o755 });
  return path;
}

/** Everything outside, with contents, modes and times. */
function outside(): string[] {
  const root = join(sandbox.root, "outside");
  return (fs.readdirSync(root, { recursive: true }) as string[]).map((name) => {
    const path = join(root, name);
    const { mode, mtimeMs, nlink } = fs.lstatSync(path);
    return `${name} ${mode} ${mtimeMs} ${nlink} ${fs.statSync(path).isFile() ? fs.readFileSync(path, "utf8") : ""}`;
  });
}

const isGone = (error: unknown) => void error;

describe.skipIf(process.platform === "win32")(
  "P9 symlinks planted at the names that the library creates",
  () => {
    /** Runs a session with a link planted before the nth new name. Returns the planted name. */
    async function liveAmong(n: number, target: string, before?: string): Promise<string | undefined> {
      fs.rmSync(sandbox.traces, { recursive: true, force: true });
      if (before !== undefined) {
        fs.mkdirSync(sandbox.traces, { mode: 0o700 });
        fs.writeFileSync(join(sandbox.traces, "s.json"), before);
      }
      const fileSystem = new PlantingFileSystem(n, target);
      const ports = { fileSystem, clock: timerless };
      const host = new SessionHost({ dir: sandbox.traces, maxSpans: 10 }, ports);
      host.record("s", "first");
      await host.processor.forceFlush().catch(isGone);
      host.record("s", "second");
      await host.exporter.endSession("s").catch(isGone);
      host.record("s", "third");
      host.start("s", "fourth");
      await host.processor.forceFlush().catch(isGone);
      host.processor.crash("enough");
      // Waiting records are written when the fault passes. Links planted from here on meet the recovery.
      fileSystem.weed();
      await host.exporter.forceFlush();
      await host.processor.shutdown().catch(isGone);
      const next = new SessionHost({ dir: sandbox.traces }, ports);
      next.record("s", "fifth");
      await recoverDirectory({ fileSystem, clock: systemClock, liveness: mourning }, sandbox.traces);
      next.processor.crash();
      // Every writer is gone now. A writer that comes later, without a link, finds every span.
      do await recoverDirectory({ fileSystem, clock: systemClock, liveness: mourning }, sandbox.traces);
      while (fileSystem.weed());
      return fileSystem.planted && basename(fileSystem.planted);
    }

    const all = ["first", "second", "third", "fourth", "fifth"];

    it.each(victims)("P9 links to %s are never followed, and no span is lost", async (victim) => {
      const target = makeVictim(victim);
      const before = outside();
      const kinds = new Set<string>();
      for (let n = 1; ; n++) {
        const planted = await liveAmong(n, target);
        if (planted === undefined) break;
        kinds.add(parseEntry(planted).type);
        expect([planted, outside()]).toEqual([planted, before]);
        expect([planted, sandbox.files]).toEqual([planted, ["s.json"]]);
        expect(fs.lstatSync(join(sandbox.traces, "s.json")).isFile()).toBe(true);
        expect([planted, spanNames(sandbox.documents().get("s")).sort()]).toEqual([planted, [...all].sort()]);
      }
      // Claims in the lock directory count as `other`.
      expect(kinds).toEqual(new Set(["document", "open", "live", "lock", "temp", "other"]));
    });

    it("P9 a corrupt file is kept aside, and not through a link in the place of its new name", async () => {
      const target = makeVictim("a file");
      const before = outside();
      let hasKept = false;
      for (let n = 1; ; n++) {
        const planted = await liveAmong(n, target, "not a document\n");
        if (planted === undefined) break;
        hasKept ||= planted.includes(".damaged.");
        expect([planted, outside()]).toEqual([planted, before]);
        expect([planted, spanNames(sandbox.documents().get("s")).sort()]).toEqual([planted, [...all].sort()]);
        const kept = sandbox.files.filter((name) => name.includes(".damaged."));
        const texts = kept.map((name) => fs.readFileSync(join(sandbox.traces, name), "utf8"));
        expect([planted, new Set(texts)]).toEqual([planted, new Set(["not a document\n"])]);
      }
      expect(hasKept).toBe(true);
    });

    it("P9 a document that is a link is neither read nor written through, and becomes a file", async () => {
      const target = makeVictim("a document of the same session");
      const before = outside();
      fs.mkdirSync(sandbox.traces);
      fs.symlinkSync(target, join(sandbox.traces, "s.json"));
      const host = new SessionHost({ dir: sandbox.traces });
      host.record("s", "work");
      await host.processor.shutdown();
      expect(outside()).toEqual(before);
      expect(fs.lstatSync(join(sandbox.traces, "s.json")).isFile()).toBe(true);
      expect(spanNames(sandbox.documents().get("s"))).toEqual(["work"]);
    });

    it("P9 a lock that is a link prevents publishing until it is removed", async () => {
      const target = makeVictim("a directory");
      fs.mkdirSync(sandbox.traces);
      const lock = join(sandbox.traces, "s.json.lock");
      fs.symlinkSync(target, lock);
      const host = new SessionHost({ dir: sandbox.traces });
      host.record("s", "work");
      await expect(host.exporter.forceFlush()).rejects.toMatchObject({ code: "WRITE_FAILED" });
      expect(fs.readdirSync(target)).toEqual([]);
      fs.unlinkSync(lock);
      await host.processor.shutdown();
      expect(spanNames(sandbox.documents().get("s"))).toEqual(["work"]);
      expect(sandbox.files).toEqual(["s.json"]);
    });
  },
);
