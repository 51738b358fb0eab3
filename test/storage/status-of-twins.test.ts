/** How a session stands that several processes write to, when some of them end, fail, crash or are fenced. */
import { describe, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import * as lines from "../support/span-lines.js";
import { passTick, TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();
const status = () => twins.document(id).summary.status;
const ended = () => lines.ended(twins.document(id));

describe("P7 the status of a session with several writers", () => {
  test("P7 an error of one waits for the end of the last, and outranks its completion", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await a.exporter.endSession(id, { error: "out of tokens" });
    expect(twins.document(id).summary).toMatchObject({ status: "running", error: "out of tokens" });
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(twins.document(id).summary).toMatchObject({ status: "running", error: "out of tokens" });
    await b.processor.shutdown();
    expect(twins.document(id).summary).toMatchObject({ status: "error", error: "out of tokens" });
  });

  test("P7 an error of one survives the crash of the one that had heard of it", async () => {
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
    expect(twins.document(id).summary).toMatchObject({ status: "running", error: "out of tokens" });
    await c.processor.shutdown();
    expect(twins.document(id).summary).toMatchObject({ status: "error", error: "out of tokens" });
    expect(ended()).toHaveLength(4);
  });

  test("P3 P7 the fence of one stays, whatever the others do", async () => {
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

  test("P3 P7 a fence that found no room for its commit is heard of by those who recover it beside a living writer", async () => {
    const calls = { ...nodeFileSystem.sync };
    calls.link = () => {
      throw Object.assign(new Error("no"), { code: "EIO" });
    };
    const a = twins.actor({}, { fileSystem: { ...nodeFileSystem, sync: calls } });
    a.record(id, 1);
    await a.processor.forceFlush();
    a.processor.crash("out of memory");
    expect(status()).toBe("running");
    twins.bury();
    const b = twins.actor();
    b.record(id, 1);
    await twins.recover();
    expect(twins.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });
  });

  test("P7 a terminal status beside a living writer lasts until it publishes", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await b.processor.forceFlush();
    await twins.recover(twins.wrongVerdicts());
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
});
