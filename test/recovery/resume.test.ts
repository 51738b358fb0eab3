/** A session that is resumed: after its end, a crash, a recovery, an idle time. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { agentTurn } from "../support/agent-turn.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { ended, interrupted, repeated, worked } from "../support/span-lines.js";
import { stateOf } from "../support/state-of.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();
const turn = (one: Actor, number: number) => agentTurn(one, id, number);
const document = (): TraceFile => twins.document(id);
const status = () => stateOf(document().summary);

/** The parts that must be equal however often a session was resumed. */
function lasting({ id: raw, traceId, sessionId, startedAt, metadata, summary, spans }: TraceFile) {
  const { duration: _, lastActivityAt: _last, narrative, ...counted } = summary;
  const totals = { ...counted, narrative: narrative?.replace(/ (in|after) [\dms.]+/, "") };
  const root = spans.find((span) => span.kind === "session");
  return {
    raw,
    sessionId,
    startedAt,
    metadata,
    totals,
    root: root?.spanId,
    rootStart: root?.startTime,
    hasTrace: traceId !== "",
  };
}

/** The same turns without a resume. */
async function inOneGo(turns: number): Promise<ReturnType<typeof lasting>> {
  const other = new Stage();
  try {
    const one = other.actor();
    for (let number = 0; number < turns; number++) turn(one, number);
    await one.processor.shutdown();
    return lasting(other.document(id));
  } finally {
    other.remove();
  }
}

/** Ways in which a run of a session ends. The next run is another process, unless the way returns the process. */
const endings: Record<string, (one: Actor) => Promise<Actor | undefined>> = {
  async "endSession in the same process"(one) {
    await one.exporter.endSession(id);
    return one;
  },
  async shutdown(one) {
    await one.processor.shutdown();
    return undefined;
  },
  async "a crash fence"(one) {
    one.processor.crash("out of memory");
    return undefined;
  },
  async "a kill and its recovery"() {
    twins.bury();
    await twins.recover();
    expect(status()).toBe("completed");
    return undefined;
  },
  async "a kill, unrecovered"() {
    twins.bury();
    return undefined;
  },
  async "a kill after a publish, unrecovered"(one) {
    await one.processor.forceFlush();
    twins.bury();
    return undefined;
  },
  async "silence, by the idle limit"(one) {
    one.clock.pass(1_999);
    await one.fileSystem.idle();
    expect(twins.files).toContainEqual(expect.stringMatching(/\.open$/));
    one.clock.pass(1_001);
    await expect.poll(() => twins.files).toEqual([`${id}.json`]);
    expect(status()).toBe("completed");
    return one;
  },
};

