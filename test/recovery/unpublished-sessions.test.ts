/** Sessions that run or died before their first document: listed and read like documents, and nothing is written. */
import { readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listTracesPaginated, listTraces as listWhole } from "../../src/altimate/listing.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

/** A token whose process is gone. */
const deadToken = () => {
  const [, , started, scope] = new SystemLiveness(nodeFileSystem.sync).newToken().split("-");
  return ["zzzzz", "zzzzz", started, scope, "00000001"].join("-");
};

/** The side files of a session whose writer has died before the first document. */
async function died(id: string, seconds: number): Promise<void> {
  const token = deadToken();
  const at = new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();
  const head = `{"version":2,"id":"${id}","traceId":"0af7651916cd43dd8448eb211c80319c","sessionId":"${id}","startedAt":"${at}","spans":[\n`;
  const path = `${stage.dir}/${id}.json.${token}.open`;
  writeFileSync(
    path,
    `${head}{"spanId":"b7ad6b7169203331","parentSpanId":null,"name":"work","kind":"span","startTime":1,"endTime":2,"status":"ok"}\n`,
  );
  const then = Date.parse(at) / 1_000;
  utimesSync(path, then, then);
}

/** Names, sizes and times of all files: reading changes none. */
const snapshot = () =>
  readdirSync(stage.dir)
    .sort()
    .map((name) => {
      const { size, mtimeMs, ctimeMs, ino } = statSync(`${stage.dir}/${name}`);
      return [name, size, mtimeMs, ctimeMs, ino];
    });

/** The unnamed log of a process that is dead: one trace named a session late, another one named none. */
function diedUnnamed(): void {
  const line = (record: object) => `${JSON.stringify(record)}\n`;
  const span = (traceId: string, spanId: string, rest: object) =>
    line({
      span: {
        spanId,
        parentSpanId: null,
        name: "work",
        kind: "span",
        startTime: 1,
        status: "ok",
        ...rest,
        traceId,
      },
    });
  const [named, unnamed] = ["1".repeat(32), "2".repeat(32)];
  const text = [
    line({ owner: { token: deadToken(), pid: 1, withoutSession: "trace", processSession: "" } }),
    span(named, "a".repeat(16), { endTime: 2 }),
    line({ moved: { trace: named, to: "late", spans: ["a".repeat(16)] } }),
    span(unnamed, "b".repeat(16), {}),
  ];
  writeFileSync(`${stage.dir}/unnamed.${deadToken()}.live`, text.join(""));
  utimesSync(`${stage.dir}/unnamed.${deadToken()}.live`, diedAt / 1_000, diedAt / 1_000);
}
const diedAt = Date.UTC(2026, 0, 1);

describe("P14 traces of a dead process that named no session yet", () => {
  test("P14 are listed, read, and reported by a dry run, and nothing is written", async () => {
    diedUnnamed();
    const before = snapshot();
    const { traces, total } = await listTraces(stage.dir);
    const unnamed = "2".repeat(32);
    expect(traces.map(({ id, bytes }) => [id, bytes])).toEqual([
      [unnamed, 0],
      ["late", 0],
    ]);
    expect(total).toBe(2);
    expect((await readTrace(`${stage.dir}/late.json`)).trace.spans.map(({ name }) => name)).toEqual([
      "work",
      "late",
    ]);
    const { sessions, failures, running } = await recoverTraces(stage.dir, { dryRun: true });
    expect(
      sessions.map(({ id, action, status, interrupted }) => ({ id, action, status, interrupted })),
    ).toEqual([
      { id: "late", action: "rebuilt", status: "completed", interrupted: [] },
      { id: unnamed, action: "rebuilt", status: "crashed", interrupted: ["work"] },
    ]);
    expect({ failures, running }).toEqual({ failures: [], running: 0 });
    expect(snapshot()).toEqual(before);
    const done = await recoverTraces(stage.dir);
    expect(done.sessions.map(({ id, status }) => [id, status]).sort()).toEqual([
      [unnamed, "crashed"],
      ["late", "completed"],
    ]);
    expect(readdirSync(stage.dir).sort()).toEqual([`${unnamed}.json`, "late.json"]);
  });

  test("P14 end when their process wrote last, by the detector of its death, before and after a recovery", async () => {
    diedUnnamed();
    const path = `${stage.dir}/${"2".repeat(32)}.json`;
    const { trace: before } = await readTrace(path);
    await recoverTraces(stage.dir);
    const { trace: after } = await readTrace(path);
    for (const { summary, spans, endedAt } of [before, after]) {
      expect(summary).toMatchObject({ status: "crashed", detector: "process gone", interrupted: 1 });
      expect(spans.map(({ endTime }) => endTime)).toEqual([diedAt, diedAt]);
      expect(Date.parse(endedAt)).toBe(diedAt);
    }
    expect(after.summary).toEqual({ ...before.summary, reconstructed: true });
  });
});

