/** A process that survives a hook, takes its verdict back, and is killed before its next document. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { provisionalFence } from "../../src/otel/types.js";
import { type Actor, Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

/** The process is killed, and another one recovers. */
async function recovered() {
  stage.liveness.bury();
  const next = stage.actor();
  next.clock.pass(0);
  await next.fileSystem.idle();
  await next.exporter.shutdown();
  return stage.document("s");
}

/** A verdict in the document: with a span that was open at the hook, and has ended after it. */
async function survivor(isPublished: boolean): Promise<Actor> {
  const actor = stage.actor();
  const open = actor.start("s");
  actor.processor[provisionalFence]("Received SIGINT", "SIGINT");
  actor.end(open);
  if (isPublished) await actor.processor.forceFlush();
  expect(stage.document("s").summary.status).toBe("crashed");
  return actor;
}

test.each([true, false])(
  "P11 P14 the session is complete when nothing was under way at the kill (published after the hook: %s)",
  async (isPublished) => {
    const actor = await survivor(isPublished);
    actor.record("s", 1);
    const { summary, spans } = await recovered();
    expect(summary).toMatchObject({ status: "completed" });
    expect(summary).not.toHaveProperty("error");
    expect(Math.max(...spans.map(({ endTime = 0 }) => endTime))).toBe(
      spans.find(({ kind }) => kind === "session")?.endTime,
    );
  },
);

test.each([true, false])(
  "P11 P14 the session has crashed when a span was open at the kill (published after the hook: %s)",
  async (isPublished) => {
    const actor = await survivor(isPublished);
    actor.record("s", 1);
    actor.start("s");
    expect((await recovered()).summary.status).toBe("crashed");
  },
);

test("P3 the verdict stands when no span has started after it", async () => {
  await survivor(true);
  expect((await recovered()).summary).toMatchObject({ status: "crashed", detector: "SIGINT" });
});
