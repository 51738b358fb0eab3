/**
 * A host drops a session's tracer in every way, and continues the session at once, 100 times: the document equals
 * that of one tracer. The dropped objects still log later.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileExporter, Trace } from "../../src/altimate.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { repeated, worked } from "../support/span-lines.js";

const evictions = 100;
const begin = 1_750_000_000_000;
type Tracer = Trace | SessionTracer;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "eviction-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const path = (id: string) => join(dir, `${id}.json`);
const document = (id: string): TraceFile => JSON.parse(readFileSync(path(id), "utf8"));

function call(tracer: Tracer, callID: string, n: number, input: unknown = { callID }): void {
  const time = { start: begin + n, end: begin + n + 1 + (n % 7) };
  const state = { status: "completed", input, output: callID, time } as const;
  tracer.logToolCall({ tool: `tool ${n % 3}`, callID, state });
}

/** Logged between two evictions: a generation with three calls, the last of which gets attributes. */
function log(tracer: Tracer, cycle: number): void {
  if (cycle % 10 === 0) tracer.logUserMessage(`question ${cycle / 10}`);
  tracer.logStepStart({ id: `step ${cycle}` });
  // Sometimes the first call is the same three times, in three lives of the session.
  const isLoop = cycle % 20 < 3;
  for (const n of [0, 1, 2]) {
    const number = 3 * cycle + n;
    call(tracer, `call ${number}`, number, isLoop && n === 0 ? { again: Math.floor(cycle / 20) } : undefined);
    tracer.setSpanAttributes({ late: number }, "tool");
  }
  const tokens = { input: 3, output: 2, reasoning: 1, cache: { read: 1, write: 1 } };
  tracer.logStepFinish({ id: `step ${cycle}`, reason: "stop", cost: 0.25, tokens });
}

/** The sources of tracers. */
const hosts = {
  "the drop-in": () => {
    const file = new FileExporter(dir);
    return () => Trace.withExporters([file]);
  },
  createSessionTracing: () => {
    const tracing = createSessionTracing({ exporter: new CrashSafeFileSpanExporter({ dir }) });
    return () => tracing.newTracer();
  },
};

/** The ways to drop a tracer. */
const ways: Record<string, (tracer: Tracer, cycle: number) => unknown> = {
  "without a word": () => {},
  "with a flush": (tracer) => tracer.flush(),
  "with a flush that is not awaited": (tracer) => void tracer.flush(),
  "with an end that is not awaited": (tracer) => void tracer.endTrace(),
  "with an end": (tracer) => tracer.endTrace(),
  "with an error that is not awaited": (tracer) => void tracer.endTrace("out of tokens"),
  "with finalizeSync": (tracer) => void tracer.finalizeSync(),
  "in each of these ways": (tracer, cycle) => Object.values(ways)[cycle % 7]?.(tracer, cycle),
};

