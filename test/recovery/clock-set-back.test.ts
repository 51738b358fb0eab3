/** What becomes of sessions when the clock of their machine is set back. */
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

/** A process whose clock is some hours ahead of what it will be set to. */
function ahead(): Actor {
  const clock = new StillClock();
  clock.now = () => Date.now() + 3 * 3_600_000;
  return stage.actor({}, { clock });
}

/** Every process so far has died. */
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

test("P2 a session that went on from an end in the future, and died before it was published, has crashed", async () => {
  await recordedAndEnded(ahead());
  const second = stage.actor();
  second.record("s", 1);
  second.start("s");
  expect(stage.document("s").summary.status).toBe("completed");
  expect(await recover()).toMatchObject([{ status: "crashed", recoveredSpans: 2 }]);
  expect(stage.document("s").summary.status).toBe("crashed");
  expect(ended(stage.document("s"))).toHaveLength(3);
});

test("P2 one that went on from a crash in the future is no worse for it", async () => {
  const first = ahead();
  first.record("s", 2);
  await recover();
  const second = stage.actor();
  second.record("s", 1);
  expect(await recover()).toMatchObject([{ status: "crashed" }]);
  expect(ended(stage.document("s"))).toHaveLength(3);
});

test("P2 one that nothing was added to stays completed", async () => {
  await recordedAndEnded(ahead());
  const second = stage.actor();
  expect(await second.exporter.resumeSession("s")).toBeDefined();
  await recover();
  expect(stage.document("s").summary.status).toBe("completed");
  expect(stage.files).toEqual(["s.json"]);
});

test("P2 who ended a session after another had died knew that it goes on without it", async () => {
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
