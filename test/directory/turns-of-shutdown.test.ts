/** A shutdown of very many sessions leaves turns of the event loop to the program, and a crash may come between them. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinDirectory } from "../../src/directory/registry.js";
import { nextTurn, systemClock } from "../../src/platform/clock.js";
import { type Actor, Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const count = 600;
const ids = Array.from({ length: count }, (_, number) => `ses_${number}`);

function serverWithSessions(): Actor {
  const server = stage.actor();
  for (const id of ids) server.record(id, 1);
  return server;
}

describe("P13 the shutdown of 600 sessions", { timeout: 120_000 }, () => {
  test("P13 takes several turns to end them", async () => {
    const options = {
      unnamed: { withoutSession: "trace", namedRun: () => "run" },
      durability: "process",
      maxSpans: 0,
      clock: systemClock,
      sessionIdleMillis: 60_000,
    };
    const listener = { onFault() {}, onRemoved() {}, onRefused() {}, onReleased() {}, onLost() {} };
    const user = joinDirectory(stage.dir, options as never, listener);
    for (const id of ids) {
      const session = user.admit({ id, traceId: "1".padStart(32, "0"), startTime: 1 });
      if (typeof session === "string") throw new Error(session);
      session.learn({ title: id });
    }
    const { ended, done } = user.leave();
    const inTurns = [ended.length];
    for (let turn = 0; turn < 10; turn++) {
      await nextTurn();
      inTurns.push(ended.length);
    }
    await done;
    user.release();
    expect(ended).toHaveLength(count);
    const steps = inTurns.map((length, turn) => length - (inTurns[turn - 1] ?? 0));
    expect(Math.max(...steps)).toBeLessThanOrEqual(500);
    expect(inTurns.at(-1)).toBe(count);
  });

  test.each([0, 1])("P3 a crash after %i turns is in all documents", async (turns) => {
    const server = serverWithSessions();
    const shutdown = server.exporter.shutdown().catch(() => {});
    for (let turn = 0; turn < turns; turn++) await nextTurn();
    server.exporter.crash("killed in its shutdown");
    const crashed = () => ids.filter((id) => stage.document(id).summary.status === "crashed");
    expect(crashed()).toHaveLength(count);
    await shutdown;
    expect(crashed()).toHaveLength(count);
    expect(stage.files).toHaveLength(count);
  });
});
