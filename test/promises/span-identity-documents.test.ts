/**
 * The identity of spans in documents of other programs, in capped documents, and beside turns: by trace id and span id,
 * where a document names the trace of a span or leaves it out.
 */
import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { SpanConverter } from "../../src/exporter/to-trace-span.js";
import { elidedTotals, markerSpanId } from "../../src/format/cap.js";
import { sessionSpanId } from "../../src/format/file-names.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { attach } from "../../src/projection/exact-span.js";
import { spanOf } from "../support/projection-span.js";
import type { Actor } from "../support/session-stage.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const [a, b] = ["a".repeat(32), "b".repeat(32)];
const spanId = "b7ad6b7169203331";
const twins = new TwinStage();

const hostSpan = (traceId: string, spanId: string, name = "work") =>
  spanOf({ name, spanContext: () => ({ traceId, spanId, traceFlags: 1 }), attributes: { "session.id": id } });

const record = ({ exporter }: Actor, traceId: string, spanId: string, name?: string) =>
  exporter.recordEnd(hostSpan(traceId, spanId, name));

/** The spans of the document, as trace and span id, in its order. */
const found = () => {
  const { spans, traceId } = twins.document(id);
  return spans.filter(({ kind }) => kind !== "session").map((span) => [span.traceId ?? traceId, span.spanId]);
};

const foreign = (spanId: string, members: Partial<TraceSpan> = {}) => ({
  spanId,
  parentSpanId: "root",
  name: "foreign",
  kind: "span",
  startTime: 1,
  endTime: 2,
  status: "ok",
  ...members,
});
const root = { ...foreign("root"), parentSpanId: null, kind: "session" };
const write = (text: string) => writeFileSync(`${twins.stage.dir}/${id}.json`, text);

describe("P7 a document without a trace id", () => {
  const spans = [foreign(spanId), foreign("2"), root];
  const text = JSON.stringify(
    { version: 2, sessionId: id, startedAt: "2026-01-01T00:00:00.000Z", spans },
    null,
    2,
  );

  test("stays without one when it is resumed, and each span stays the span that it was", async () => {
    write(text);
    for (const traceId of [a, b]) {
      const actor = twins.actor();
      record(actor, traceId, spanId);
      await actor.processor.shutdown();
    }
    expect(twins.document(id).traceId).toBe("");
    expect(found()).toEqual([
      ["", spanId],
      ["", "2"],
      [a, spanId],
      [b, spanId],
    ]);
  });

  test("has each span once when two processes resume it and one is killed", async () => {
    write(text);
    const [one, other] = [twins.actor(), twins.actor()];
    record(one, a, spanId);
    record(other, b, spanId);
    await one.processor.forceFlush();
    await other.processor.forceFlush();
    await one.processor.forceFlush();
    twins.bury();
    await twins.recover();
    expect(found().sort()).toEqual([
      ["", "2"],
      ["", spanId],
      [a, spanId],
      [b, spanId],
    ]);
  });
});

test("P7 an edited line that names its trace before other members is merged by that trace", async () => {
  const actor = twins.actor();
  record(actor, a, "1".repeat(16));
  record(actor, b, spanId);
  record(actor, a, spanId);
  await actor.processor.shutdown();
  const lines = twins.stage.bytes(id).split("\n");
  const at = lines.findIndex((line) => line.includes(b));
  const { traceId, ...span } = JSON.parse((lines[at] as string).slice(1));
  const { spanId: first, ...rest } = span;
  // Of the same length: the tail keeps its place.
  lines[at] = `,${JSON.stringify({ spanId: first, traceId, ...rest })}`;
  write(lines.join("\n"));
  for (const traceId of ["c".repeat(32), "d".repeat(32)]) {
    const later = twins.actor();
    record(later, traceId, spanId);
    await later.processor.shutdown();
  }
  expect(found()).toEqual([
    [a, "1".repeat(16)],
    [b, spanId],
    [a, spanId],
    ["c".repeat(32), spanId],
    ["d".repeat(32), spanId],
  ]);
});

test("P8 D7 a marker covers the spans that it replaced, also when another trace uses the id of the last of them", async () => {
  const maxSpans = 12;
  const idOf = (n: number) => String(n).padStart(16, "0");
  const first = twins.actor({ maxSpans });
  for (let n = 1; n <= 40; n++) record(first, a, idOf(n));
  await first.processor.shutdown();
  const marker = twins.document(id).spans.find(({ name }) => name.includes("elided"));
  const { lastElided, lastElidedTraceId, totalSpans } = marker?.attributes ?? {};
  expect([lastElidedTraceId, totalSpans]).toEqual([a, 41]);
  // A document that has a line of the last elided span would have lines of all of them.
  const second = twins.actor({ maxSpans });
  record(second, b, String(lastElided));
  await second.processor.forceFlush();
  twins.bury();
  await twins.recover();
  const later = twins.document(id).spans.find(({ name }) => name.includes("elided"));
  expect(later?.attributes).toMatchObject({ totalSpans: 42 });
  expect(found()).toContainEqual([b, lastElided]);
});

test("P10 a span is a child of its own parent, where a turn of another trace has the parent's id", () => {
  const converter = new SpanConverter(undefined);
  const turn = hostSpan(a, spanId);
  attach(turn, { type: "turn" });
  converter.convert(turn, "root");
  const childOf = (traceId: string) => {
    const parentSpanContext = { traceId, spanId, traceFlags: 1 };
    const child = { ...hostSpan(traceId, "1".repeat(16)), parentSpanContext };
    return converter.convert(child, "root").span?.parentSpanId;
  };
  expect([childOf(a), childOf(b)]).toEqual(["root", spanId]);
});

test("P7 a span of a program with the id of the session span is a span beside it", async () => {
  for (const isKilled of [false, true]) {
    const [first, second] = [twins.actor(), twins.actor()];
    record(first, a, sessionSpanId(id), "mine");
    record(first, a, spanId);
    await first.processor.forceFlush();
    if (isKilled) twins.bury();
    else await first.processor.shutdown();
    if (isKilled) await twins.recover();
    record(second, b, spanId);
    await second.processor.shutdown();
    const { spans } = twins.document(id);
    expect(spans.filter(({ kind }) => kind === "session")).toHaveLength(1);
    expect(spans.filter(({ name }) => name === "mine")).toHaveLength(1);
    expect(spans).toHaveLength(4);
    twins.stage.clear();
  }
});

describe("P7 a span of a program with the id of the elision marker is a span beside it", () => {
  const marked = markerSpanId(id);
  const spanIds = [...Array(19).keys()].map((index) => `${index + 10}`.repeat(8));
  const markers = () => twins.document(id).spans.filter((span) => elidedTotals(span) !== undefined);
  const own = () => twins.document(id).spans.filter(({ name }) => name === "own");

  test.each(["first", "last"] as const)("recorded %s, capped, resumed and recovered", async (place) => {
    const order = place === "first" ? [marked, ...spanIds] : [...spanIds, marked];
    const writer = twins.actor({ maxSpans: 10 });
    for (const spanId of order) record(writer, a, spanId, spanId === marked ? "own" : "work");
    await writer.processor.shutdown();
    expect([own().length, markers().length]).toEqual([1, 1]);
    const elided = markers()[0]?.attributes?.elided;

    const next = twins.actor({ maxSpans: 100 });
    record(next, b, "f".repeat(16));
    await next.processor.forceFlush();
    twins.bury();
    await twins.recover();
    expect([own().length, markers().length, markers()[0]?.attributes?.elided]).toEqual([1, 1, elided]);
    expect(twins.document(id).spans.map(({ name }) => name)).toContain("work");
  });
});
