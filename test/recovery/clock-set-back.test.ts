/** Sessions whose machine's clock is set back. */
import { utimesSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";
import { StillClock } from "../support/still-clock.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

/** A process whose clock is some hours ahead of the time it will be set to. */
function ahead(): Actor {
  const clock = new StillClock();
  clock.now = () => Date.now() + 3 * 3_600_000;
  return stage.actor({}, { clock });
}

/** Reports every process so far as dead. */
async function recover() {
  stage.liveness.bury();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  const { failures, sessions } = await recoverDirectory(ports, stage.dir);
  expect(failures).toEqual([]);
  return sessions;
}

async function recordedAndEnded(one: Actor): Promise<void> {
  one.record("s", 2);
  await one.processor.shutdown();
}

test("P2 a session that continued after an end in the future, and died before it was published, has crashed", async () => {
  await recordedAndEnded(ahead());
  const second = stage.actor();
  second.record("s", 1);
  second.start("s");
  expect(stage.document("s").summary.status).toBe("completed");
  expect(await recover()).toMatchObject([{ status: "crashed", recoveredSpans: 2 }]);
  expect(stage.document("s").summary.status).toBe("crashed");
  expect(ended(stage.document("s"))).toHaveLength(3);
});

test("P2 a session that continued after a crash in the future has the status of its own end", async () => {
  const first = ahead();
  first.record("s", 2);
  await recover();
  const second = stage.actor();
  second.record("s", 1);
  second.start("s");
  expect(await recover()).toMatchObject([{ status: "crashed" }]);
  expect(ended(stage.document("s"))).toHaveLength(3);
});

test("P2 a session without new records stays completed", async () => {
  await recordedAndEnded(ahead());
  const second = stage.actor();
  expect(await second.exporter.resumeSession("s")).toBeDefined();
  await recover();
  expect(stage.document("s").summary.status).toBe("completed");
  expect(stage.files).toEqual(["s.json"]);
});

test("P2 a writer that ends a session after a peer writer died completes the session", async () => {
  const first = stage.actor();
  first.record("s", 2);
  for (const name of stage.files) {
    const longAgo = Date.now() / 1_000 - 3_600;
    utimesSync(`${stage.dir}/${name}`, longAgo, longAgo);
  }
  stage.liveness.bury();
  await recordedAndEnded(stage.actor());
  await recover();
  expect(stage.document("s").summary.status).toBe("completed");
  expect(ended(stage.document("s"))).toHaveLength(4);
});
