/** Several processes that write to one session, step by step: what each leaves to the others. */
import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../src/clock.js";
import { type FileSystem, nodeFileSystem } from "../src/file-system.js";
import type { Liveness } from "../src/owner.js";
import { recoverDirectory } from "../src/recover-directory.js";
import { PausedFileSystem } from "./paused-file-system.js";
import { type Actor, Stage } from "./session-stage.js";
import * as lines from "./span-lines.js";

const id = "ses_1";
let stage: Stage;
let actors: Actor[];
beforeEach(() => {
  stage = new Stage();
  actors = [];
});
afterEach(async () => {
  await Promise.allSettled(actors.map(({ processor }) => processor.shutdown()));
  stage.remove();
});

function actor(ports?: Parameters<Stage["actor"]>[1]): Actor {
  const one = stage.actor({}, ports);
  actors.push(one);
  return one;
}

/** Holds everybody who has a token by now for dead, whether they live or not. */
function wrongVerdicts(): Liveness {
  const held = new Set(stage.liveness.tokens);
  return {
    newToken: () => stage.liveness.newToken(),
    verdict: (token) => (held.has(token) ? "dead" : "alive"),
  };
}

const recover = (liveness: Liveness = stage.liveness, fileSystem: FileSystem = nodeFileSystem) =>
  recoverDirectory({ fileSystem, liveness, clock: systemClock }, stage.dir);

const status = () => stage.document(id).summary.status;
const repeated = () => lines.repeated(stage.document(id));
const ended = () => lines.ended(stage.document(id));
const interrupted = () => lines.interrupted(stage.document(id));

