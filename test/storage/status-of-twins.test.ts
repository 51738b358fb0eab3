/** The status of a session with several writers, when some of them end, fail, crash or are fenced. */
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import type { Liveness } from "../../src/platform/liveness.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import * as lines from "../support/span-lines.js";
import { stateOf } from "../support/state-of.js";
import { passTick, TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();
const status = () => stateOf(twins.document(id).summary);
const ended = () => lines.ended(twins.document(id));

describe("P7 the status of a session with several writers", () => {
  test("P7 an error of one writer waits for the end of the last, and outranks its completion", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await a.exporter.endSession(id, { error: "out of tokens" });
    expect(twins.document(id).summary).toMatchObject({
      status: "completed",
      idle: true,
      error: "out of tokens",
    });
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(twins.document(id).summary).toMatchObject({
      status: "completed",
      idle: true,
      error: "out of tokens",
    });
    await b.processor.shutdown();
    expect(twins.document(id).summary).toMatchObject({ status: "error", error: "out of tokens" });
  });

  test("P7 an error of one writer survives the crash of a writer that had read it", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await a.exporter.endSession(id, { error: "out of tokens" });
    b.record(id, 1);
    await b.processor.forceFlush();
    twins.bury();
    const c = twins.actor();
    c.record(id, 1);
    await twins.recover();
    expect(twins.document(id).summary).toMatchObject({
      status: "completed",
      idle: true,
      error: "out of tokens",
    });
    await c.processor.shutdown();
    expect(twins.document(id).summary).toMatchObject({ status: "error", error: "out of tokens" });
    expect(ended()).toHaveLength(4);
  });

  test("P3 P7 a crash fence of one writer stays, whatever its peer writers do", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await b.processor.forceFlush();
    a.processor.crash("out of memory");
    expect(twins.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(status()).toBe("crashed");
    await b.processor.shutdown();
    expect(twins.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
    expect(ended()).toHaveLength(3);
  });

  test("P3 P7 a crash fence that could not commit is applied by a recovery during a live peer writer", async () => {
    const calls = { ...nodeFileSystem.sync };
    calls.link = () => {
      throw Object.assign(new Error("no"), { code: "EIO" });
    };
    const a = twins.actor({}, { fileSystem: { ...nodeFileSystem, sync: calls } });
    a.record(id, 1);
    await a.processor.forceFlush();
    a.processor.crash("out of memory");
    expect(status()).toBe("idle");
    twins.bury();
    const b = twins.actor();
    b.record(id, 1);
    await twins.recover();
    expect(twins.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
  });

  test("P7 a terminal status lasts until a live peer writer publishes", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await b.processor.forceFlush();
    await twins.recover(twins.wrongVerdicts());
    expect(status()).toBe("completed");
    for (const one of [a, b]) {
      one.record(id, 1);
      await one.processor.forceFlush();
      expect(status()).toBe("idle");
    }
    await a.processor.shutdown();
    expect(status()).toBe("idle");
    await b.processor.shutdown();
    expect(status()).toBe("completed");
    expect(ended()).toHaveLength(4);
  });

  test("P7 a writer that ends after a peer writer died completes the session, whether recovery runs before or after", async () => {
    for (const order of ["before", "after"]) {
      const session = `${id}_${order}`;
      const [a, b] = [twins.actor(), twins.actor()];
      b.record(session, 2);
      b.start(session);
      for (const token of twins.stage.liveness.tokens) twins.stage.liveness.dead.add(token);
      passTick();
      a.record(session, 2);
      if (order === "before") await twins.recover();
      await a.processor.shutdown();
      await twins.recover();
      expect(twins.document(session).summary.status, order).toBe("completed");
      expect(lines.worked(twins.document(session))).toHaveLength(5);
      expect(lines.interrupted(twins.document(session))).toHaveLength(1);
    }
    expect(twins.files).toEqual([`${id}_after.json`, `${id}_before.json`]);
  });

  test("P14 an orderly end after a restart of the container is no crash when the lease of the dead process expires", async () => {
    const lease = (verdict: "unknown"): Liveness => ({
      newToken: () => twins.stage.liveness.newToken(),
      verdict: () => verdict,
    });
    const dead = twins.actor();
    dead.record(id, 1);
    dead.start(id);
    await dead.processor.forceFlush();
    passTick();
    const next = twins.actor({}, { liveness: lease("unknown") });
    next.record(id, 1);
    await next.processor.shutdown();
    expect(twins.document(id).layout?.left).toBeDefined();
    const clock = { ...systemClock, now: () => Date.now() + 120_000 };
    await recoverDirectory(
      { fileSystem: nodeFileSystem, liveness: lease("unknown"), clock },
      twins.stage.dir,
    );
    expect(twins.document(id).summary).toMatchObject({
      status: "completed",
      interrupted: 1,
      detector: "lease expired",
    });
    expect(twins.files).toEqual([`${id}.json`]);
  });
});
