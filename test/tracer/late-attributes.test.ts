/** Attributes set on a tool call that has ended, while peers write to its session, or its writer dies. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

const id = "ses_late";
let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const call = (tracer: SessionTracer, callID: string) =>
  tracer.logToolCall({ tool: "grep", callID, state: { status: "completed", input: { callID }, output: "" } });
const late = (tracer: SessionTracer) => tracer.setSpanAttributes({ late: true }, "tool");
const recover = () =>
  recoverDirectory({ fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock }, stage.dir);
/** The calls, and whether each has its late attribute. */
const calls = (trace: TraceFile = stage.document(id)) =>
  Object.fromEntries(spansOf(trace).map(({ tool, attributes }) => [tool?.callId, attributes?.late === true]));

test("P2 late attributes survive the death of the writer before its document has them", async () => {
  const a = stage.start(id);
  call(a, "first");
  await a.flush();
  late(a);
  stage.kill();
  await recover();
  expect(calls()).toEqual({ first: true });
  expect(stage.document(id).summary.totalToolCalls).toBe(1);
});

const ends = ["the owner ends first", "the twin ends first", "the owner dies", "the twin dies", "both die"];

test.each(ends)(
  "P7 late attributes are not undone by a peer writer that published the call without them: %s",
  async (end) => {
    const [a, b] = [stage.start(id), stage.start(id)];
    const [owner, twin] = stage.liveness.alive as [string, string];
    call(a, "first");
    await a.flush();
    call(b, "other");
    await b.flush();
    expect(calls()).toEqual({ first: false, other: false });
    late(a);
    call(a, "second");
    await a.flush();
    expect(calls()).toEqual({ first: true, second: false, other: false });
    await b.flush();
    expect(calls()).toEqual({ first: true, second: false, other: false });
    expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 3, status: "completed", idle: true });
    late(a);
    late(b);
    const dead = { "the owner dies": [owner], "the twin dies": [twin], "both die": [owner, twin] }[end] ?? [];
    for (const token of dead) stage.liveness.kill(token);
    if (end === "the twin ends first") await b.endTrace();
    if (!dead.includes(owner)) await a.endTrace();
    if (end !== "the twin ends first" && !dead.includes(twin)) await b.endTrace();
    await recover();
    expect(calls()).toEqual({ first: true, second: true, other: true });
    expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 3 });
    expect(stage.files).toEqual([`${id}.json`]);
  },
);

test("P7 late attributes outlast a peer writer that joins while they may still be set", async () => {
  const a = stage.start(id);
  call(a, "first");
  await a.flush();
  const b = stage.start(id);
  call(b, "other");
  await b.flush();
  expect(stage.document(id).summary.totalToolCalls).toBe(2);
  late(a);
  await a.endTrace();
  await b.flush();
  await b.endTrace();
  expect(calls()).toEqual({ first: true, other: false });
  expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 2, status: "completed" });
});

test.each(["finalizeSync", "flushSync"] as const)(
  "P7 late attributes outlast a peer writer whose %s comes while their owner ends",
  async (end) => {
    const sync = { ...nodeFileSystem.sync };
    let whenAsked = () => {};
    sync.readdir = (path) => {
      whenAsked();
      return nodeFileSystem.sync.readdir(path);
    };
    const a = stage.start(id);
    const b = stage.process({}, { ...nodeFileSystem, sync }).newTracer();
    b.startTrace(id);
    call(a, "first");
    await a.flush();
    call(b, "other");
    await b.flush();
    // The peer has read the document, and checks for other writers.
    whenAsked = () => {
      whenAsked = () => {};
      late(a);
      a.finalizeSync();
    };
    b[end]();
    expect(calls()).toEqual({ first: true, other: false });
    expect(stage.document(id).summary.totalToolCalls).toBe(2);
    expect(stage.files).toEqual([`${id}.json`]);
  },
);

test("P7 late attributes outlast a recovery of another writer's files, and all calls are counted meanwhile", async () => {
  const [a, b, c] = [stage.start(id), stage.start(id), stage.start(id)];
  const dead = stage.liveness.alive[2] as string;
  call(c, "of the dead");
  call(a, "first");
  await a.flush();
  stage.liveness.kill(dead);
  await recover();
  expect(calls()).toEqual({ "of the dead": false, first: false });
  expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 2, status: "completed", idle: true });
  call(b, "other");
  await b.flush();
  late(a);
  await a.endTrace();
  await b.flush();
  await b.endTrace();
  expect(calls()).toEqual({ "of the dead": false, first: true, other: false });
  expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 3, status: "completed" });
});

test("P7 a call that no other file has any more is kept by the writer that resumed a document with it", async () => {
  const a = stage.start(id);
  call(a, "first");
  await a.flush();
  const b = stage.start(id);
  const [owner, twin] = stage.liveness.alive as [string, string];
  stage.liveness.kill(owner);
  for (const file of stage.files) if (!file.includes(twin)) rmSync(join(stage.dir, file));
  const c = stage.start(id);
  call(c, "other");
  await c.endTrace();
  await b.endTrace();
  expect(calls()).toEqual({ first: false, other: false });
  expect(stage.document(id).summary).toMatchObject({ totalToolCalls: 2, status: "completed" });
});