describe.each(Object.entries(hosts))("P7 a session of %s", (_, newHost) => {
  test.each(Object.entries(ways))(
    `whose tracer is dropped %s, and resumed, ${evictions} times, is one session`,
    async (_way, letGo) => {
      const newTracer = newHost();
      const started = { title: "evicted", prompt: "go on", model: "m" };
      const [id, whole] = ["ses_evicted", "ses_whole"];
      let tracer = newTracer();
      tracer.startTrace(id, started);
      const gone: Tracer[] = [];
      let known: readonly string[] = [];
      for (let cycle = 0; cycle < evictions; cycle++) {
        if (cycle > 0) {
          tracer = newTracer();
          expect(await tracer.rehydrateFromFile(id)).toBe(true);
        }
        log(tracer, cycle);
        if (cycle % 10 === 9) {
          await tracer.flush();
          const ids = document(id).spans.map(({ spanId }) => spanId);
          expect(ids).toEqual(expect.arrayContaining([...known]));
          expect(document(id).summary.idle).toBe(true);
          known = ids;
        }
        await letGo(tracer, cycle);
        gone.push(tracer);
      }
      tracer = newTracer();
      expect(await tracer.rehydrateFromFile(id)).toBe(true);
      await tracer.endTrace();

      const one = newTracer();
      one.startTrace(whole, started);
      for (let cycle = 0; cycle < evictions; cycle++) log(one, cycle);
      await one.endTrace();

      const [resumed, uninterrupted] = [document(id), document(whole)];
      const reported = (trace: TraceFile) =>
        worked(trace).map(({ name, kind, tool, input, attributes, status, interrupted }) => {
          // The tracer that got the results of tools since the last step adds them to the next step.
          const asked = kind === "generation" ? undefined : input;
          return { name, kind, tool, input: asked, attributes, status, interrupted };
        });
      const inOrder = (trace: TraceFile) =>
        reported(trace).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
      expect(inOrder(resumed)).toEqual(inOrder(uninterrupted));
      expect(repeated(resumed)).toEqual([]);
      const { duration: _a, narrative: _b, lastActivityAt: _c, ...summary } = resumed.summary;
      expect(uninterrupted.summary).toMatchObject(summary);
      expect(summary).toMatchObject({ totalToolCalls: 300, totalGenerations: 100, status: "completed" });
      expect(summary.loops).toHaveLength(5);
      expect(resumed.metadata).toEqual(uninterrupted.metadata);
      expect(resumed.spans.filter(({ parentSpanId }) => parentSpanId === null)).toHaveLength(1);
      const ids = new Set(resumed.spans.map(({ spanId }) => spanId));
      expect(
        resumed.spans.filter(({ parentSpanId }) => parentSpanId !== null && !ids.has(parentSpanId)),
      ).toEqual([]);
      expect(readdirSync(dir).sort()).toEqual([`${id}.json`, `${whole}.json`]);
    },
  );

  test.each(Object.entries(ways))(
    "is not changed by later calls on a tracer that was dropped %s",
    async (_way, letGo) => {
      const newTracer = newHost();
      const id = "ses_late";
      const old = newTracer();
      old.startTrace(id);
      old.logStepStart({ id: "old step" });
      call(old, "old", 0);
      const running = { status: "running", input: {}, time: { start: begin } } as const;
      old.logToolCall({ tool: "sleep", callID: "old running", state: running });
      await letGo(old, 3);
      const resumed = newTracer();
      expect(await resumed.rehydrateFromFile(id)).toBe(true);
      await resumed.flush();
      const before = worked(document(id));
      expect(before.every(({ endTime }) => endTime !== undefined)).toBe(true);
      call(resumed, "new", 1);
      resumed.logToolCall({ tool: "wait", callID: "new running", state: running });

      old.setSpanAttributes({ late: true }, "tool");
      old.logToolCall({
        tool: "sleep",
        callID: "old running",
        state: { ...running, status: "completed", output: "" },
      });
      old.logStepFinish({ id: "old step", reason: "stop", cost: 1, tokens: {} as never });
      void old.flush();
      void old.endTrace("too late");
      old.finalizeSync();
      await old.endTrace();

      call(resumed, "newer", 2);
      resumed.logToolCall({
        tool: "wait",
        callID: "new running",
        state: { ...running, status: "completed", output: "" },
      });
      await resumed.flush();
      expect(document(id).summary).toMatchObject({ status: "completed", idle: true });
      expect(document(id).summary.error).toBeUndefined();
      await resumed.endTrace();
      const trace = document(id);
      const calls = worked(trace).filter(({ kind }) => kind === "tool");
      expect(calls.map(({ tool }) => tool?.callId).sort()).toEqual([
        "new",
        "new running",
        "newer",
        "old",
        "old running",
      ]);
      expect(trace.spans).toEqual(expect.arrayContaining(before));
      expect(calls.filter(({ tool, interrupted }) => tool?.callId?.startsWith("new") && interrupted)).toEqual(
        [],
      );
      expect(repeated(trace)).toEqual([]);
      expect(trace.summary).toMatchObject({ status: "completed", totalToolCalls: 5, totalGenerations: 1 });
      expect(trace.summary.error).toBeUndefined();
      expect(readdirSync(dir)).toEqual([`${id}.json`]);
    },
  );
});
