/** Session ids that make the head of a document longer than any buffer of a fixed size. */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import { nameCandidates } from "../../src/format/file-names.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { prune } from "../../src/recovery/retention.js";
import { occurrences } from "../support/session-stage.js";
import { TwinStage } from "../support/twin-stage.js";

const twins = new TwinStage();
/** JSON escapes a control character as six bytes: the head is longer than the id. */
const id = "deep/".repeat(400_000) + "\u0001".repeat(100_000);
const name = nameCandidates(id)[0] as string;
const path = () => `${twins.stage.dir}/${name}.json`;
const none = { tornBytes: 0, corruptLines: 0 };

/** Every span of the session is in the document once, and the reader finds no damage. */
async function expectSpans(ended: readonly string[], interrupted: readonly string[] = []): Promise<void> {
  const { trace, damage } = await readTrace(path());
  expect(damage).toEqual(none);
  expect(trace.id === id).toBe(true);
  const found = occurrences(trace);
  expect([...found.keys()].sort()).toEqual([...ended, ...interrupted].sort());
  for (const [spanId, [span]] of found) expect(span?.interrupted === true).toBe(interrupted.includes(spanId));
}

test("P1 P2 a session id of 2 MB survives a kill, a recovery and a resume without reported damage", async () => {
  const one = twins.actor();
  one.record(id, 2);
  await one.exporter.forceFlush();
  one.record(id, 1);
  const open = one.start(id).spanContext().spanId;
  twins.bury();

  const { sessions, failures } = await twins.recover();
  expect(failures).toEqual([]);
  expect(
    sessions.map(({ tornBytes, corruptLines, keptAs }) => ({ tornBytes, corruptLines, keptAs })),
  ).toEqual([{ ...none, keptAs: [] }]);
  expect(sessions[0]?.id === id).toBe(true);
  expect(twins.files).toEqual([`${name}.json`]);
  await expectSpans(one.ended, [open]);

  const two = twins.actor();
  two.record(id, 2);
  await two.processor.shutdown();
  expect(twins.files).toEqual([`${name}.json`]);
  await expectSpans([...one.ended, ...two.ended], [open]);
  const { traces } = await listTraces(twins.stage.dir);
  expect(traces.map((trace) => trace.id === id)).toEqual([true]);
});

test("P7 two writers of a session with an id of 2 MB end with all spans", async () => {
  const [one, two] = [twins.actor(), twins.actor()];
  one.record(id, 2);
  await one.exporter.forceFlush();
  two.record(id, 2);
  await two.exporter.forceFlush();
  one.record(id, 1);
  await one.processor.shutdown();
  await two.processor.shutdown();
  expect(twins.files).toEqual([`${name}.json`]);
  await expectSpans([...one.ended, ...two.ended]);
});

test("P1 a recovery from side files alone finds the session of an id of 2 MB", async () => {
  const one = twins.actor();
  one.record(id, 2);
  rmSync(path(), { force: true });
  twins.bury();
  const { sessions } = await twins.recover();
  expect(sessions.map(({ corruptLines, tornBytes }) => ({ corruptLines, tornBytes }))).toEqual([none]);
  await expectSpans(one.ended);
});

test("P9 retention removes the document of a session with an id of 2 MB", async () => {
  const one = twins.actor();
  one.record(id, 1);
  await one.processor.shutdown();
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: twins.stage.liveness };
  const limits = { maxFiles: 0, maxFileAgeMillis: 0, maxTotalBytes: 1 };
  await runAsync(nodeFileSystem, prune(ports, twins.stage.dir, limits));
  expect(twins.files).toEqual([]);
});
