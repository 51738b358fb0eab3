/**
 * Documents of the earlier tracer: pretty-printed, with UUIDs for ids, and without the members that only this
 * library writes. Written by hand from the contract.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { beginTurn, logTurn } from "../support/logged-turn.js";
import { rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";
import { orphansOf, repeated } from "../support/span-lines.js";

const id = "ses_old";
const fixture = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../fixtures/old-tracer/${name}.json`, import.meta.url)), "utf8");
const old: TraceFile = JSON.parse(fixture("interrupted"));
const [openGeneration, ...moreOpen] = spansOf(old).filter(({ endTime }) => endTime === undefined);
const oldIds = old.spans.map(({ spanId }) => spanId);

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const path = () => join(stage.dir, `${id}.json`);
const bytes = () => readFileSync(path(), "utf8");

type Resume = (tracer: SessionTracer) => unknown;
const byFile: Resume = (tracer) => tracer.rehydrateFromFile(id);
const byStart: Resume = (tracer) => tracer.startTrace(id, { title: "new title", userId: "user-1" });

/** Another process continues the document. */
async function resumed(how: Resume = byFile): Promise<SessionTracer> {
  const tracer = stage.process().newTracer();
  await how(tracer);
  return tracer;
}

test("the fixture has every feature it needs", () => {
  expect(old).not.toHaveProperty("id");
  expect(old).not.toHaveProperty("layout");
  expect([openGeneration?.kind, moreOpen, old.summary.status]).toEqual(["generation", [], "completed"]);
  expect(oldIds.every((spanId) => /^[\da-f]{8}-[\da-f]{4}-7/.test(spanId))).toBe(true);
  expect(fixture("interrupted").split("\n").length).toBeGreaterThan(100);
});

test("it is read without changes", async () => {
  writeFileSync(path(), fixture("interrupted"));
  expect((await readTrace(path())).trace).toMatchObject({ traceId: old.traceId, spans: old.spans });
});

test("rehydrateFromFile alone writes nothing", async () => {
  writeFileSync(path(), fixture("interrupted"));
  await resumed();
  expect([bytes(), stage.files.filter((name) => name.endsWith(".json"))]).toEqual([
    fixture("interrupted"),
    [`${id}.json`],
  ]);
});

