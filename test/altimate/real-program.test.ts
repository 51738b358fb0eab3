/** What was seen when altimate-code ran with this package: continued sessions, writers that die, how they are listed. */
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Trace } from "../../src/altimate.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { listTraces } from "../../src/reader.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { beginTurn, logTurn } from "../support/logged-turn.js";
import { begin, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const recover = () =>
  recoverDirectory({ fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock }, stage.dir);

test("a session that goes on later is listed before a session that started in between", async () => {
  const first = stage.start("ses_first");
  logTurn(first, 1);
  await first.endTrace();
  stage.at(60_000);
  const second = stage.start("ses_second");
  logTurn(second, 1);
  await second.endTrace();
  const listed = async () => [
    (await Trace.listTraces(stage.dir)).map(({ sessionId }) => sessionId),
    (await Trace.listTracesPaginated(stage.dir)).traces.map(({ sessionId }) => sessionId),
    (await listTraces(stage.dir)).traces.map(({ sessionId }) => sessionId),
  ];
  expect(await listed()).toEqual(Array(3).fill(["ses_second", "ses_first"]));
  stage.at(120_000);
  const again = stage.start("ses_first", { prompt: "go on" });
  logTurn(again, 2);
  await again.endTrace();
  expect(await listed()).toEqual(Array(3).fill(["ses_first", "ses_second"]));
});

test("D10 the messages and the answers of a continued session are in the order of the conversation", async () => {
  const first = stage.start("ses_1", { prompt: "question 1" });
  logTurn(first, 1);
  await first.endTrace();
  stage.at(60_000);
  const second = stage.start("ses_1", { prompt: "question 2" });
  logTurn(second, 2);
  await second.endTrace();
  const talk = spansOf(stage.document("ses_1"))
    .filter(({ kind }) => kind !== "tool")
    .map(({ kind, input, output }) => (kind === "user-message" ? input : output));
  expect(talk).toEqual(["question 1", "answer 1", "question 2", "answer 2"]);
  expect(stage.document("ses_1").metadata.prompt).toBe("question 2");
});

test.each(["the older", "the newer"])(
  "of two writers, one of which is killed, the listing and the document have one title, and no side file stays: %s",
  async (which) => {
    const older = stage.start("ses_1", { title: "title of the older" });
    logTurn(older, 1);
    await older.flush();
    const newer = stage.start("ses_1", { title: "title of the newer" });
    beginTurn(which === "the older" ? older : newer, 2);
    const [dead] = which === "the older" ? stage.liveness.alive : stage.liveness.alive.slice(1);
    stage.liveness.kill(dead as string);
    await recover();
    const living = which === "the older" ? newer : older;
    logTurn(living, 3);
    await living.flush();
    const titles = async () => [
      stage.document("ses_1").metadata.title,
      (await Trace.listTraces(stage.dir))[0]?.trace.metadata.title,
      (await Trace.loadTrace("ses_1", stage.dir))?.metadata.title,
    ];
    expect(new Set(await titles()).size).toBe(1);
    await living.endTrace();
    await recover();
    expect(new Set(await titles()).size).toBe(1);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(spansOf(stage.document("ses_1")).filter(({ kind }) => kind === "user-message")).toHaveLength(3);
  },
);

test("P14 the session span of a killed session is in error, as that of a session that a signal ended", async () => {
  const killed = stage.start("ses_killed");
  beginTurn(killed, 1);
  stage.kill();
  await recover();
  const signalled = stage.start("ses_signalled");
  beginTurn(signalled, 1);
  signalled.flushSync("Process received SIGTERM");
  for (const id of ["ses_killed", "ses_signalled"]) {
    const { summary, ...document } = stage.document(id);
    expect(rootOf({ summary, ...document })).toMatchObject({
      status: "error",
      interrupted: true,
      statusMessage: summary.error,
    });
    expect(summary).toMatchObject({ status: "crashed", errors: 0 });
  }
});

test("P14 a killed session ends no earlier than its spans, where times of files lag by a kernel tick", async () => {
  const tracer = stage.start("ses_1", { title: "lagging" });
  logTurn(tracer, 1);
  stage.at(1_000);
  tracer.logStepStart({ id: "step 2" });
  const lagging = (begin + 996) / 1_000;
  for (const file of stage.files) utimesSync(join(stage.dir, file), lagging, lagging);
  stage.kill();
  await recover();
  const document = stage.document("ses_1");
  expect(spansOf(document).at(-1)).toMatchObject({ interrupted: true, startTime: begin + 1_000 });
  expect(document.summary).toMatchObject({ status: "crashed", duration: 1_000 });
  expect(rootOf(document).endTime).toBe(begin + 1_000);
  const { endedAt, summary } = document;
  expect([endedAt, summary.lastActivityAt]).toEqual(Array(2).fill(new Date(begin + 1_000).toISOString()));
});

test("P14 an idle session that is killed is completed, and its session span is ok", async () => {
  const tracer = stage.start("ses_1");
  logTurn(tracer, 1);
  stage.kill();
  await recover();
  expect(stage.document("ses_1").summary).toMatchObject({ status: "completed" });
  expect(rootOf(stage.document("ses_1"))).toMatchObject({ status: "ok" });
});

test("D11 a turn that the end of the session cuts does not look finished", async () => {
  const tracer = stage.start("ses_1");
  beginTurn(tracer, 1);
  await tracer.endTrace();
  const [, generation] = spansOf(stage.document("ses_1"));
  expect(generation).toMatchObject({ kind: "generation", status: "error", interrupted: true });
  expect(generation).not.toHaveProperty("finishReason");
  expect(stage.document("ses_1").summary).toMatchObject({ status: "completed", errors: 0, interrupted: 1 });
  vi.setSystemTime(Date.now() + 1_000);
  expect((await Trace.loadTrace("ses_1", stage.dir))?.summary.interrupted).toBe(1);
});
