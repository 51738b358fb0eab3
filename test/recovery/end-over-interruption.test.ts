/** A span ended and its process died. Before a recovery ran, another process ended the session. */
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

async function recover() {
  stage.liveness.bury();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  const { failures, sessions } = await recoverDirectory(ports, stage.dir);
  expect(failures).toEqual([]);
  return sessions;
}

test("P2 recovery keeps the end of a span that a peer writer recorded as interrupted", async () => {
  const first = stage.actor();
  const span = first.start("s");
  const { spanId } = span.spanContext();
  await first.processor.forceFlush();
  span.setAttribute("late", "set before its end");
  first.end(span);
  stage.liveness.bury();
  // The process died a second ago, because file times differ by whole ticks only.
  const aSecondAgo = Date.now() / 1000 - 1;
  for (const file of stage.files.filter((name) => /\.(open|live)$/.test(name)))
    utimesSync(join(stage.dir, file), aSecondAgo, aSecondAgo);

  const second = stage.actor();
  second.record("s", 1);
  await second.processor.shutdown();
  const found = () => stage.document("s").spans.find((one) => one.spanId === spanId);
  expect(found()).toMatchObject({ interrupted: true });

  expect(await recover()).toMatchObject([{ action: "rebuilt", status: "completed", recoveredSpans: 1 }]);
  expect(found()).toMatchObject({ status: "ok", attributes: { late: "set before its end" } });
  expect(found()).not.toHaveProperty("interrupted");
  expect(stage.document("s").spans).toHaveLength(3);
  expect(stage.files).toEqual(["s.json"]);
  expect(await recover()).toEqual([]);
});