describe("P7 a resumed session", () => {
  test.each(Object.keys(endings))("P7 continues its file exactly after %s", async (ending) => {
    const traces: string[] = [];
    let one: Actor | undefined;
    for (let number = 0; number < 3; number++) {
      one ??= twins.actor({ sessionIdleMillis: 2_000 });
      traces.push(turn(one, number));
      if (number === 2) break;
      one = await endings[ending]?.(one);
    }
    await twins.recover();
    await one?.processor.forceFlush();
    expect(status()).toBe("idle");
    await one?.processor.shutdown();

    const found = document();
    expect(lasting(found)).toEqual(await inOneGo(3));
    expect(repeated(found)).toEqual([]);
    expect(worked(found)).toHaveLength(3 + 3 + 4 + 5);
    expect(found.summary.topTools?.map(({ name, count }) => [name, count])).toEqual([
      ["ls", 5],
      ["grep", 4],
      ["cat", 3],
    ]);
    // The document has the trace of its first turn. Spans of later turns name their own.
    expect(found.traceId).toBe(traces[0]);
    const named = worked(found).map((span) => traces.indexOf(span.traceId ?? found.traceId));
    expect([0, 1, 2].map((at) => named.filter((turn) => turn === at).length)).toEqual([4, 5, 6]);
    expect(worked(found).some((span) => span.traceId === found.traceId)).toBe(false);
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test.each(["forwards", "backwards"])(
    "P7 starts with its first start, whichever of its dead owners is found first: %s",
    async (order) => {
      const traces = [0, 1, 2].map((number) => {
        const trace = turn(twins.actor(), number);
        twins.bury();
        return trace;
      });
      const { sync, async } = nodeFileSystem;
      const readdir = async (path: string) => {
        const names = (await async.readdir(path)).sort();
        return order === "forwards" ? names : names.reverse();
      };
      const { sessions } = await twins.recover(undefined, { sync, async: { ...async, readdir } });
      expect(sessions).toHaveLength(1);
      const found = document();
      const { startedAt, rootStart, root } = await inOneGo(3);
      expect(lasting(found)).toMatchObject({ startedAt, rootStart, root });
      expect(found.traceId).toBe(traces[0]);
      const starts = worked(found).map(({ startTime }) => startTime);
      expect(starts).toEqual([...starts].sort());
    },
  );

  test.each<[string, (first: Actor, second: Actor) => Promise<unknown>]>([
    [
      "the second ends, then the first",
      async (first, second) => {
        await second.processor.shutdown();
        await first.processor.shutdown();
      },
    ],
    ["the first ends, and the second dies", (first) => first.processor.shutdown()],
    ["the second publishes, and both die", (_, second) => second.processor.forceFlush()],
  ])("P7 starts with the first of two concurrent writers: %s", async (_, close) => {
    const both = [twins.actor(), twins.actor()] as const;
    for (const [number, one] of both.entries()) turn(one, number);
    await close(...both);
    twins.bury();
    await twins.recover();
    const { startedAt, rootStart, root } = await inOneGo(2);
    expect(lasting(document())).toMatchObject({ startedAt, rootStart, root });
  });

  test("P7 has only new spans added by ten runs", async () => {
    for (let run = 0; run < 10; run++) {
      const one = twins.actor();
      one.record(id, 2);
      await one.processor.shutdown();
    }
    expect(ended(document())).toHaveLength(20);
    expect(document().spans.filter((span) => span.kind === "session")).toHaveLength(1);
  });

  test("P7 loses the status and the error of its end", async () => {
    const first = twins.actor();
    first.record(id, 1);
    await first.exporter.endSession(id, { error: "out of tokens" });
    expect(document().summary).toMatchObject({ status: "error", error: "out of tokens" });
    first.record(id, 1);
    await first.processor.forceFlush();
    expect(document().summary).toMatchObject({ status: "completed", idle: true });
    expect(document().summary.error).toBeUndefined();
    const root = document().spans.find((span) => span.kind === "session");
    expect(root).toMatchObject({ status: "ok" });
    expect(root).not.toHaveProperty("endTime");
    expect(root).not.toHaveProperty("statusMessage");
    await first.processor.shutdown();
    expect(document().summary.status).toBe("completed");
    expect(document().summary.error).toBeUndefined();
  });

  test("P7 keeps the content of a document that was pretty-printed or cut short of its layout", async () => {
    const first = twins.actor();
    turn(first, 0);
    await first.processor.shutdown();
    const before = lasting(document());
    const path = `${twins.stage.dir}/${id}.json`;
    writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, "utf8")), null, 2));
    const second = twins.actor();
    second.record(id, 1);
    await second.processor.shutdown();
    expect(lasting(document())).toEqual(before);
    expect(ended(document())).toHaveLength(5);
  });

  test("P7 keeps everything when its document is deleted during the resume", async () => {
    const first = twins.actor();
    turn(first, 0);
    await first.processor.shutdown();
    const before = lasting(document());
    const second = twins.actor();
    second.record(id, 1);
    nodeFileSystem.sync.unlink(`${twins.stage.dir}/${id}.json`);
    await second.processor.shutdown();
    expect(lasting(document())).toEqual(before);
    expect(ended(document())).toHaveLength(5);
  });

  test("P2 P7 that crashes before its first publish has the spans of both runs", async () => {
    const first = twins.actor();
    first.record(id, 3);
    await first.processor.shutdown();
    const second = twins.actor();
    second.record(id, 2);
    second.start(id);
    expect(worked((await readTrace(`${twins.stage.dir}/${id}.json`)).trace)).toHaveLength(6);
    twins.bury();
    await twins.recover();
    expect(ended(document())).toHaveLength(5);
    expect(interrupted(document())).toHaveLength(1);
    expect(status()).toBe("crashed");
  });
});
