/** The crash fence in every situation in which a process can be. */
import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { type Actor, occurrences, Stage } from "../support/session-stage.js";
import { tracerInto } from "../support/span-processor-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

/** Every span that the actor started is in the document once, and the directory holds no other file. */
function expectFenced(actor: Actor, error: string): void {
  const document = stage.document("s");
  expect(document.summary).toMatchObject({ status: "crashed", error });
  const spans = occurrences(document);
  expect([...spans.keys()].sort()).toEqual([...actor.ended, ...actor.running.keys()].sort());
  for (const [spanId, found] of spans) {
    expect(found).toHaveLength(1);
    expect(found[0]?.interrupted === true).toBe(actor.running.has(spanId));
  }
  expect(stage.files).toEqual(["s.json"]);
}

describe("P3 the crash fence", () => {
  it("P3 before the first span writes nothing, and later spans are counted as dropped", async () => {
    const actor = stage.actor();
    actor.exporter.crash("boom");
    actor.record("s", 3);
    await actor.exporter.shutdown();
    await actor.fileSystem.idle();
    expect(actor.exporter.stats()).toMatchObject({ recorded: 0, dropped: 3 });
    expect(stage.files).toEqual([]);
  });

  it("P3 called twice leaves the document of the first call, byte for byte", async () => {
    const actor = stage.actor();
    actor.record("s", 2);
    actor.start("s");
    actor.exporter.crash("boom");
    const first = stage.bytes("s");
    actor.exporter.crash("again");
    await actor.fileSystem.idle();
    expectFenced(actor, "boom");
    expect(stage.bytes("s")).toBe(first);
  });

  it("P3 called twice during a publish leaves the document of the first call", async () => {
    const actor = stage.actor();
    actor.record("s", 2);
    const hold = actor.fileSystem.hold((name) => name === "fdatasync", "issued");
    const flushed = actor.exporter.forceFlush();
    await hold.reached;
    actor.exporter.crash("boom");
    actor.exporter.crash("again");
    const fenced = stage.bytes("s");
    hold.release();
    await flushed;
    await actor.fileSystem.idle();
    expectFenced(actor, "boom");
    expect(stage.bytes("s")).toBe(fenced);
  });

  it("P3 after shutdown marks the sessions that shutdown ended as crashed", async () => {
    const actor = stage.actor();
    actor.record("s", 3);
    await actor.exporter.shutdown();
    expect(stage.document("s").summary.status).toBe("completed");
    actor.exporter.crash("boom");
    await actor.fileSystem.idle();
    expectFenced(actor, "boom");
  });

  it("P3 after endSession keeps the status of the normal end", async () => {
    const actor = stage.actor();
    actor.record("s", 3);
    await actor.exporter.endSession("s");
    const ended = stage.bytes("s");
    actor.exporter.crash("boom");
    await actor.fileSystem.idle();
    expect(stage.bytes("s")).toBe(ended);
    expect(stage.files).toEqual(["s.json"]);
  });

  it("P3 holds when every asynchronous call before and after it is slow", async () => {
    const actor = stage.actor();
    actor.record("s", 2);
    await actor.exporter.forceFlush();
    actor.record("s", 2);
    actor.start("s");
    const hold = actor.fileSystem.hold(() => true, "issued");
    const flushed = actor.exporter.forceFlush();
    const ended = actor.exporter.endSession("s");
    await hold.reached;
    actor.exporter.crash("boom");
    const fenced = stage.bytes("s");
    const shutDown = actor.exporter.shutdown();
    actor.clock.pass(120_000);
    expect(stage.bytes("s")).toBe(fenced);
    hold.release();
    await Promise.all([flushed, ended, shutDown]);
    await actor.fileSystem.idle();
    expectFenced(actor, "boom");
    expect(stage.bytes("s")).toBe(fenced);
  });

  it("P3 P6 drops and counts records that come later, and writes none of them", async () => {
    const actor = stage.actor();
    actor.record("s", 2);
    const running = actor.start("s");
    actor.exporter.crash("boom");
    const fenced = stage.bytes("s");
    running.end();
    for (let i = 0; i < 10; i++) {
      const span = actor.start(i % 2 === 0 ? "s" : "t");
      actor.running.delete(span.spanContext().spanId);
      span.end();
    }
    await actor.fileSystem.idle();
    expect(actor.exporter.stats()).toMatchObject({ recorded: 2, dropped: 11 });
    expectFenced(actor, "boom");
    expect(stage.bytes("s")).toBe(fenced);
  });

  it("P3 fences many sessions in one turn of the event loop", async () => {
    const actor = stage.actor();
    for (let i = 0; i < 50; i++) actor.record(`s${i}`, 2);
    const flushed = actor.exporter.forceFlush();
    actor.exporter.crash("boom");
    for (let i = 0; i < 50; i++) expect(stage.document(`s${i}`).summary.status).toBe("crashed");
    await flushed;
    await actor.fileSystem.idle();
    expect(stage.files).toHaveLength(50);
    for (let i = 0; i < 50; i++) expect(stage.document(`s${i}`).summary.status).toBe("crashed");
  });
});

