/** `export`: each format is read back as its readers read it. */
import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { analyse } from "../../src/cli/analysis.js";
import { chromeEvents } from "../../src/cli/chrome-trace.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { decodedSpans } from "../support/otlp-traces.js";
import { documentOf, rootSpan } from "../support/trace-documents.js";

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "");
const sessions = [
  "ses_finish",
  "ses_crashd",
  "ses_capped",
  "ses_killed",
  "ses_active",
  "ses_broken",
  "old_tracer",
];

describe("otlp", () => {
  test.each(sessions)("%s: the official decoder reads every span back", async (id) => {
    const { code, out, err } = await command(commandDirectory(), ["export", id, "--format", "otlp"]);
    const spans = linesOf(out).flatMap(decodedSpans);
    expect(code).toBe(0);
    expect(spans.length).toBeGreaterThan(3);
    for (const span of spans) {
      expect(span.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
      expect(span.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/);
      expect(span.parentSpanId).toMatch(/^([0-9a-f]{16})?$/);
      expect(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)).toBe(true);
    }
    const ids = new Set(spans.map(({ spanId }) => spanId));
    const lost = spans.filter(({ parentSpanId }) => parentSpanId !== "" && !ids.has(parentSpanId));
    // A parent that runs is left out, one on a damaged line is lost.
    if (!["ses_active", "ses_broken", "old_tracer"].includes(id)) expect(lost).toEqual([]);
    // No empty id, which a strict reader refuses.
    expect(out).not.toContain('Id":""');
    // P14 A span that runs has no end: it is no part of the export, and the command reports it.
    expect(/left out/.test(err)).toBe(id === "ses_active" || id === "old_tracer");
  });

  test("a long session has several lines of at most 512 spans", async () => {
    const spans = Array.from(
      { length: 1_200 },
      (_, n): TraceSpan => ({
        ...rootSpan(),
        kind: "tool",
        parentSpanId: "root",
        spanId: `t${n}`,
        name: `tool ${n}`,
      }),
    );
    const { out } = await command(documentDirectory([rootSpan(), ...spans]), [
      "export",
      "latest",
      "-f",
      "otlp",
    ]);
    const counts = linesOf(out).map((line) => decodedSpans(line).length);
    expect(counts.slice(0, 2)).toEqual([512, 512]);
    // One more: the root of the turn, which a document does not hold.
    expect(counts.reduce((a, b) => a + b)).toBe(1_201);
  });
});

interface ChromeEvent {
  readonly name: string;
  readonly ph: string;
  readonly ts: number;
  readonly dur: number;
  readonly pid: number;
  readonly tid: number;
}

/** Events of one track that overlap without one being within the other. */
function crossings(events: readonly ChromeEvent[]): string[] {
  const found: string[] = [];
  const tracks = new Map<string, ChromeEvent[]>();
  for (const event of events) {
    const track = `${event.pid}/${event.tid}`;
    if (event.ph === "X") tracks.set(track, [...(tracks.get(track) ?? []), event]);
  }
  for (const track of tracks.values()) {
    const open: ChromeEvent[] = [];
    for (const event of [...track].sort((a, b) => a.ts - b.ts || b.dur - a.dur)) {
      while (open.length > 0 && end(open.at(-1)) <= event.ts) open.pop();
      if (open.length > 0 && end(open.at(-1)) < end(event))
        found.push(`${open.at(-1)?.name} and ${event.name}`);
      open.push(event);
    }
  }
  return found;
}
const end = (event: ChromeEvent | undefined): number => (event ? event.ts + event.dur : 0);

describe("chrome", () => {
  test("every event has the members of the format, and events of a track nest", async () => {
    const { out } = await command(commandDirectory(), ["export", ...sessions, "--format", "chrome"]);
    const { traceEvents, displayTimeUnit } = JSON.parse(out) as {
      traceEvents: ChromeEvent[];
      displayTimeUnit: string;
    };
    expect(displayTimeUnit).toBe("ms");
    for (const { name, ph, ts, dur, pid, tid } of traceEvents) {
      expect(name).toEqual(expect.any(String));
      expect(["X", "M"]).toContain(ph);
      expect(
        [ts, pid, tid, ph === "X" ? dur : 0].every((value) => Number.isSafeInteger(value) && value >= 0),
      ).toBe(true);
    }
    expect(new Set(traceEvents.map(({ pid }) => pid)).size).toBe(sessions.length);
    expect(crossings(traceEvents)).toEqual([]);
  });

  test("spans that overlap in any way nest in their tracks, and none is lost", () => {
    const span = fc.record({
      start: fc.integer({ min: 0, max: 30 }),
      length: fc.integer({ min: 0, max: 30 }),
      parent: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(span, { maxLength: 20 }), (given) => {
        const spans = given.map(
          ({ start, length, parent }, n): TraceSpan => ({
            spanId: `s${n}`,
            parentSpanId: parent === n || parent >= given.length ? "root" : `s${parent}`,
            name: `s${n}`,
            kind: "span",
            startTime: start,
            endTime: start + length,
            status: "ok",
          }),
        );
        const analysis = analyse(documentOf("ses", { spans: [rootSpan({ startTime: 0 }), ...spans] }));
        const events = [...chromeEvents({ id: "ses", whole: (span) => span }, analysis, 1)];
        expect(crossings(events as ChromeEvent[])).toEqual([]);
        expect(events.filter((event) => (event as ChromeEvent).ph === "X")).toHaveLength(given.length + 1);
      }),
    );
  });
});

test("jsonl has each span once, with its session and its turn", async () => {
  const { out } = await command(commandDirectory(), ["export", "ses_finish", "ses_crashd", "--json"]);
  const spans = linesOf(out).map((line) => JSON.parse(line));
  expect(new Set(spans.map(({ session, spanId }) => `${session} ${spanId}`)).size).toBe(spans.length);
  expect(spans).toHaveLength(32);
  for (const span of spans)
    expect(span).toMatchObject({ schema: "crash-safe-file/export/1", turn: expect.any(Number) });
});

test("Markdown of a hostile session has no HTML and no fence that its texts can end", async () => {
  const hostile = rootSpan({
    spanId: "m",
    kind: "user-message",
    parentSpanId: "root",
    input: "```\n</details><script>alert(1)</script>\n````",
  });
  const dir = documentDirectory([rootSpan(), hostile], {
    title: "<img src=x onerror=alert(1)> [a](javascript:b)",
  });
  const { out } = await command(dir, ["export", "latest", "--format", "md"]);
  expect(out).toContain("# \\<img src=x onerror=alert(1)\\> \\[a\\](javascript:b)");
  expect(out).toContain("`````\n```\n</details><script>alert(1)</script>\n````\n`````");
});

/** A directory with one document. */
function documentDirectory(spans: TraceSpan[], metadata = {}): string {
  const dir = emptyDirectory();
  writeFileSync(`${dir}/ses_1.json`, JSON.stringify(documentOf("ses_1", { spans, metadata })));
  return dir;
}

test("what can be read of several sessions is written, and a format is whole even where one cannot be read", async () => {
  const dir = commandDirectory();
  for (const order of [
    ["ses_finish", "ses_empty"],
    ["ses_empty", "ses_finish"],
  ]) {
    const { code, out, err } = await command(dir, ["export", ...order, "-f", "chrome"]);
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("is not a trace document") });
    expect(JSON.parse(out).traceEvents.length).toBeGreaterThan(5);
  }
  const { code, out } = await command(dir, ["export", "ses_empty", "-f", "chrome"]);
  expect({ code, out }).toEqual({ code: 1, out: "" });
});