describe("P14 sessions without a document", () => {
  test("P14 of a living writer are listed as they are now, and reading them writes nothing", async () => {
    const living = stage.actor();
    living.start("s1");
    living.record("s1", 2);
    living.record("s2", 1);
    const before = snapshot();
    expect(before.map(([name]) => name)).not.toContain("s1.json");
    const { traces, total } = await listTraces(stage.dir);
    expect(total).toBe(2);
    expect(traces.map(({ id, bytes, summary }) => [id, bytes, summary.status])).toEqual(
      expect.arrayContaining([["s1", 0, "running"]]),
    );
    for (const { path, sessionId } of traces) expect((await readTrace(path)).trace.sessionId).toBe(sessionId);
    expect((await listWhole(stage.dir)).map(({ file }) => file).sort()).toEqual(["s1.json", "s2.json"]);
    expect(snapshot()).toEqual(before);
  });

  test("P14 of dead writers are listed as ended, before and after a recovery, in the same order", async () => {
    for (let n = 0; n < 20; n++) await died(`s${n}`, n);
    const newestFirst = Array.from({ length: 20 }, (_, n) => `s${19 - n}`);
    const before = snapshot();
    const page = await listTraces(stage.dir, { offset: 5, limit: 4 });
    expect(page).toMatchObject({ total: 20, offset: 5, limit: 4 });
    expect(page.traces.map(({ id }) => id)).toEqual(newestFirst.slice(5, 9));
    expect(page.traces.map(({ summary }) => summary.status)).toEqual(Array(4).fill("completed"));
    const whole = await listTracesPaginated(stage.dir, { limit: 20 });
    expect([whole.total, whole.traces.map(({ sessionId }) => sessionId)]).toEqual([20, newestFirst]);
    expect(snapshot()).toEqual(before);
    await recoverTraces(stage.dir);
    expect(await listTraces(stage.dir, { limit: 50 })).toMatchObject({ total: 20, traces: { length: 20 } });
    expect((await listWhole(stage.dir)).map(({ sessionId }) => sessionId)).toEqual(newestFirst);
  });

  test("P14 that have several writers, or a document besides, count once", async () => {
    const [first, second] = [stage.actor(), stage.actor()];
    for (const one of [first, second]) one.record("s1", 1);
    first.record("s2", 1);
    await first.processor.forceFlush();
    second.record("s2", 1);
    second.record("s3", 1);
    const { traces, total } = await listTraces(stage.dir);
    expect(total).toBe(3);
    expect(traces.map(({ id }) => id).sort()).toEqual(["s1", "s2", "s3"]);
  });

  test("P14 links and foreign files with such names are no sessions", async () => {
    await died("s1", 1);
    const token = deadToken();
    writeFileSync(`${stage.dir}/words.json.${token}.live`, "not ours\n");
    symlinkSync(`${stage.dir}/s1.json.${token}.open`, `${stage.dir}/link.json.${token}.open`);
    const { traces } = await listTraces(stage.dir);
    expect(traces.map(({ id }) => id)).toEqual(["s1"]);
    expect((await listWhole(stage.dir)).map(({ sessionId }) => sessionId)).toEqual(["s1"]);
  });
});
