/** File times lag behind the clock: by a tick of the kernel, and by what a file system rounds off. */
import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { passTick, TwinStage } from "../support/twin-stage.js";

const twins = new TwinStage();

test("P14 no span that a recovery interrupts ends before another one has started", async () => {
  const dead = twins.actor();
  dead.start("s");
  passTick();
  dead.start("s");
  twins.bury();
  const { dir } = twins.stage;
  const started = Date.now();
  for (const name of readdirSync(dir)) utimesSync(join(dir, name), new Date(), (started - 6) / 1000);
  await twins.recover();
  const spans = twins.document("s").spans.filter(({ kind }) => kind !== "session");
  const last = Math.max(...spans.map(({ startTime }) => startTime));
  expect(spans).toHaveLength(2);
  for (const { interrupted, endTime = 0 } of spans)
    expect([interrupted, endTime >= last]).toEqual([true, true]);
});
