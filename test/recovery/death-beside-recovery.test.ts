/**
 * A recovery takes the files of an owner that it wrongly reports as dead. The owner dies at each of its next calls,
 * while it recreates its files; or the recovery dies at each of its own calls, and the owner later. What the owner
 * had acknowledged is in the document, or in files that the next recovery finds.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import type { Actor } from "../support/session-stage.js";
import * as lines from "../support/span-lines.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();

/** The files that a recovery takes of an owner. It finds the remaining ones taken by another recovery. */
const takings = {
  "both files": /\.(open|live)$/,
  "the append log alone": /\.open$/,
  "the journal alone": /\.live$/,
};

/** The next action of the owner. */
const deeds: Record<string, (owner: Actor) => void | Promise<void>> = {
  "starts a span": (owner) => void owner.start(id),
  // A span that no document contains yet.
  "ends a span": (owner) => owner.end([...owner.running.values()].at(-1) as never),
  publishes: (owner) => owner.processor.forceFlush(),
  "ends the session": (owner) => owner.processor.shutdown(),
};

/** Copies the directory as the death of a process at each of its calls would leave it. */
class Deaths {
  readonly fileSystem = new FaultyFileSystem();
  readonly #dirs: string[] = [];

  /** The directories that deaths before the first call of this work, and after each call, would leave. */
  async during(dir: string, work: () => void | Promise<void>): Promise<readonly string[]> {
    this.#die(dir);
    this.fileSystem.afterCall = () => this.#die(dir);
    await work();
    this.fileSystem.afterCall = () => {};
    return this.#dirs;
  }

  remove(): void {
    for (const dir of this.#dirs) rmSync(dir, { recursive: true });
  }

  #die(dir: string): void {
    const left = mkdtempSync(join(tmpdir(), "death-beside-recovery-"));
    this.#dirs.push(left);
    cpSync(dir, left, { recursive: true, preserveTimestamps: true });
  }
}

/** Records spans that a document contains, and spans that no document contains. */
async function work(owner: Actor): Promise<void> {
  owner.record(id, 2);
  owner.start(id);
  await owner.processor.forceFlush();
  owner.record(id, 2);
  owner.start(id);
}

/** The spans that are acknowledged so far. */
const acknowledged = ({ ended, running }: Actor) => ({
  ended: [...ended],
  started: [...ended, ...running.keys()],
});

/** The acknowledged spans that recovery of a directory does not bring back. */
async function lostIn(dir: string, { ended, started }: ReturnType<typeof acknowledged>) {
  const ports = { fileSystem: nodeFileSystem, liveness: twins.stage.liveness, clock: systemClock };
  const { failures } = await recoverDirectory(ports, dir);
  const document = JSON.parse(readFileSync(`${dir}/${id}.json`, "utf8"));
  const idsOf = (spans: readonly { spanId: string }[]) => new Set(spans.map(({ spanId }) => spanId));
  const [there, done] = [idsOf(document.spans), idsOf(lines.ended(document))];
  return {
    failures,
    ended: ended.filter((spanId) => !done.has(spanId)),
    started: started.filter((spanId) => !there.has(spanId)),
    twice: lines.repeated(document),
    files: readdirSync(dir),
  };
}
const nothing = { failures: [], ended: [], started: [], twice: [], files: [`${id}.json`] };

describe("P2 P7 an owner that was wrongly reported as dead dies", () => {
  let deaths: Deaths;
  afterEach(() => deaths.remove());

  const cases = Object.entries(takings).flatMap(([what, taken]) =>
    Object.entries(deeds).map(([doing, deed]) => ({ what, taken, doing, deed })),
  );
  test.each(cases)(
    "at each call, after $what was taken and while it $doing, and loses nothing",
    async ({ taken, deed }) => {
      deaths = new Deaths();
      const owner = twins.actor({}, { fileSystem: deaths.fileSystem });
      await work(owner);
      const rename = (from: string, to: string) => {
        if (/\.(open|live)$/.test(from) && !taken.test(from))
          throw Object.assign(new Error("taken"), { code: "ENOENT" });
        nodeFileSystem.sync.rename(from, to);
      };
      const taking = { ...nodeFileSystem, sync: { ...nodeFileSystem.sync, rename } };
      expect((await twins.recover(twins.wrongVerdicts(), taking)).failures).toEqual([]);

      const known = acknowledged(owner);
      const left = await deaths.during(twins.stage.dir, () => deed(owner));
      twins.bury();
      expect(left.length).toBeGreaterThan(2);
      for (const [call, dir] of left.entries())
        expect([call, await lostIn(dir, known)]).toEqual([call, nothing]);
    },
  );
});

describe("P2 P7 a recovery of an owner that was wrongly reported as dead dies at each call", () => {
  /** Dies after this many calls: no later call runs. */
  async function recoverUntil(calls: number): Promise<"died" | "recovered"> {
    const mortal = new FaultyFileSystem({ nth: calls + 1, times: "forever", code: "EIO" });
    await twins.recover(twins.wrongVerdicts(), mortal).catch(() => {});
    return mortal.fired > 0 ? "died" : "recovered";
  }

  test.each(Object.entries(deeds))("and its owner %s, and dies, and nothing is lost", async (_, deed) => {
    for (let calls = 0; ; calls++) {
      twins.stage.clear();
      const owner = twins.actor();
      await work(owner);
      const outcome = await recoverUntil(calls);
      await deed(owner);
      const known = acknowledged(owner);
      twins.bury();
      expect([calls, await lostIn(twins.stage.dir, known)]).toEqual([calls, nothing]);
      await owner.processor.shutdown();
      if (outcome === "recovered") return expect(calls).toBeGreaterThan(20);
    }
  });
});
