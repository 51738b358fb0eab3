/** A session that speaks again: after its end, a crash, a recovery, a silence. */
import { readFileSync, writeFileSync } from "node:fs";
import { ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../src/clock.js";
import { type FileSystem, nodeFileSystem } from "../src/file-system.js";
import { readTrace } from "../src/read-trace.js";
import { recoverDirectory } from "../src/recover-directory.js";
import type { TraceFile } from "../src/trace-file.js";
import { PausedFileSystem } from "./paused-file-system.js";
import { type Actor, Stage } from "./session-stage.js";
import { ended, interrupted, repeated, worked } from "./span-lines.js";

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

function actor(...given: Parameters<Stage["actor"]>): Actor {
  const one = stage.actor(...given);
  actors.push(one);
  return one;
}

const recover = (fileSystem: FileSystem = nodeFileSystem) =>
  recoverDirectory({ fileSystem, liveness: stage.liveness, clock: systemClock }, stage.dir);
const document = (): TraceFile => stage.document(id);
const status = () => document().summary.status;

/** A turn of an agent: a generation that costs something, and tools of several names. Returns its trace. */
function turn({ processor }: Actor, number: number): string {
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("agent");
  const start = (name: string, attributes: Record<string, string | number>, parent = ROOT_CONTEXT) =>
    tracer.startSpan(
      name,
      { attributes: { "session.id": id, ...attributes }, startTime: [1_700_000_000 + number, 0] },
      parent,
    );
  const generation = start("chat m", {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.usage.input_tokens": 100 + number,
    "gen_ai.usage.output_tokens": 10,
    "crash_safe_file.cost": 0.25,
    "crash_safe_file.title": "A title",
    "user.id": "u1",
  });
  for (let i = 0; i < 3 + number; i++) {
    const name = ["ls", "grep", "cat"][i % 3] as string;
    const attributes = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name };
    start(`execute_tool ${name}`, attributes, trace.setSpan(ROOT_CONTEXT, generation)).end([
      1_700_000_001 + number,
      0,
    ]);
  }
  generation.setStatus({ code: SpanStatusCode.OK }).end([1_700_000_002 + number, 0]);
  return generation.spanContext().traceId;
}

/** What must be the same however often a session was resumed. */
function lasting({ id: raw, traceId, sessionId, startedAt, metadata, summary, spans }: TraceFile) {
  const { duration: _, ...totals } = summary;
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

/** The same turns in one go. */
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

/** Ways in which a run of a session ends. The next one is another process, unless it says which. */
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
  async "a crash and its recovery"() {
    stage.liveness.bury();
    await recover();
    expect(status()).toBe("crashed");
    return undefined;
  },
  async "a crash that nobody recovered yet"() {
    stage.liveness.bury();
    return undefined;
  },
  async "a crash after a publish, unrecovered"(one) {
    await one.processor.forceFlush();
    stage.liveness.bury();
    return undefined;
  },
  async "silence, by the idle limit"(one) {
    one.clock.pass(1_999);
    await one.fileSystem.idle();
    expect(stage.files).toContainEqual(expect.stringMatching(/\.open$/));
    one.clock.pass(1_001);
    await expect.poll(() => stage.files).toEqual([`${id}.json`]);
    expect(status()).toBe("completed");
    return one;
  },
};

