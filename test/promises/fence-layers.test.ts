/**
 * Each layer that holds the crash fence: a commit runs in one turn and checks for the fence in it; work that was
 * not cancelled is refused there; and every link of the promise chain between a call and its continuation is
 * guarded.
 */
import { readdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultPace, TokenBucket } from "../../src/directory/publish-scheduler.js";
import type { SessionEntry } from "../../src/directory/sessions.js";
import { TraceDirectory } from "../../src/directory/trace-directory.js";
import type { TraceSpan } from "../../src/format/trace-file.js";

import { nodeFileSystem } from "../../src/platform/file-system.js";
import { type Gensync, runAsync } from "../../src/platform/gensync.js";
import { WorkQueue } from "../../src/platform/work-queue.js";
import { type CommitRequest, commit } from "../../src/storage/commit.js";
import { publish } from "../../src/storage/publish.js";
import { seal } from "../../src/storage/seal.js";
import type { SessionWriter } from "../../src/storage/session-writer.js";
import { type Moment, PausedFileSystem } from "../support/paused-file-system.js";
import { Stage } from "../support/session-stage.js";
import { StillClock } from "../support/still-clock.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

describe("P3 a commit", () => {
  const request = (mayCommit: () => boolean, by: "move" | "link"): CommitRequest => {
    const source = `${stage.dir}/s.json.source`;
    writeFileSync(source, "{}");
    return { files: { dir: stage.dir, name: "s" }, token: "t", source, by, base: undefined, mayCommit };
  };
  const ports = () => ({
    fileSystem: new PausedFileSystem(),
    clock: new StillClock(),
    liveness: stage.liveness,
  });

  it.each(["move", "link"] as const)(
    "P3 by %s runs in one turn, and checks for the crash fence in it",
    (by) => {
      const asked: string[][] = [];
      const ask = () => {
        asked.push(readdirSync(stage.dir));
        return true;
      };
      const first = commit(ports(), request(ask, by)).next();
      expect(first).toEqual({ done: true, value: "committed" });
      expect(asked).toEqual([["s.json.source"]]);
      expect(stage.files).toContain("s.json");
    },
  );

  it.each(["move", "link"] as const)(
    "P3 by %s is refused after the crash fence, and changes nothing",
    (by) => {
      const first = commit(
        ports(),
        request(() => false, by),
      ).next();
      expect(first).toEqual({ done: true, value: "fenced" });
      expect(stage.files).toEqual(["s.json.source"]);
    },
  );
});

describe("P3 work that was not cancelled", () => {
  const spanOf = (spanId: string): TraceSpan => ({
    spanId,
    parentSpanId: null,
    name: "work",
    kind: "span",
    startTime: 1,
    status: "ok",
  });

  const works: readonly [string, (writer: SessionWriter) => Gensync<boolean>][] = [
    ["publish", (writer) => publish(writer, () => {})],
    ["seal", (writer) => seal(writer, { status: "completed" })],
  ];

  /** Whether the disk accepts the fence. */
  let takesFence = true;
  const link = (from: string, to: string) => {
    if (takesFence) return nodeFileSystem.sync.link(from, to);
    throw Object.assign(new Error("no"), { code: "EIO" });
  };
  const below = { sync: { ...nodeFileSystem.sync, link }, async: nodeFileSystem.async };

  /**
   * Runs the work as a plain caller would, calls the fence at one of its calls, and lets the work continue. Returns
   * `false` when the work makes fewer calls.
   */
  async function fenceAt(work: (writer: SessionWriter) => Gensync<boolean>, number: number, moment: Moment) {
    const fileSystem = new PausedFileSystem(below);
    const ports = {
      fileSystem,
      clock: new StillClock(),
      liveness: stage.liveness,
      durability: "process" as const,
      maxSpans: 0,
      pace: defaultPace,
    };
    const lanes = {
      publish: new WorkQueue(1).lane(),
      sync: new WorkQueue(1).lane(),
      bucket: TokenBucket.ofProcess(0),
    };
    const directory = new TraceDirectory(stage.dir, ports, lanes, () => {});
    const user = directory.join();
    const start = { id: "s", traceId: "0".repeat(32), startTime: 1 };
    const record = (spanId: string) => {
      const entry = directory.admit(user, start) as SessionEntry;
      directory.recordEnd(entry, {}, { ...spanOf(spanId), endTime: 2 }, {});
    };
    record("a");
    await directory.flush(user);
    record("b");
    await fileSystem.idle();
    const writer = directory.openEntry("s")?.writer;
    if (!writer) throw new Error("the session has no writer");
    if (work === works[1]?.[1]) writer.life.end();
    fileSystem.mark();
    const hold = fileSystem.holdNumber(number, moment);
    const outcome = runAsync(fileSystem, work(writer)).catch(() => false);
    if ((await Promise.race([hold.reached, outcome])) === true) return false;
    const wasOver = stage.document("s").summary.status !== "running";
    const before = stage.bytes("s");
    directory.fences.crash(user, [], "boom");
    hold.release();
    await outcome;
    await fileSystem.idle();
    if (!takesFence) {
      expect(stage.bytes("s"), `call ${number} ${moment}`).toBe(before);
      return true;
    }
    if (!wasOver) {
      expect(stage.document("s").summary).toMatchObject({ status: "crashed", error: "boom" });
    }
    expect(stage.document("s").spans.map(({ spanId }) => spanId)).toEqual(expect.arrayContaining(["a", "b"]));
    return true;
  }

  it.each(works)("P3 a %s does not commit after the crash fence", (_, work) => fenceEverywhere(work));

  it("P3 a publish does not commit when the disk refused the crash fence", async () => {
    takesFence = false;
    await fenceEverywhere((writer) => publish(writer, () => {})).finally(() => {
      takesFence = true;
    });
  });

  async function fenceEverywhere(work: (writer: SessionWriter) => Gensync<boolean>): Promise<void> {
    for (const moment of ["issued", "done"] as const) {
      for (let number = 1; await fenceAt(work, number, moment); number++) {
        stage.remove();
        stage = new Stage();
      }
    }
  }
});

it("P3 the crash fence holds on every link of the promise chain after each call of a publish, a finalize and a shutdown", async () => {
  const operations = ["forceFlush", "endSession", "shutdown"] as const;
  for (const operation of operations) {
    for (let number = 1; number <= 8; number++) {
      for (let links = 0; links <= 12; links++) {
        const at = `${operation}, call ${number}, ${links} links on`;
        const own = new Stage();
        const actor = own.actor();
        actor.record("s", 2);
        actor.fileSystem.mark();
        const hold = actor.fileSystem.holdNumber(number, "done");
        const work = actor.exporter[operation]("s");
        const over = work.then(() => actor.fileSystem.idle());
        await Promise.race([hold.reached, over]);
        hold.release();
        for (let i = 0; i < links; i++) await undefined;
        const hasEnded = operation === "endSession" && own.bytesIfAny("s") !== undefined;
        actor.exporter.crash("boom");
        const fenced = own.bytes("s");
        await over;
        await actor.fileSystem.idle();
        if (!hasEnded) expect(JSON.parse(fenced).summary, at).toMatchObject({ status: "crashed" });
        expect(own.document("s").spans, at).toHaveLength(3);
        expect(own.bytes("s"), at).toBe(fenced);
        expect(own.files, at).toEqual(["s.json"]);
        own.remove();
      }
    }
  }
});
