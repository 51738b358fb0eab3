/**
 * Everything that a release has written, documents and side files, stays readable, resumable and recoverable for
 * ever.
 */
import { copyFileSync, readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { logTurn } from "../support/logged-turn.js";
import { begin, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";
import { orphansOf } from "../support/span-lines.js";

const fixtures = fileURLToPath(new URL("../fixtures/released", import.meta.url));
const releases = readdirSync(fixtures).filter((name) => /^\d/.test(name));
const documents = releases.flatMap((release) =>
  readdirSync(join(fixtures, release))
    .filter((name) => name.endsWith(".json"))
    .map((name) => `${release}/${name}`),
);
const id = "ses_golden";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

test("at least one release has fixtures", () => {
  expect(documents.length).toBeGreaterThanOrEqual(7);
});

test.each(documents)("%s is read without changes", async (name) => {
  copyFileSync(join(fixtures, name), join(stage.dir, `${id}.json`));
  const given = JSON.parse(readFileSync(join(fixtures, name), "utf8"));
  const { trace } = await readTrace(join(stage.dir, `${id}.json`));
  expect(trace).toEqual(given);
  const { traces } = await listTraces(stage.dir);
  expect(traces.map(({ summary }) => summary)).toEqual([given.summary]);
});

test.each(documents)("%s is resumed, ended, and resumed again", async (name) => {
  copyFileSync(join(fixtures, name), join(stage.dir, `${id}.json`));
  const before = stage.document(id);
  stage.at(60_000);
  for (const number of [1, 2]) {
    const tracer = stage.process().newTracer();
    expect(await tracer.rehydrateFromFile(id)).toBe(true);
    logTurn(tracer, number);
    await tracer.endTrace();
  }
  const after = stage.document(id);
  const { traceId, startedAt, metadata, summary } = before;
  expect(after).toMatchObject({ traceId, startedAt, metadata });
  const ended = spansOf(before).filter(({ endTime }) => endTime !== undefined);
  const kept = new Map(spansOf(after).map((span) => [span.spanId, span]));
  for (const span of ended) expect(kept.get(span.spanId)).toEqual(span);
  const running = before.spans.filter(({ kind, endTime }) => endTime === undefined && kind !== "session");
  for (const { spanId } of running) expect(kept.get(spanId)).toMatchObject({ interrupted: true });
  const count = (kind: string) => running.filter((span) => span.kind === kind).length;
  expect(after.summary).toMatchObject({
    status: "completed",
    totalCost: summary.totalCost + 1,
    totalToolCalls: summary.totalToolCalls + count("tool") + 2,
    totalGenerations: summary.totalGenerations + count("generation") + 2,
    totalTokens: summary.totalTokens + 20,
  });
  expect(rootOf(after).spanId).toBe(rootOf(before).spanId);
  if (!name.endsWith("capped.json")) expect(orphansOf(after)).toEqual([]);
});

test.each(releases)("P2 the files that a killed process of %s left are recovered", async (release) => {
  const left = readdirSync(join(fixtures, release)).filter((name) => /\.(open|live)$/.test(name));
  expect(left).toHaveLength(2);
  for (const name of left) {
    copyFileSync(join(fixtures, release, name), join(stage.dir, name));
    utimesSync(join(stage.dir, name), (begin + 5_000) / 1_000, (begin + 5_000) / 1_000);
  }
  vi.useRealTimers();
  const { sessions, failures } = await recoverTraces(stage.dir);
  expect({ sessions: sessions.length, failures }).toEqual({ sessions: 1, failures: [] });
  expect(stage.files).toEqual(["ses_killed.json"]);
  const document = stage.document("ses_killed");
  expect(document.summary).toMatchObject({ status: "crashed", totalToolCalls: 3, totalGenerations: 2 });
  const names = spansOf(document).map(({ name, interrupted = false }) => [name, interrupted]);
  expect(names).toEqual([
    ["user-message", false],
    ["sql_execute", false],
    ["read", false],
    ["generation-step-1", false],
    ["user-message", false],
    ["generation-step-4", true],
    ["bash", true],
  ]);
});
