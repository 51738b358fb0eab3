/** Limits of files beside sessions that a process hook has fenced: their process may go on with them. */
import { afterEach, expect, test } from "vitest";
import { provisionalFence } from "../../src/otel/types.js";
import { type Actor, Stage } from "../support/session-stage.js";

const stages: Stage[] = [];
afterEach(() => {
  for (const stage of stages.splice(0)) stage.remove();
});

const newStage = (): Stage => {
  const stage = new Stage();
  stages.push(stage);
  return stage;
};

/** Recovers, then removes what is beyond the limits. The removal waits for turns of the event loop between its calls. */
const maintain = async (actor: Actor) => {
  actor.clock.pass(60_000);
  for (let turns = 0; turns < 5; turns++) await actor.fileSystem.idle();
};

/** Records the sessions one after the other, each with its document. */
async function write(actor: Actor, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    actor.record(id, 1);
    await actor.exporter.endSession(id);
  }
  await actor.fileSystem.idle();
}

const documents = (stage: Stage) => stage.files.filter((name) => name.endsWith(".json"));

test("P11 the document of a fenced session is held while its process lives, in every process", async () => {
  const stage = newStage();
  const actor = stage.actor({ maxFiles: 1 });
  actor.start("fenced");
  actor.processor[provisionalFence]("Received SIGTERM", "SIGTERM");
  expect(documents(stage)).toEqual(["fenced.json"]);
  const other = stage.actor({ maxFiles: 1 });
  await write(other, ["a", "b"]);
  await maintain(other);
  await maintain(actor);
  expect(documents(stage)).toContain("fenced.json");

  actor.record("fenced", 1);
  await actor.exporter.shutdown();
  expect(stage.document("fenced").spans).toHaveLength(3);
});

test("P11 the document of a fenced session counts as any other once its process is dead", async () => {
  const stage = newStage();
  const actor = stage.actor();
  actor.start("fenced");
  actor.processor[provisionalFence]("Received SIGTERM", "SIGTERM");
  stage.liveness.bury();
  const next = stage.actor({ maxFiles: 1 });
  await write(next, ["a", "b"]);
  await maintain(next);
  expect(documents(stage)).toEqual(["b.json"]);
});

test("P11 the document of a fenced session counts as any other once its exporter has shut down", async () => {
  const stage = newStage();
  const actor = stage.actor();
  actor.record("fenced", 1);
  actor.processor[provisionalFence]("Received SIGTERM", "SIGTERM");
  await actor.exporter.shutdown();
  const next = stage.actor({ maxFiles: 1 });
  await write(next, ["a", "b"]);
  await maintain(next);
  expect(documents(stage)).toEqual(["b.json"]);
});
