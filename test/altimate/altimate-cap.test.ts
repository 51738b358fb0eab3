/** The cap as a function of arrays of spans. */
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  capSpansForSerialization,
  MAX_SERIALIZED_SPANS,
  USER_MESSAGE_INPUT_MAX_CHARS,
} from "../../src/altimate/span-cap.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { rootSpan, toolSpan, toolSpans } from "../support/trace-documents.js";

const ids = (spans: readonly TraceSpan[]) => spans.map(({ spanId }) => spanId);
const isMarker = ({ name, kind }: TraceSpan) => kind === "span" && name.includes("elided");
const marker = (spans: readonly TraceSpan[]) => spans.find(isMarker) as TraceSpan;
/** A root and `count - 1` tool calls. */
const session = (count: number) => [rootSpan(), ...toolSpans(count - 1)];

test("the limits are altimate-code's", () => {
  expect(MAX_SERIALIZED_SPANS).toBe(5_000);
  expect(USER_MESSAGE_INPUT_MAX_CHARS).toBe(4_000);
});

describe("ALTIMATE_TRACE_MAX_SPANS", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });

  test("is the limit, and the default cap, of a program that starts with it", async () => {
    vi.stubEnv("ALTIMATE_TRACE_MAX_SPANS", "12");
    vi.resetModules();
    const loaded = await import("../../src/altimate/span-cap.js");
    expect(loaded.MAX_SERIALIZED_SPANS).toBe(12);
    expect(loaded.capSpansForSerialization(session(100))).toHaveLength(12);
  });
});

describe("the same array is returned", () => {
  test.each([
    ["it is empty", [], 10],
    ["it is shorter than the cap", session(9), 10],
    ["it is as long as the cap", session(10), 10],
    ["the cap is 0", session(10), 0],
    ["the cap is negative", session(10), -1],
    ["the cap is NaN", session(10), Number.NaN],
    ["there is no cap", session(10), Number.POSITIVE_INFINITY],
    ["nothing would be gained: a root and one span under a cap of 1", session(2), 1],
    ["nothing would be gained: three spans under a cap of 1", session(3), 1],
    ["it fits with an older marker in it", capSpansForSerialization(session(100), 10), 10],
  ] as const)("if %s", (_, spans, cap) => {
    const given = spans as TraceSpan[];
    expect(capSpansForSerialization(given, cap)).toBe(given);
  });

  test("if it fits the default cap, and not beyond it", () => {
    const full = session(MAX_SERIALIZED_SPANS);
    expect(capSpansForSerialization(full)).toBe(full);
    expect(capSpansForSerialization([...full, toolSpan(9_999)])).toHaveLength(MAX_SERIALIZED_SPANS);
  });

  test.each([undefined, null, 7, "spans", {}])("if it is no array but %s", (given) => {
    expect(capSpansForSerialization(given as never, 1)).toBe(given);
  });

  test("if its spans cannot be read", () => {
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("no");
        },
      },
    );
    const given = [rootSpan(), hostile, ...toolSpans(30)] as TraceSpan[];
    expect(capSpansForSerialization(given, 10)).toBe(given);
  });
});