describe.each([
  ["rehydrateFromFile", byFile, "interrupted"],
  ["rehydrateFromFile, without version, traceId, startedAt and summary", byFile, "bare"],
  ["D10 startTrace", byStart, "interrupted"],
  ["D10 startTrace, without version, traceId, startedAt and summary", byStart, "bare"],
] as const)("gone on with by %s", (_, how, name) => {
  const isBare = name === "bare";
  const metadata = how === byStart ? { ...old.metadata, title: "new title", userId: "user-1" } : old.metadata;
  beforeEach(() => {
    writeFileSync(path(), fixture(name));
    stage.at(1_000);
  });

  async function oneTurn(): Promise<TraceFile> {
    const tracer = await resumed(how);
    logTurn(tracer, 1);
    await tracer.endTrace();
    return stage.document(id);
  }

  test("ids, trace, start and metadata stay", async () => {
    const { spans, ...document } = await oneTurn();
    expect(spans.filter(({ spanId }) => oldIds.includes(spanId))).toHaveLength(oldIds.length);
    expect(document).toMatchObject({ id, sessionId: id, metadata });
    if (!isBare) expect(document).toMatchObject({ traceId: old.traceId, startedAt: old.startedAt });
    // A document without a trace id keeps an empty one: the keys of its spans stay the same.
    expect(document.traceId === "").toBe(isBare);
    expect(Date.parse(document.startedAt)).not.toBeNaN();
  });

  test("ended spans are unchanged", async () => {
    const { spans } = await oneTurn();
    const kept = new Map(spans.map((span) => [span.spanId, span]));
    for (const span of spansOf(old)) if (span !== openGeneration) expect(kept.get(span.spanId)).toEqual(span);
    expect(rootOf({ spans } as TraceFile)).toMatchObject({
      spanId: rootOf(old).spanId,
      name: id,
      startTime: rootOf(old).startTime,
      status: "ok",
    });
  });

  test("the open generation was interrupted when the document ended, by a restart", async () => {
    const { spans } = await oneTurn();
    const closed = spans.find(({ spanId }) => spanId === openGeneration?.spanId);
    const { statusMessage, ...rest } = closed as TraceSpan;
    expect(rest).toEqual({
      ...openGeneration,
      status: "error",
      interrupted: true,
      endTime: Date.parse(old.endedAt),
    });
    expect(statusMessage).toMatch(/interrupted by a restart: not an agent failure/is);
  });

  test("D7 the counters continue", async () => {
    const { summary } = await oneTurn();
    expect(summary).toMatchObject({
      status: "completed",
      totalTokens: 178,
      totalCost: 0.75,
      totalToolCalls: 4,
      totalGenerations: 3,
      tokens: { input: 103, output: 22, reasoning: 4, cacheRead: 44, cacheWrite: 5 },
      topTools: [
        { name: "sql_execute", count: 2, totalDuration: 660 },
        { name: "read", count: 1, totalDuration: 3 },
        { name: "look", count: 1, totalDuration: 0 },
      ],
    });
    expect(summary.narrative).toMatch(/Made 3 LLM calls using 3 tools \(sql_execute, read, look\)/);
  });

  test("D7 a loop that began in the document is found when it is resumed, D10 and not in another run", async () => {
    const tracer = await resumed(how);
    const state = { status: "completed", input: { sql: "select 1" } };
    tracer.logToolCall({ tool: "sql_execute", callID: "call-4", state });
    await tracer.endTrace();
    const loops = how === byStart ? undefined : [{ tool: "sql_execute", count: 3 }];
    expect(stage.document(id).summary.loops).toEqual(loops?.map((loop) => expect.objectContaining(loop)));
  });

  test("D13 its calls are known when they are logged again", async () => {
    const tracer = await resumed(how);
    for (const { name: tool, tool: { callId: callID = "" } = {}, startTime: start, kind } of old.spans)
      if (kind === "tool")
        tracer.logToolCall({ tool, callID, state: { status: "completed", time: { start } } });
    await tracer.endTrace();
    expect(stage.document(id).summary.totalToolCalls).toBe(3);
  });

  test("it continues over turns, a crash, a kill and resumes", async () => {
    const first = await resumed(how);
    logTurn(first, 1);
    logTurn(first, 2);
    await first.flush();
    expect(stage.document(id).summary.idle).toBe(true);
    beginTurn(first, 3);
    stage.at(2_000);
    first.flushSync("out of memory");
    expect(stage.document(id).summary).toMatchObject({ status: "crashed", error: "out of memory" });

    stage.at(3_000);
    const second = await resumed();
    logTurn(second, 4);
    beginTurn(second, 5);
    await second.flush();
    stage.kill();

    stage.at(4_000);
    const third = await resumed(how);
    logTurn(third, 6);
    await third.endTrace();

    const document = stage.document(id);
    const { summary, spans } = document;
    expect(summary).toMatchObject({
      status: "completed",
      totalToolCalls: 3 + 6,
      totalGenerations: 2 + 6,
      totalCost: 0.25 + 4 * 0.5,
    });
    expect(summary).not.toHaveProperty("error");
    expect([orphansOf(document), repeated(document)]).toEqual([[], []]);
    expect(spans.filter(({ interrupted }) => interrupted).map(({ name }) => name)).toEqual([
      openGeneration?.name,
      "generation-step 3",
      "generation-step 5",
    ]);
    expect(rootOf(document)).not.toHaveProperty("interrupted");

    // D9 each new turn has a trace of its own, with an id as OpenTelemetry has them.
    const added = spansOf(document).filter(({ spanId }) => !oldIds.includes(spanId));
    const traces = new Set(added.map((span) => span.traceId ?? document.traceId));
    expect(traces.size).toBe(6);
    for (const { traceId, spanId } of added) {
      expect(traceId ?? document.traceId).toMatch(/^[\da-f]{32}$/);
      expect(spanId).toMatch(/^[\da-f]{16}$/);
    }
    if (!isBare) expect(traces).not.toContain(old.traceId);
  });
});