describe("P7 writers of one session", () => {
  test("P7 end with the union of their spans, and with totals over all of them", async () => {
    const [a, b, c] = [actor(), actor(), actor()];
    for (let round = 0; round < 5; round++) {
      for (const one of [a, b, c]) one.record(id, 3);
      await (round % 2 === 0 ? a : b).processor.forceFlush();
    }
    for (const one of [a, b, c]) {
      await one.processor.shutdown();
      expect(status()).toBe(one === c ? "completed" : "running");
    }
    expect(ended()).toHaveLength(45);
    expect(repeated()).toEqual([]);
    expect(stage.files).toEqual([`${id}.json`]);
  });

  test("P7 see each other's open spans, which end once", async () => {
    const [a, b] = [actor(), actor()];
    const work = a.start(id);
    await a.processor.forceFlush();
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(repeated()).toEqual([]);
    expect(stage.document(id).spans.map((span) => span.endTime === undefined)).toEqual([false, true, true]);
    a.end(work);
    await a.processor.forceFlush();
    b.record(id, 1);
    await b.processor.shutdown();
    await a.processor.shutdown();
    expect(ended()).toHaveLength(3);
    expect(repeated()).toEqual([]);
  });

  test("P7 a span held for interrupted while it runs goes on, stands once, and ends as it ends", async () => {
    const a = actor();
    const work = a.start(id);
    const unended = a.start(id);
    await a.processor.forceFlush();
    const { sessions } = await recover(wrongVerdicts());
    expect(sessions[0]?.interrupted).toHaveLength(2);
    expect(status()).toBe("crashed");

    a.record(id, 1);
    await a.processor.forceFlush();
    expect(status()).toBe("running");
    expect(repeated()).toEqual([]);
    expect(interrupted()).toEqual([]);
    a.end(work);
    await a.processor.forceFlush();
    expect(repeated()).toEqual([]);
    a.end(unended);
    await a.processor.shutdown();
    expect(ended()).toHaveLength(3);
    expect(repeated()).toEqual([]);
    expect(status()).toBe("completed");
    expect(stage.files).toEqual([`${id}.json`]);
  });

  test("P7 a span that ended stays ended where another writer had taken it for interrupted", async () => {
    const a = actor();
    const work = a.start(id);
    await a.processor.forceFlush();
    const b = actor();
    b.record(id, 1);
    await recover(wrongVerdicts());
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(interrupted()).toHaveLength(1);
    a.end(work);
    await a.processor.forceFlush();
    expect(interrupted()).toEqual([]);
    b.record(id, 1);
    await b.processor.shutdown();
    expect(interrupted()).toEqual([]);
    expect(ended()).toHaveLength(4);
    expect(repeated()).toEqual([]);
    await a.processor.shutdown();
    expect(status()).toBe("completed");
  });

  test("P7 a span that ends while a merge brings its interruption stands once", async () => {
    const a = actor();
    const work = a.start(id);
    await a.processor.forceFlush();
    await recover(wrongVerdicts());
    a.record(id, 1);
    const hold = a.fileSystem.hold((name) => name === "fdatasync", "issued");
    const flushed = a.processor.forceFlush();
    await hold.reached;
    a.end(work);
    hold.release();
    await flushed;
    expect(ended()).toHaveLength(2);
    expect(repeated()).toEqual([]);
  });

  test("P7 records made after the open document was taken in the middle of a merge are kept", async () => {
    const [a, b] = [actor(), actor()];
    a.record(id, 3);
    b.record(id, 3);
    await b.processor.forceFlush();
    // The merge has read the own lines, and syncs what it built.
    const hold = a.fileSystem.hold((name) => name === "fdatasync", "issued");
    const flushed = a.processor.forceFlush();
    await hold.reached;
    await recover(wrongVerdicts());
    a.record(id, 4);
    hold.release();
    await flushed;
    a.record(id, 1);
    await a.processor.shutdown();
    await b.processor.shutdown();
    expect(ended()).toHaveLength(11);
    expect(repeated()).toEqual([]);
  });

  test.each([0, 1])(
    "P7 an owner that stands still before it has removed its side files (%i of 2) does not keep the session running",
    async (removed) => {
      const calls = { ...nodeFileSystem.sync };
      let asked = 0;
      calls.unlink = (path) => {
        if (/\.(open|live)$/.test(path) && ++asked > removed)
          throw Object.assign(new Error("not yet"), { code: "EBUSY" });
        nodeFileSystem.sync.unlink(path);
      };
      const a = actor({ fileSystem: { ...nodeFileSystem, sync: calls } });
      const b = actor();
      a.record(id, 1);
      b.record(id, 1);
      await a.processor.shutdown();
      expect(status()).toBe("running");
      expect(stage.files).toHaveLength(5 - removed);
      await b.processor.shutdown();
      expect(status()).toBe("completed");
      // What it leaves behind is swept once it is dead, and changes nothing.
      stage.liveness.bury();
      await recover();
      expect(status()).toBe("completed");
      expect(ended()).toHaveLength(2);
      expect(stage.files).toEqual([`${id}.json`]);
    },
  );

  test("P7 an error of one waits for the end of the last, and outranks its completion", async () => {
    const [a, b] = [actor(), actor()];
    a.record(id, 1);
    b.record(id, 1);
    await a.exporter.endSession(id, { error: "out of tokens" });
    expect(stage.document(id).summary).toMatchObject({ status: "running", error: "out of tokens" });
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(stage.document(id).summary).toMatchObject({ status: "running", error: "out of tokens" });
    await b.processor.shutdown();
    expect(stage.document(id).summary).toMatchObject({ status: "error", error: "out of tokens" });
  });

  test("P7 an error of one survives the crash of the one that had heard of it", async () => {
    const [a, b] = [actor(), actor()];
    a.record(id, 1);
    b.record(id, 1);
    await a.exporter.endSession(id, { error: "out of tokens" });
    b.record(id, 1);
    await b.processor.forceFlush();
    stage.liveness.bury();
    const c = actor();
    c.record(id, 1);
    await recover();
    expect(stage.document(id).summary).toMatchObject({ status: "running", error: "out of tokens" });
    await c.processor.shutdown();
    expect(stage.document(id).summary).toMatchObject({ status: "error", error: "out of tokens" });
    expect(ended()).toHaveLength(4);
  });

  test("P3 P7 the fence of one stays, whatever the others do", async () => {
    const [a, b] = [actor(), actor()];
    a.record(id, 1);
    b.record(id, 1);
    await b.processor.forceFlush();
    a.processor.crash("out of memory");
    expect(stage.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(status()).toBe("crashed");
    await b.processor.shutdown();
    expect(stage.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
    expect(ended()).toHaveLength(3);
  });

  test("P3 P7 a fence that found no room for its commit is heard of by those who recover it beside a living writer", async () => {
    const calls = { ...nodeFileSystem.sync };
    calls.link = () => {
      throw Object.assign(new Error("no"), { code: "EIO" });
    };
    const a = actor({ fileSystem: { ...nodeFileSystem, sync: calls } });
    a.record(id, 1);
    await a.processor.forceFlush();
    a.processor.crash("out of memory");
    expect(status()).toBe("running");
    stage.liveness.bury();
    const b = actor();
    b.record(id, 1);
    await recover();
    expect(stage.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
  });

  test("P7 a terminal status beside a living writer lasts until it publishes", async () => {
    const [a, b] = [actor(), actor()];
    a.record(id, 1);
    b.record(id, 1);
    await b.processor.forceFlush();
    await recover(wrongVerdicts());
    expect(status()).toBe("crashed");
    for (const one of [a, b]) {
      one.record(id, 1);
      await one.processor.forceFlush();
      expect(status()).toBe("running");
    }
    await a.processor.shutdown();
    expect(status()).toBe("running");
    await b.processor.shutdown();
    expect(status()).toBe("completed");
    expect(ended()).toHaveLength(4);
  });

  test("P7 who ends after a twin has died completes the session, whether recovery comes before or after", async () => {
    for (const order of ["before", "after"]) {
      const session = `${id}_${order}`;
      const [a, b] = [actor(), actor()];
      b.record(session, 2);
      b.start(session);
      for (const token of stage.liveness.tokens) stage.liveness.dead.add(token);
      // File times lag behind the clock by up to a tick, and a death this close counts as a crash.
      const died = Date.now();
      while (Date.now() < died + 25);
      a.record(session, 2);
      if (order === "before") await recover();
      await a.processor.shutdown();
      await recover();
      expect(stage.document(session).summary.status, order).toBe("completed");
      expect(lines.worked(stage.document(session))).toHaveLength(5);
      expect(lines.interrupted(stage.document(session))).toHaveLength(1);
    }
    expect(stage.files).toEqual([`${id}_after.json`, `${id}_before.json`]);
  });
});

describe("P7 recoveries beside each other", () => {
  test("P7 neither takes the other for a living writer", async () => {
    const [a, b] = [actor(), actor()];
    for (const one of [a, b]) {
      one.record(id, 2);
      one.start(id);
    }
    stage.liveness.bury();
    const [first, second] = [new PausedFileSystem(), new PausedFileSystem()];
    // Each has taken one owner's files and is about to read them.
    const holds = [first, second].map((one) => one.hold((name) => name === "open", "issued"));
    const slow = recover(stage.liveness, first);
    await holds[0]?.reached;
    const other = recover(stage.liveness, second);
    await holds[1]?.reached;
    // One has committed and not yet removed what it took while the other commits.
    const committed = first.hold((name) => name === "syncDirectory", "issued");
    holds[0]?.release();
    await committed.reached;
    holds[1]?.release();
    expect((await other).failures).toEqual([]);
    committed.release();
    expect((await slow).failures).toEqual([]);
    expect(status()).toBe("crashed");
    expect(ended()).toHaveLength(4);
    expect(interrupted()).toHaveLength(2);
    expect(repeated()).toEqual([]);
    expect(stage.files).toEqual([`${id}.json`]);
  });

  test("P7 one that finds nothing left to take writes no document", async () => {
    const a = actor();
    a.record("a/b", 2);
    stage.liveness.bury();
    const first = new PausedFileSystem();
    // Both have seen the dead owner; the other is faster.
    const hold = first.hold((name) => name === "lstat", "done");
    const slow = recover(stage.liveness, first);
    await hold.reached;
    const second = new PausedFileSystem();
    const taken = second.hold((name) => name === "open", "issued");
    const fast = recover(stage.liveness, second);
    await taken.reached;
    hold.release();
    expect((await slow).sessions).toEqual([]);
    expect(existsSync(`${stage.dir}/a_b.json`)).toBe(false);
    taken.release();
    expect((await fast).sessions).toHaveLength(1);
    expect(stage.files).toEqual(["a_b.json"]);
    expect(stage.document("a_b").id).toBe("a/b");
  });
});
