/**
 * Each counter of a summary is the sum over every span that the session ever had, whatever happened to the session. The
 * tests read the table of counters: a new counter is tested without a change here.
 *
 * The table has one more entry in this file, `userMessages`. Documents of every released version lack that counter, as
 * they will lack the next one.
 */
import { copyFileSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { elidedTotals } from "../../src/format/cap.js";
import { type Counter, counters, noTokens } from "../../src/format/counters.js";
import type { TokenCounts, TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { beginTurn, logTurn } from "../support/logged-turn.js";
import { begin, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

vi.mock("../../src/format/counters.js", async (original) => {
  const table = await original<typeof import("../../src/format/counters.js")>();
  const userMessages: Counter = {
    json: "userMessages",
    of: ({ kind }) => (kind === "user-message" ? 1 : 0),
  };
  return { ...table, counters: { ...table.counters, userMessages } };
});

const table = Object.entries<Counter>(counters);
const tokenParts = Object.keys(noTokens) as (keyof TokenCounts)[];
const id = "ses_golden";
const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const releases = readdirSync(join(fixtures, "released")).filter((name) => /^\d/.test(name));
const documents = releases.flatMap((release) =>
  readdirSync(join(fixtures, "released", release))
    .filter((name) => name.endsWith(".json"))
    .map((name) => `${release}/${name}`),
);

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

type Sums = Record<string, number>;

/** The counters of a summary, token counts included. */
const countersOf = ({ summary }: TraceFile): Sums => ({
  ...Object.fromEntries(table.map(([name]) => [name, (summary as unknown as Sums)[name] as number])),
  ...summary.tokens,
});

/** Each counter summed over spans that have ended; tool calls and generations over those that have started. */
function sumsOver(spans: readonly TraceSpan[]): Sums {
  const sum = (of: (span: TraceSpan) => unknown, countsOpen = false) =>
    spans
      .filter(({ endTime }) => countsOpen || endTime !== undefined)
      .reduce((total, span) => total + (Number(of(span)) || 0), 0);
  return {
    ...Object.fromEntries(table.map(([name, { of, countsOpen }]) => [name, sum(of, countsOpen)])),
    ...Object.fromEntries(tokenParts.map((part) => [part, sum(({ tokens }) => tokens?.[part])])),
  };
}

/** Each counter summed over the spans of a document, with what its elision marker counts. */
function sumsOf(document: TraceFile): Sums {
  const sums = sumsOver(spansOf(document).filter((span) => elidedTotals(span) === undefined));
  for (const span of document.spans) {
    const elided = elidedTotals(span) as unknown as (Sums & { tokens: Sums }) | undefined;
    if (!elided) continue;
    for (const [name, { json }] of table) sums[name] = (sums[name] as number) + (elided[json] ?? 0);
    for (const part of tokenParts) sums[part] = (sums[part] as number) + (elided.tokens[part] as number);
  }
  return sums;
}

const expectExact = (document: TraceFile) => expect(countersOf(document)).toEqual(sumsOf(document));

/** Resumes the session in a process of its own, logs a turn and ends the session. */
async function resumeAndEnd(turn: number): Promise<void> {
  const tracer = stage.process().newTracer();
  expect(await tracer.rehydrateFromFile(id)).toBe(true);
  logTurn(tracer, turn);
  await tracer.endTrace();
}

/** Kills every process, and recovers the directory. */
async function killAndRecover(): Promise<void> {
  stage.kill();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  const { sessions, failures } = await recoverDirectory(ports, stage.dir);
  expect({ sessions: sessions.length, failures }).toEqual({ sessions: 1, failures: [] });
}

describe("P7 each counter of a summary is the sum over all spans", () => {
  test("of a session that ended", async () => {
    const tracer = stage.start(id);
    logTurn(tracer, 1);
    await tracer.endTrace();
    const document = stage.document(id);
    expectExact(document);
    expect(Object.values(countersOf(document)).filter((count) => count > 0).length).toBeGreaterThan(
      table.length,
    );
  });

  test("of a session that is running, and that was resumed", async () => {
    const tracer = stage.start(id);
    logTurn(tracer, 1);
    beginTurn(tracer, 2);
    expectExact(await stage.flushed(tracer));
    await tracer.endTrace();
    await resumeAndEnd(3);
    expectExact(stage.document(id));
    expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 3, userMessages: 3 });
  });

  test("of a session that was recovered, and that was resumed after that", async () => {
    const tracer = stage.start(id);
    logTurn(tracer, 1);
    await tracer.flush();
    logTurn(tracer, 2);
    beginTurn(tracer, 3);
    await killAndRecover();
    expectExact(stage.document(id));
    expect(stage.document(id).summary).toMatchObject({ status: "crashed", userMessages: 3 });
    await resumeAndEnd(4);
    expectExact(stage.document(id));
    expect(stage.document(id).summary).toMatchObject({ userMessages: 4 });
  });

  test("of a session with two peer writers", async () => {
    const [one, two] = [stage.start(id), stage.start(id)];
    logTurn(one, 1);
    await one.flush();
    logTurn(two, 2);
    await two.flush();
    expectExact(stage.document(id));
    await one.endTrace();
    logTurn(two, 3);
    await two.endTrace();
    expectExact(stage.document(id));
    expect(stage.document(id).summary).toMatchObject({ status: "completed", userMessages: 3 });
  });

  test("of a session under a cap, through a crash and a resume", async () => {
    const whole = stage.start("whole");
    const start = async () => {
      const tracer = stage.process({ maxSpans: 20 }).newTracer();
      if (!(await tracer.rehydrateFromFile(id))) tracer.startTrace(id);
      return tracer;
    };
    let turn = 0;
    for (const life of [1, 2]) {
      const tracer = await start();
      for (const last = turn + 20; turn < last; turn++) {
        for (const each of [tracer, whole]) logTurn(each, turn);
        if (turn % 5 === 0) await tracer.flush();
      }
      await tracer.endTrace();
      const document = stage.document(id);
      expect(document.spans.length).toBeLessThanOrEqual(20);
      expectExact(document);
      const all = sumsOver(spansOf(await stage.flushed(whole)));
      // The last turn of `whole` is open, and has a generation that has ended.
      expect(countersOf(document)).toEqual(all);
      expect(life * 20).toBe(all.userMessages);
    }
  });

  test.each(documents)("of %s, resumed", async (name) => {
    copyFileSync(join(fixtures, "released", name), join(stage.dir, `${id}.json`));
    const before = stage.document(id);
    expect(before.summary).not.toHaveProperty("userMessages");
    stage.at(60_000);
    await resumeAndEnd(1);
    expectExact(stage.document(id));
    await resumeAndEnd(2);
    expectExact(stage.document(id));
    const known = spansOf(before).filter(({ kind }) => kind === "user-message").length;
    expect(stage.document(id).summary).toMatchObject({ userMessages: known + 2 });
  });

  test.each(releases)("of what a killed process of %s left", async (release) => {
    const left = readdirSync(join(fixtures, "released", release)).filter((name) =>
      /\.(open|live)$/.test(name),
    );
    for (const name of left) {
      copyFileSync(join(fixtures, "released", release, name), join(stage.dir, name));
      utimesSync(join(stage.dir, name), (begin + 5_000) / 1_000, (begin + 5_000) / 1_000);
    }
    // The owner of the fixture is the first process of another machine: only the real clock shows that it is dead.
    vi.useRealTimers();
    const { sessions, failures } = await recoverTraces(stage.dir);
    expect({ sessions: sessions.length, failures }).toEqual({ sessions: 1, failures: [] });
    expectExact(stage.document("ses_killed"));
    expect(stage.document("ses_killed").summary).toMatchObject({ userMessages: 2 });
  });
});

describe("a counter that a document lacks", () => {
  test("P7 is counted from the lines of a document of the library, and the remaining counters stay", async () => {
    // A document that continues another program's counts more than its lines have.
    const text = readFileSync(join(fixtures, "released/0.1.0/completed.json"), "utf8");
    const counted = text.replace(/"totalToolCalls":(\d)/, '"totalToolCalls":9');
    expect(counted).not.toBe(text);
    writeFileSync(join(stage.dir, `${id}.json`), counted);
    const messages = spansOf(stage.document(id)).filter(({ kind }) => kind === "user-message").length;
    stage.at(60_000);
    await resumeAndEnd(1);
    expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 10, userMessages: messages + 1 });
  });

  test("D7 is counted from the spans of another program's document, which keeps its totals", async () => {
    const document: TraceFile = JSON.parse(
      readFileSync(join(fixtures, "old-tracer/interrupted.json"), "utf8"),
    );
    const messages = spansOf(document).filter(({ kind }) => kind === "user-message").length;
    expect(messages).toBeGreaterThan(0);
    const summary = { ...document.summary, totalToolCalls: 70, totalTokens: 5_000 };
    const foreign = { ...document, sessionId: id, summary };
    writeFileSync(join(stage.dir, `${id}.json`), JSON.stringify(foreign, null, 2));
    await resumeAndEnd(1);
    const open = spansOf(document).filter(
      ({ kind, endTime }) => kind === "tool" && endTime === undefined,
    ).length;
    expect(stage.document(id).summary).toMatchObject({
      totalToolCalls: 71 + open,
      totalTokens: 5_010,
      userMessages: messages + 1,
    });
  });
});
