/** Several processes that write to one session, step by step. */

import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import type { ReadableSpan } from "../../src/otel/types.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { attach } from "../../src/projection/exact-span.js";
import * as lines from "../support/span-lines.js";
import { stateOf } from "../support/state-of.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();
const tracer = new BasicTracerProvider().getTracer("test");
const status = () => stateOf(twins.document(id).summary);
const repeated = () => lines.repeated(twins.document(id));
const ended = () => lines.ended(twins.document(id));
const interrupted = () => lines.interrupted(twins.document(id));

/** A peer that wrongly reports an owner as dead: it removes the owner's first two copies with such a name. */
class Sweeper {
  copies = 0;
  readonly fileSystem: FileSystem;

  constructor(suffix: ".open" | ".live") {
    const rename = (from: string, to: string) => {
      if (to.endsWith(suffix) && ++this.copies <= 2) nodeFileSystem.sync.unlink(from);
      nodeFileSystem.sync.rename(from, to);
    };
    this.fileSystem = { ...nodeFileSystem, sync: { ...nodeFileSystem.sync, rename } };
  }
}

describe("P7 writers of one session", () => {
  test("P7 end with the union of their spans, and with totals over all of them", async () => {
    const [a, b, c] = [twins.actor(), twins.actor(), twins.actor()];
    for (let round = 0; round < 5; round++) {
      for (const one of [a, b, c]) one.record(id, 3);
      await (round % 2 === 0 ? a : b).processor.forceFlush();
    }
    for (const one of [a, b, c]) {
      await one.processor.shutdown();
      expect(status()).toBe(one === c ? "completed" : "idle");
    }
    expect(ended()).toHaveLength(45);
    expect(repeated()).toEqual([]);
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test("P7 see each other's open spans, which end once", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    const work = a.start(id);
    await a.processor.forceFlush();
    b.record(id, 1);
    await b.processor.forceFlush();
    expect(repeated()).toEqual([]);
    expect(twins.document(id).spans.map((span) => span.endTime === undefined)).toEqual([false, true, true]);
    a.end(work);
    await a.processor.forceFlush();
    b.record(id, 1);
    await b.processor.shutdown();
    await a.processor.shutdown();
    expect(ended()).toHaveLength(3);
    expect(repeated()).toEqual([]);
  });

  test("P7 keep the trace of a span that waits for its line where a peer writer's document names another trace", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    const span = tracer.startSpan("bash", { attributes: { "session.id": id } });
    const { traceId, spanId } = span.spanContext();
    const record = { name: "bash", kind: "tool", startTime: 1, endTime: 2, status: "ok" } as const;
    attach(span, { type: "span", read: () => record, own: [{ "session.id": id }] });
    a.exporter.recordStart(span as unknown as ReadableSpan);
    b.record(id, 1);
    await b.processor.forceFlush();
    await a.processor.forceFlush();
    expect(twins.document(id).traceId).not.toBe(traceId);
    span.end();
    a.exporter.recordEnd(span as unknown as ReadableSpan);
    await a.processor.shutdown();
    expect(twins.document(id).spans.find((one) => one.spanId === spanId)?.traceId).toBe(traceId);
  });

  test("P7 continue a span that was recorded as interrupted while it runs, with one line and its own end", async () => {
    const a = twins.actor();
    const work = a.start(id);
    const unended = a.start(id);
    await a.processor.forceFlush();
    const { sessions } = await twins.recover(twins.wrongVerdicts());
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
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test("P7 keep the end of a span that a peer writer recorded as interrupted", async () => {
    const a = twins.actor();
    const work = a.start(id);
    await a.processor.forceFlush();
    const b = twins.actor();
    b.record(id, 1);
    await twins.recover(twins.wrongVerdicts());
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

  test("P7 keep one line of a span that ends while a merge reads its interruption", async () => {
    const a = twins.actor();
    const work = a.start(id);
    await a.processor.forceFlush();
    await twins.recover(twins.wrongVerdicts());
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

  test("P7 keep records made after the append log was taken during a merge", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 3);
    b.record(id, 3);
    await b.processor.forceFlush();
    // The merge has read its own lines, and syncs the file that it built.
    const hold = a.fileSystem.hold((name) => name === "fdatasync", "issued");
    const flushed = a.processor.forceFlush();
    await hold.reached;
    await twins.recover(twins.wrongVerdicts());
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
    "P7 do not report a session as held because an owner stopped before it removed its side files (%i of 2)",
    async (removed) => {
      const calls = { ...nodeFileSystem.sync };
      let asked = 0;
      calls.unlink = (path) => {
        if (/\.(open|live)$/.test(path) && ++asked > removed)
          throw Object.assign(new Error("not yet"), { code: "EBUSY" });
        nodeFileSystem.sync.unlink(path);
      };
      const a = twins.actor({}, { fileSystem: { ...nodeFileSystem, sync: calls } });
      const b = twins.actor();
      a.record(id, 1);
      b.record(id, 1);
      await a.processor.shutdown();
      expect(status()).toBe("idle");
      expect(twins.files).toHaveLength(5 - removed);
      await b.processor.shutdown();
      expect(status()).toBe("completed");
      // The side files that it leaves are swept once it is dead, and change nothing.
      twins.bury();
      await twins.recover();
      expect(status()).toBe("completed");
      expect(ended()).toHaveLength(2);
      expect(twins.files).toEqual([`${id}.json`]);
    },
  );

  test.each(["its owner recreates both after it took the first", "another recovery has the first"])(
    "P2 P7 keep starts after a recovery by mistake that finally takes only the journal: %s",
    async (why) => {
      const a = twins.actor();
      const first = a.start(id);
      a.record(id, 1);
      await a.processor.forceFlush();
      const calls = { ...nodeFileSystem.sync };
      calls.rename = (from, to) => {
        const isFirst = from.endsWith(".open");
        if (isFirst && why.startsWith("another")) throw Object.assign(new Error("taken"), { code: "ENOENT" });
        nodeFileSystem.sync.rename(from, to);
        if (isFirst) a.record(id, 1);
      };
      await twins.recover(twins.wrongVerdicts(), { ...nodeFileSystem, sync: calls });
      a.record(id, 1);
      const second = a.start(id);
      twins.bury();
      await twins.recover();
      expect(interrupted().map(({ spanId }) => spanId)).toEqual(
        expect.arrayContaining([first, second].map((span) => span.spanContext().spanId)),
      );
      expect(lines.worked(twins.document(id))).toHaveLength(2 + a.ended.length);
      expect(repeated()).toEqual([]);
      expect(twins.files).toEqual([`${id}.json`]);
    },
  );

  test("P2 P7 keep an end after a recovery by mistake whose owner dies right after the end", async () => {
    const a = twins.actor();
    a.record(id, 2);
    const running = a.start(id);
    await a.processor.forceFlush();
    await twins.recover(twins.wrongVerdicts());
    // Only its line has the span.
    a.end(running);
    twins.bury();
    await twins.recover();
    expect(interrupted()).toEqual([]);
    expect(lines.worked(twins.document(id))).toHaveLength(a.ended.length);
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test("P2 P7 keep a start whose journal copy is swept by a peer that wrongly reports its owner as dead", async () => {
    const sweeper = new Sweeper(".live");
    const a = twins.actor({}, { fileSystem: sweeper.fileSystem });
    a.record(id, 1);
    await a.processor.forceFlush();
    await twins.recover(twins.wrongVerdicts());
    const started = a.start(id);
    expect(sweeper.copies).toBe(3);
    twins.bury();
    await twins.recover();
    expect(interrupted().map(({ spanId }) => spanId)).toContain(started.spanContext().spanId);
    expect(repeated()).toEqual([]);
  });

  test("P2 P7 keep an end whose append log copy is swept by a peer that wrongly reports its owner as dead", async () => {
    const sweeper = new Sweeper(".open");
    const a = twins.actor({}, { fileSystem: sweeper.fileSystem });
    a.record(id, 1);
    const running = a.start(id);
    await a.processor.forceFlush();
    await twins.recover(twins.wrongVerdicts());
    a.end(running);
    expect(sweeper.copies).toBe(3);
    twins.bury();
    await twins.recover();
    expect(ended()).toHaveLength(a.ended.length);
    expect(repeated()).toEqual([]);
  });

  test("P7 keep the session while a writer has no append log, or none yet", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    a.record(id, 1);
    b.record(id, 1);
    await b.processor.forceFlush();
    const [, token] = twins.stage.liveness.tokens;
    nodeFileSystem.sync.unlink(`${twins.stage.dir}/${id}.json.${token}.open`);
    await a.processor.shutdown();
    expect(status()).toBe("idle");
    b.record(id, 1);
    await b.processor.shutdown();
    expect(status()).toBe("completed");
    expect(ended()).toHaveLength(3);
  });
});
