/**
 * What a reader sees of a session whose process drains after a process hook: the document of a session that was under way is
 * final, in case that the process dies now. It says `crashed` until the process takes the verdict back.
 */
import { afterEach, beforeEach, expect, it } from "vitest";
import { provisionalFence } from "../../src/otel/types.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { type Actor, Stage } from "../support/session-stage.js";

let stage: Stage;
let actor: Actor;
beforeEach(() => {
  stage = new Stage();
  actor = stage.actor();
});
afterEach(() => stage.end());

/** The status of a session for a reader of the raw file, for `readTrace` and in a list. */
async function seen(id: string) {
  const { summary, layout } = stage.document(id);
  const { trace } = await readTrace(`${stage.dir}/${id}.json`);
  const { traces } = await listTraces(stage.dir);
  const listed = traces.find(({ sessionId }) => sessionId === id);
  expect({ read: trace.summary.status, listed: listed?.summary.status }).toEqual({
    read: summary.status,
    listed: summary.status,
  });
  return { status: summary.status, detector: summary.detector, isFinal: layout?.provisional === undefined };
}

const crashed = { status: "crashed", detector: "SIGTERM", isFinal: false };
const completed = { status: "completed", detector: undefined, isFinal: true };

it("P3 P14 under way at the hook: crashed and provisional until the shutdown", async () => {
  const open = actor.start("busy");
  await actor.processor.forceFlush();
  actor.exporter[provisionalFence]("SIGTERM", "SIGTERM");
  expect(await seen("busy")).toEqual(crashed);
  actor.end(open);
  await actor.processor.forceFlush();
  expect(await seen("busy")).toEqual(crashed);
  await actor.processor.shutdown();
  expect(await seen("busy")).toEqual(completed);
});

it("P3 P14 idle at the hook: completed, and never crashed while it drains", async () => {
  actor.record("idle", 1);
  await actor.processor.forceFlush();
  actor.exporter[provisionalFence]("SIGTERM", "SIGTERM");
  expect(await seen("idle")).toEqual({ ...completed, isFinal: false });
  const drained = actor.start("idle");
  await actor.processor.forceFlush();
  expect(await seen("idle")).toEqual({ ...completed, status: "running" });
  actor.end(drained);
  await actor.processor.forceFlush();
  expect(await seen("idle")).toEqual(completed);
  await actor.processor.shutdown();
  expect(await seen("idle")).toEqual(completed);
});
