/** How several writers of one session begin and end it: one head, one session span, one end. */
import { describe, expect, test } from "vitest";
import { mergeHeads, mergeSessionSpans, reopened, sessionSpan } from "../../src/format/beginnings.js";
import { recordedEnd, type SessionEnd, verdictOf, worseEnd } from "../../src/format/session-end.js";
import { buildTail } from "../../src/format/tail.js";
import { Totals } from "../../src/format/totals.js";
import type { SessionSummary, TraceSpan } from "../../src/format/trace-file.js";

const completed: SessionEnd = { status: "completed" };
const failed: SessionEnd = { status: "error", error: "boom" };
const crashed: SessionEnd = { status: "crashed", error: "gone" };

describe("P7 the end of a session", () => {
  const ends = [undefined, completed, failed, crashed];

  test("the worse of two ends counts, whichever comes first", () => {
    for (const [i, a] of ends.entries()) {
      for (const [j, b] of ends.entries()) expect(worseEnd(a, b)).toBe(ends[Math.max(i, j)]);
    }
  });

  test("the first of two equally bad ends counts", () => {
    expect(worseEnd(failed, { status: "error", error: "later" })).toBe(failed);
  });

  test.each([
    [undefined, undefined, undefined, undefined],
    [undefined, failed, undefined, "boom"],
    [undefined, crashed, "crashed", "gone"],
    [completed, undefined, "completed", undefined],
    [completed, failed, "error", "boom"],
    [failed, crashed, "crashed", "gone"],
    [crashed, failed, "crashed", "gone"],
    [{ ...failed, error: "mine" }, failed, "error", "mine"],
    // The worse end has no message: the message of the other end is kept.
    [failed, { status: "crashed" }, "crashed", "boom"],
  ] as const)("end %j beside a peer's end %j is %s, with error %s", (end, inherited, status, error) => {
    const verdict = verdictOf(end, inherited);
    expect({ status: verdict.end?.status, error: verdict.error }).toEqual({ status, error });
  });

  test("a document of an idle session records no end, or the error that waits for the end", () => {
    const idle = { status: "completed", idle: true } as SessionSummary;
    expect(recordedEnd(idle)).toBeUndefined();
    expect(recordedEnd({ ...idle, error: "boom" })).toEqual({ status: "error", error: "boom" });
  });

  test.each([
    ["running", undefined, undefined],
    ["running", "boom", { status: "error", error: "boom" }],
    ["completed", undefined, { status: "completed", error: undefined }],
    ["crashed", "gone", { status: "crashed", error: "gone" }],
  ] as const)("a document with status %s and error %s records %j", (status, error, end) => {
    expect(recordedEnd({ status, error } as SessionSummary)).toEqual(end);
  });
});

describe("P7 the beginning of a session", () => {
  test("the head has the first known trace id and the earliest start", () => {
    const heads = [
      { traceId: "", startedAt: "2026-02" },
      { traceId: "a", startedAt: "2026-03" },
      { traceId: "b", startedAt: "2026-01" },
    ];
    expect(mergeHeads({ id: "s/1", sessionId: "s_1" }, heads)).toEqual({
      id: "s/1",
      traceId: "a",
      sessionId: "s_1",
      startedAt: "2026-01",
    });
  });

  test("the session span has the earliest start of all, and is open again after a resume", () => {
    const first = sessionSpan({ id: "s", startTime: 30, input: "hello" });
    const others = [50, 10, 20].map((startTime) => sessionSpan({ id: "s", startTime }));
    expect(mergeSessionSpans(first, others)).toEqual({ ...first, startTime: 10 });
    const ended: TraceSpan = { ...first, endTime: 60, output: "done", status: "error", interrupted: true };
    expect(reopened({ ...ended, statusMessage: "boom" })).toEqual(first);
  });
});

test("P1 a tail lists ended spans, then open spans, then the session span, and counts what has started", () => {
  const root = sessionSpan({ id: "s", startTime: 0 });
  const span = (spanId: string, endTime?: number): TraceSpan => ({
    ...root,
    spanId,
    kind: "generation",
    parentSpanId: root.spanId,
    ...(endTime !== undefined && { endTime }),
  });
  const totals = new Totals();
  const tail = buildTail({
    head: { id: "s", traceId: "t", sessionId: "s", startedAt: "1970-01-01T00:00:00.000Z" },
    root,
    rootEnd: crashed,
    spans: [span("open"), span("ended", 5)],
    totals,
    metadata: { title: "Title" },
    verdict: verdictOf(crashed, undefined),
    awaits: new Map(),
    nowMillis: 9,
    isRecovered: true,
  });
  expect(tail.spans.map(({ spanId }) => spanId)).toEqual(["ended", "open", root.spanId]);
  expect(tail.spans.at(-1)).toEqual({ ...root, endTime: 9, interrupted: true });
  expect(tail.summary).toMatchObject({ status: "crashed", error: "gone", totalGenerations: 2, duration: 9 });
  expect(tail).toMatchObject({ metadata: { title: "Title" }, layout: { v: 1, recovered: true } });
  expect(totals.toJson()).toEqual(new Totals().toJson());
});