describe("P7 a resumed session", () => {
  test.each(Object.keys(endings))("P7 continues its file exactly after %s", async (ending) => {
    const traces: string[] = [];
    let one: Actor | undefined;
    for (let number = 0; number < 3; number++) {
      one ??= actor({ sessionIdleMillis: 2_000 });
      traces.push(turn(one, number));
      if (number === 2) break;
      one = await endings[ending]?.(one);
    }
    await recover();
    await one?.processor.forceFlush();
    expect(status()).toBe("running");
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
    // The document has the trace of its first turn; spans of later ones name theirs.
    expect(found.traceId).toBe(traces[0]);
    const named = worked(found).map((span) => traces.indexOf(span.traceId ?? found.traceId));
    expect([0, 1, 2].map((at) => named.filter((turn) => turn === at).length)).toEqual([4, 5, 6]);
    expect(worked(found).some((span) => span.traceId === found.traceId)).toBe(false);
    expect(stage.files).toEqual([`${id}.json`]);
  });

  test("P7 outlives ten runs with nothing but its spans added", async () => {
    for (let run = 0; run < 10; run++) {
      const one = actor();
      one.record(id, 2);
      await one.processor.shutdown();
    }
    expect(ended(document())).toHaveLength(20);
    expect(document().spans.filter((span) => span.kind === "session")).toHaveLength(1);
  });

  test("P7 sheds what its end had said", async () => {
    const first = actor();
    first.record(id, 1);
    await first.exporter.endSession(id, { error: "out of tokens" });
    expect(document().summary).toMatchObject({ status: "error", error: "out of tokens" });
    first.record(id, 1);
    await first.processor.forceFlush();
    expect(document().summary).toMatchObject({ status: "running" });
    expect(document().summary.error).toBeUndefined();
    const root = document().spans.find((span) => span.kind === "session");
    expect(root).toMatchObject({ status: "ok" });
    expect(root).not.toHaveProperty("endTime");
    expect(root).not.toHaveProperty("statusMessage");
    await first.processor.shutdown();
    expect(document().summary.status).toBe("completed");
    expect(document().summary.error).toBeUndefined();
  });

  test("P7 takes a document that was pretty-printed or cut short of its layout as it is", async () => {
    const first = actor();
    turn(first, 0);
    await first.processor.shutdown();
    const before = lasting(document());
    const path = `${stage.dir}/${id}.json`;
    writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, "utf8")), null, 2));
    const second = actor();
    second.record(id, 1);
    await second.processor.shutdown();
    expect(lasting(document())).toEqual(before);
    expect(ended(document())).toHaveLength(5);
  });

  test("P7 keeps everything when its document is deleted as it resumes", async () => {
    const first = actor();
    turn(first, 0);
    await first.processor.shutdown();
    const before = lasting(document());
    const second = actor();
    second.record(id, 1);
    nodeFileSystem.sync.unlink(`${stage.dir}/${id}.json`);
    await second.processor.shutdown();
    expect(lasting(document())).toEqual(before);
    expect(ended(document())).toHaveLength(5);
  });

  test("P2 P7 that crashes before its first publish has both runs' spans", async () => {
    const first = actor();
    first.record(id, 3);
    await first.processor.shutdown();
    const second = actor();
    second.record(id, 2);
    second.start(id);
    expect(worked((await readTrace(`${stage.dir}/${id}.json`)).trace)).toHaveLength(6);
    stage.liveness.bury();
    await recover();
    expect(ended(document())).toHaveLength(5);
    expect(interrupted(document())).toHaveLength(1);
    expect(status()).toBe("crashed");
  });
});

describe("P7 a session resumed while its dead run is being recovered", () => {
  async function deadRun(): Promise<void> {
    const first = actor();
    turn(first, 0);
    await first.processor.forceFlush();
    first.start(id);
    stage.liveness.bury();
    // A death within a tick of the next run's end would count as its crash: file times are that coarse.
    const died = Date.now();
    while (Date.now() < died + 25);
  }

  /** Recovers, but stands still at this call until told. */
  async function slowRecovery(at: "open" | "fdatasync") {
    const slow = new PausedFileSystem();
    const hold = slow.hold((name) => name === at, "issued");
    const done = recover(slow);
    await hold.reached;
    return async () => {
      hold.release();
      expect((await done).failures).toEqual([]);
    };
  }

  test.each(["open", "fdatasync"] as const)(
    "P7 publishes before the recovery that stands at its %s",
    async (at) => {
      await deadRun();
      const finish = await slowRecovery(at);
      const second = actor();
      turn(second, 1);
      await second.processor.forceFlush();
      expect(status()).toBe("running");
      await finish();
      expect(status()).toBe("running");
      expect(interrupted(document())).toHaveLength(1);
      await second.processor.shutdown();
      expect(status()).toBe("completed");
      expect(ended(document())).toHaveLength(9);
      expect(repeated(document())).toEqual([]);
      expect(stage.files).toEqual([`${id}.json`]);
    },
  );

  test.each(["open", "fdatasync"] as const)(
    "P7 publishes after it, having begun while it stood at its %s",
    async (at) => {
      await deadRun();
      const finish = await slowRecovery(at);
      const second = actor();
      turn(second, 1);
      await finish();
      // Says what the recovery saw when it looked who writes; the session goes on all the same.
      expect(status()).toBe(at === "open" ? "running" : "crashed");
      turn(second, 2);
      await second.processor.forceFlush();
      expect(status()).toBe("running");
      await second.processor.shutdown();
      expect(status()).toBe("completed");
      expect(document().summary).toMatchObject({ totalGenerations: 3, totalToolCalls: 12, totalCost: 0.75 });
      expect(ended(document())).toHaveLength(15);
      expect(interrupted(document())).toHaveLength(1);
      expect(repeated(document())).toEqual([]);
    },
  );

  test.each(["open", "fdatasync"] as const)(
    "P7 and over before the recovery that stands at its %s",
    async (at) => {
      await deadRun();
      const finish = await slowRecovery(at);
      const second = actor();
      turn(second, 1);
      await second.processor.shutdown();
      await finish();
      expect(status()).toBe("completed");
      expect(document().summary).toMatchObject({ totalGenerations: 2, totalToolCalls: 7, totalCost: 0.5 });
      expect(ended(document())).toHaveLength(9);
      expect(interrupted(document())).toHaveLength(1);
      expect(repeated(document())).toEqual([]);
      expect(stage.files).toEqual([`${id}.json`]);
    },
  );
});
