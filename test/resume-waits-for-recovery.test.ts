/**
 * A session that is resumed just when a recovery, of this process or another, has taken the files of its dead run.
 * In a file of its own: tokens of this stage come again in each test, and one that a recovery had counts as retired.
 */
import { expect, test } from "vitest";
import { agentTurn } from "./agent-turn.js";
import { PausedFileSystem } from "./paused-file-system.js";
import { passTick, TwinStage } from "./twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();

test("D4 P7 a resume waits for the recovery that has the files of the dead run", async () => {
  const first = twins.actor();
  const traces = [agentTurn(first, id, 0)];
  await first.processor.forceFlush();
  traces.push(agentTurn(first, id, 1));
  twins.bury();
  passTick();
  const slow = new PausedFileSystem();
  const hold = slow.hold((name) => name === "fdatasync", "issued");
  const recovered = twins.recover(undefined, slow);
  await hold.reached;

  const second = twins.actor();
  let listings = 0;
  const again = second.fileSystem.hold((name) => name === "readdir" && ++listings === 2, "issued");
  const resumed = second.exporter.resumeSession(id);
  // Whoever does not wait has its answer at once, and lists the directory no second time.
  await Promise.race([again.reached, resumed]);
  hold.release();
  again.release();
  expect((await recovered).failures).toEqual([]);
  expect((await resumed)?.takeHistory().traceIds).toEqual(traces);
});