describe("a session beyond the cap", () => {
  test("keeps its first 30 % and its last, with a marker between them", () => {
    const spans = session(100);
    const capped = capSpansForSerialization(spans, 10);
    expect(ids(capped)).toEqual([
      ...["root", "tool0", "tool1"],
      marker(capped).spanId,
      ...["tool93", "tool94", "tool95", "tool96", "tool97", "tool98"],
    ]);
    expect(spans).toEqual(session(100));
  });

  test("describes in the marker what was left out", () => {
    const capped = capSpansForSerialization(session(100), 10);
    expect(marker(capped)).toEqual({
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
      parentSpanId: "root",
      name: "91 spans elided",
      kind: "span",
      startTime: toolSpan(2).startTime,
      endTime: toolSpan(92).endTime,
      status: "ok",
      attributes: { elided: 91, totalSpans: 100 },
    });
  });

  test.each([0, 50, 99])("keeps its root, which is span %i of it", (at) => {
    const spans = toolSpans(99);
    spans.splice(at, 0, rootSpan());
    const capped = capSpansForSerialization(spans, 10);
    expect(ids(capped).filter((id) => id === "root")).toHaveLength(1);
    expect(capped).toHaveLength(10);
    expect(marker(capped).attributes).toEqual({ elided: 91, totalSpans: 100 });
  });

  test.each([1, 2, 3, 4])("keeps the first span, the marker and the last under a cap of %i", (cap) => {
    const capped = capSpansForSerialization(session(100), cap);
    const last = cap === 4 ? ["tool97", "tool98"] : ["tool98"];
    expect(ids(capped)).toEqual(["root", marker(capped).spanId, ...last]);
    expect(marker(capped).attributes).toEqual({ elided: 99 - last.length, totalSpans: 100 });
  });

  test.each([1, 2, 3, 4])("keeps the root between them under a cap of %i", (cap) => {
    const spans = toolSpans(99);
    spans.splice(50, 0, rootSpan());
    const capped = capSpansForSerialization(spans, cap);
    expect(ids(capped)).toEqual(["tool0", "root", marker(capped).spanId, "tool98"]);
    expect(marker(capped).attributes).toEqual({ elided: 97, totalSpans: 100 });
  });

  test("has a marker without a parent if it has no root", () => {
    const capped = capSpansForSerialization(toolSpans(100), 10);
    expect(capped).toHaveLength(10);
    expect(marker(capped).parentSpanId).toBeNull();
  });

  test("spans with invalid times do not change the marker's times", () => {
    const odd = [toolSpan(1, { startTime: Number.NaN }), toolSpan(2, { startTime: undefined as never })];
    const capped = capSpansForSerialization([rootSpan(), ...odd, ...toolSpans(30)], 4);
    expect(Number.isFinite(marker(capped).startTime)).toBe(true);
    expect(Number.isFinite(marker(capped).endTime)).toBe(true);
  });
});

describe("an older marker", () => {
  test("is absorbed: one marker replaces all spans that were ever left out", () => {
    const once = capSpansForSerialization(session(100), 10);
    const more = Array.from({ length: 50 }, (_, n) => toolSpan(1_000 + n));
    const twice = capSpansForSerialization([...once, ...more], 10);
    expect(twice.filter(isMarker)).toHaveLength(1);
    expect(marker(twice).attributes).toEqual({ elided: 141, totalSpans: 150 });
    expect(ids(twice).slice(0, 3)).toEqual(["root", "tool0", "tool1"]);
    expect(ids(twice).slice(4)).toEqual(ids(more.slice(-6)));
  });

  test("is absorbed at any place", () => {
    const old = marker(capSpansForSerialization(session(100), 10));
    for (const at of [0, 1, 20, 30]) {
      const spans = session(30);
      spans.splice(at, 0, old);
      const capped = capSpansForSerialization(spans, 10);
      expect(capped.filter(isMarker)).toHaveLength(1);
      expect(marker(capped).attributes).toEqual({ elided: 91 + 21, totalSpans: 91 + 30 });
    }
  });

  test("is not confused with a tool, or with a span of the agent about elided things", () => {
    const lookalikes = [
      toolSpan(500, { name: "3 spans elided", attributes: { elided: 3, totalSpans: 9 } }),
      toolSpan(501, { name: "3 spans elided", kind: "span" }),
      toolSpan(502, { name: "compaction", kind: "span", attributes: { elided: 3, totalSpans: 9 } }),
      toolSpan(503, { name: "elided", kind: "span", attributes: { elided: "3", totalSpans: 9 } }),
    ];
    const capped = capSpansForSerialization([...session(30), ...lookalikes], 10);
    expect(capped.slice(-4)).toEqual(lookalikes);
    expect(capped[3]?.attributes).toEqual({ elided: 25, totalSpans: 34 });
  });
});

test("is counted: whatever was capped before, no span is lost from the count, and the cap holds", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 6 }),
      fc.nat(),
      (cap, batches, seed) => {
        let spans: TraceSpan[] = [];
        let seen = 1;
        const rootAt = seed % ((batches[0] ?? 0) + 1);
        for (const [index, count] of batches.entries()) {
          spans = [...spans, ...Array.from({ length: count }, (_, n) => toolSpan(index * 100 + n))];
          if (index === 0) spans.splice(rootAt, 0, rootSpan());
          seen += count;
          spans = capSpansForSerialization(spans, cap);
          expect(spans.length).toBeLessThanOrEqual(Math.max(cap, 1));
          expect(spans.filter(({ parentSpanId }) => parentSpanId === null)).toHaveLength(1);
          const real = spans.filter((span) => !isMarker(span)).length;
          const elided = Number(marker(spans)?.attributes?.elided ?? 0);
          expect(real + elided).toBe(seen);
          expect(capSpansForSerialization(spans, cap)).toBe(spans);
        }
      },
    ),
  );
});
