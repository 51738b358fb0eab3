/** A mount that hangs: asynchronous calls on it never return. They hold one thread of the pool. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

test("P12 has one call under way at most, whatever becomes due", async () => {
  const server = stage.actor({ durability: "interval" });
  for (const id of ["a", "b", "c", "d", "e", "f"]) server.record(id, 1);
  await server.processor.forceFlush();
  await server.fileSystem.idle();
  server.clock.pass(2_000);
  await server.fileSystem.idle();
  const hold = server.fileSystem.hold(() => true, "issued");
  const open = server.start("a");
  for (const id of ["b", "c", "d"]) server.record(id, 1);
  let most = 0;
  for (let second = 0; second < 65; second++) {
    server.clock.pass(1_000);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, server.fileSystem.underway.length);
  }
  expect(most).toBe(1);
  server.end(open);
  hold.release();
  await server.processor.shutdown();
  expect(stage.files).toEqual(["a", "b", "c", "d", "e", "f"].map((id) => `${id}.json`));
  for (const id of ["b", "c", "d"]) expect(stage.document(id).spans).toHaveLength(3);
});