describe("P3 the crash fence with several processors and exporters", () => {
  it("P3 through either of two processors over one exporter fences the session", async () => {
    const actor = stage.actor();
    const second = new CrashSafeSpanProcessor(actor.exporter);
    actor.record("s", 2);
    const span = tracerInto(second).startSpan("second", { attributes: { "session.id": "s" } });
    const hold = actor.fileSystem.hold((name) => name === "write", "done");
    const flushed = second.forceFlush();
    await hold.reached;
    second.crash("boom");
    const fenced = stage.bytes("s");
    hold.release();
    span.end();
    actor.processor.crash("again");
    await flushed;
    await actor.fileSystem.idle();
    expect(stage.bytes("s")).toBe(fenced);
    expect(stage.document("s").summary).toMatchObject({ status: "crashed", error: "boom" });
    expect(stage.document("s").spans).toHaveLength(4);
    expect(second.stats().dropped).toBe(1);
  });

  it("P3 leaves no copy in the thread pool that could appear after the fence and the process", async () => {
    const { async } = nodeFileSystem;
    const created: string[] = [];
    const open: typeof async.open = (path, how) => {
      if (how === "create") created.push(path);
      return async.open(path, how);
    };
    const actor = stage.actor(
      { maxSpans: 10 },
      { fileSystem: { ...nodeFileSystem, async: { ...async, open } } },
    );
    for (let round = 0; round < 3; round++) {
      actor.record("s", 15);
      await actor.processor.forceFlush();
    }
    await actor.exporter.endSession("s");
    actor.record("s", 1);
    await actor.processor.shutdown();
    expect(stage.files).toEqual(["s.json"]);
    expect(created).toEqual([]);
  });

  it("P3 of one of two exporters on one directory holds for the session of both", async () => {
    const first = new CrashSafeFileSpanExporter({ dir: stage.dir });
    const second = new CrashSafeFileSpanExporter({ dir: stage.dir });
    const spanOf = (exporter: CrashSafeFileSpanExporter) =>
      tracerInto(new CrashSafeSpanProcessor(exporter)).startSpan("work", {
        attributes: { "session.id": "s" },
      });
    spanOf(first).end();
    spanOf(second).end();
    const running = spanOf(second);
    const flushes = [first.forceFlush(), second.forceFlush(), second.endSession("s")];
    first.crash("boom");
    const fenced = stage.bytes("s");
    running.end();
    spanOf(second).end();
    await Promise.all(flushes);
    await second.forceFlush();
    await second.shutdown();
    await first.shutdown();
    expect(stage.bytes("s")).toBe(fenced);
    const document = stage.document("s");
    expect(document.summary).toMatchObject({ status: "crashed", error: "boom" });
    expect([...occurrences(document).values()].map((spans) => spans.length)).toEqual([1, 1, 1]);
    expect(second.stats()).toMatchObject({ recorded: 1, dropped: 2 });
  });

  it("P3 of one of two exporters crashes only that exporter's session", async () => {
    const first = stage.actor();
    const second = stage.actor();
    first.record("s", 1);
    second.record("t", 1);
    first.exporter.crash("boom");
    await second.exporter.shutdown();
    expect(stage.document("s").summary.status).toBe("crashed");
    expect(stage.document("t").summary.status).toBe("completed");
    expect(existsSync(`${stage.dir}/s.json.lock`)).toBe(false);
  });
});
