/** Sessions that run or died before their first document: listed and read like documents, and nothing is written. */
import { readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listTracesPaginated, listTraces as listWhole } from "../../src/altimate/listing.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { type Actor, Stage } from "../support/session-stage.js";

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

function actor(): Actor {
  const one = stage.actor();
  actors.push(one);
  return one;
}

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

describe("P14 sessions without a document", () => {
  test("P14 of a living writer are listed as they are now, and reading them writes nothing", async () => {
    const living = actor();
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
    const [first, second] = [actor(), actor()];
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
