/** What the viewer computes by itself: the tree, filters, the time axis, the critical path, links, parts of messages. */
import { describe, expect, test } from "vitest";
import type { SessionView, ViewHead, ViewRow } from "../../src/cli/session-view.js";
import { binaryText, bytesIn, isImage } from "../../src/viewer/binary-text.js";
import { criticalPath } from "../../src/viewer/critical-path.js";
import { linkHash, readLink } from "../../src/viewer/deep-link.js";
import { lastUserParts, messagesOf, partsOf } from "../../src/viewer/message-parts.js";
import { changedRows, noFilter, sessionRows, treeRows } from "../../src/viewer/session-rows.js";
import {
  gapsOf,
  panned,
  placeOf,
  ticksOf,
  timeAt,
  timeAxis,
  wholeAxis,
  zoomed,
} from "../../src/viewer/time-axis.js";

type Given = Partial<ViewRow> & Pick<ViewRow, "n" | "start">;

const row = ({ n, start, end = start + 10, ...more }: Given): ViewRow => ({
  n,
  spanId: `s${n}`,
  kind: "tool",
  name: `tool ${n}`,
  state: "ok",
  start,
  end,
  ms: end - start,
  turn: 1,
  ...more,
});

const view = (rows: readonly ViewRow[], to = 1_000): SessionView => ({
  head: { from: 0, to, turns: [], elided: 0 } as unknown as ViewHead,
  rows,
});

describe("the tree", () => {
  const rows = [
    row({ n: 0, start: 0, end: 1_000, kind: "session" }),
    row({ n: 1, start: 10, end: 500, parent: 0, kind: "generation" }),
    row({ n: 2, start: 20, end: 300, parent: 1, gist: "npm test" }),
    row({ n: 3, start: 600, end: 900, parent: 0, state: "failed", error: "no such file" }),
  ];
  const shown = (closed: readonly number[], filter = {}) =>
    treeRows(sessionRows(view(rows)), new Set(closed), { ...noFilter, ...filter }).map(
      ({ row: { n }, depth, isMatch }) => `${n}@${depth}${isMatch ? "" : "?"}`,
    );

  test("is in order of start below each parent; closed rows hide what is below them", () => {
    expect(shown([])).toEqual(["0@0", "1@1", "2@2", "3@1"]);
    expect(shown([1])).toEqual(["0@0", "1@1", "3@1"]);
    expect(shown([0])).toEqual(["0@0"]);
  });

  test("filters hide, and keep what is above a match", () => {
    expect(shown([], { text: "NPM" })).toEqual(["0@0?", "1@1?", "2@2"]);
    expect(shown([], { text: "such" })).toEqual(["0@0?", "3@1"]);
    expect(shown([], { states: new Set(["failed"]) })).toEqual(["0@0?", "3@1"]);
    expect(shown([], { kinds: new Set(["generation"]) })).toEqual(["0@0?", "1@1"]);
    expect(shown([], { minMs: 400 })).toEqual(["0@0", "1@1"]);
    expect(shown([], { text: "elsewhere", found: new Map([[2, true]]) })).toEqual(["0@0?", "1@1?", "2@2"]);
    expect(shown([], { text: "nothing" })).toEqual([]);
  });

  test("a change replaces rows under their numbers, adds new ones, and leaves the session before as it was", () => {
    const before = sessionRows(view(rows));
    const after = changedRows(
      before,
      view([row({ n: 3, start: 600, parent: 1 }), row({ n: 4, start: 5, parent: 0 })]),
    );
    expect(treeRows(after, new Set(), noFilter).map(({ row: { n } }) => n)).toEqual([0, 4, 1, 2, 3]);
    expect(before.rows).toHaveLength(4);
    expect(before.byNumber.get(3)?.state).toBe("failed");
  });

  test("20,000 levels take no call stack, and a missing parent makes a root", () => {
    const deep = Array.from({ length: 20_000 }, (_, n) =>
      row({ n, start: n, end: 50_000 - n, ...(n > 0 && { parent: n - 1 }) }),
    );
    const session = sessionRows(view(deep, 60_000));
    expect(treeRows(session, new Set(), noFilter)).toHaveLength(20_000);
    expect(treeRows(session, new Set(), { ...noFilter, text: "tool 19999" })).toHaveLength(20_000);
    expect(criticalPath(session).size).toBe(20_000);
    expect(sessionRows(view([row({ n: 1, start: 0, parent: 99 })])).roots).toHaveLength(1);
  });
});

describe("the time axis", () => {
  const rows = [
    row({ n: 0, start: 0, end: 100_000, kind: "session" }),
    row({ n: 1, start: 0, end: 10_000 }),
    row({ n: 2, start: 2_000, end: 4_000 }),
    row({ n: 3, start: 90_000, end: 100_000 }),
  ];

  test("folds times without a span, and keeps the order of moments", () => {
    expect(gapsOf(rows, 100_000)).toEqual([{ from: 10_000, to: 90_000 }]);
    const axis = timeAxis(rows, 0, 100_000, true);
    expect(axis.folded).toEqual([{ from: 10_000, to: 90_000 }]);
    expect(placeOf(axis, 10_000)).toBeCloseTo(0.4925);
    expect(placeOf(axis, 90_000)).toBeCloseTo(0.5075);
    expect([placeOf(axis, -5), placeOf(axis, 0), placeOf(axis, 100_000), placeOf(axis, 1e15)]).toEqual([
      0, 0, 1, 1,
    ]);
    for (const time of [0, 1_234, 9_999, 50_000, 95_000, 100_000])
      expect(timeAt(axis, placeOf(axis, time))).toBeCloseTo(time, 3);
    const unfolded = timeAxis(rows, 0, 100_000, false);
    expect(unfolded.folded).toEqual([]);
    expect(placeOf(unfolded, 50_000)).toBe(0.5);
  });

  test("a session of one moment, without spans, or with a span that runs has an axis", () => {
    for (const given of [[], [row({ n: 1, start: 0, end: 0 })]]) {
      const axis = timeAxis(given, 0, 0, true);
      expect(placeOf(axis, 0)).toBe(0);
      expect(ticksOf(axis, wholeAxis, 6).length).toBeGreaterThan(0);
    }
    const { end: _, ...running } = row({ n: 1, start: 0 });
    expect(gapsOf([running, row({ n: 2, start: 9_000 })], 20_000)).toEqual([]);
  });

  test("ticks are at round offsets, do not touch, and are none inside of a fold", () => {
    const axis = timeAxis(rows, 0, 100_000, true);
    const ticks = ticksOf(axis, wholeAxis, 6);
    expect(ticks.map(({ offset }) => offset)).toEqual([0, 5_000, 10_000, 95_000, 100_000]);
    const places = ticks.map(({ place }) => place);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  test("zoom and pan stay on the axis", () => {
    expect(zoomed(wholeAxis, 0.5, 0.25)).toEqual({ from: 0.125, to: 0.625 });
    expect(zoomed({ from: 0.4, to: 0.6 }, 100, 0.5)).toEqual({ from: 0, to: 1 });
    expect(panned({ from: 0.5, to: 1 }, 5)).toEqual({ from: 0.5, to: 1 });
    expect(panned({ from: 0.5, to: 1 }, -5)).toEqual({ from: 0, to: 0.5 });
  });
});

test("the critical path goes back from the end: what ended last, then what ended before that began", () => {
  const session = sessionRows(
    view([
      row({ n: 0, start: 0, end: 1_000, kind: "session" }),
      row({ n: 1, start: 0, end: 400, parent: 0 }),
      row({ n: 2, start: 100, end: 300, parent: 0 }),
      row({ n: 3, start: 450, end: 1_000, parent: 0 }),
      row({ n: 4, start: 460, end: 700, parent: 3 }),
      row({ n: 5, start: 460, end: 900, parent: 3 }),
    ]),
  );
  expect([...criticalPath(session)].sort()).toEqual([0, 1, 3, 5]);
});

test("a link and its text say the same; what is unknown in one is ignored", () => {
  for (const link of [
    { session: "ses 1&x", view: "log", span: "0a", search: "a b" },
    { view: "overview" },
  ] as const)
    expect(readLink(linkHash(link))).toEqual(link);
  expect(readLink("#span=0a")).toEqual({ view: "timeline", span: "0a" });
  expect(readLink("#view=novel&x=%zz")).toEqual({ view: "overview" });
});

describe("parts of messages", () => {
  test("plain text, GenAI, OpenAI, Anthropic and the AI SDK", () => {
    expect(partsOf("Hello")).toEqual([{ type: "text", text: "Hello" }]);
    expect(
      partsOf(
        JSON.stringify([
          {
            role: "assistant",
            parts: [
              { type: "text", content: "Hi" },
              { type: "tool_call", name: "bash", arguments: { x: 1 } },
            ],
          },
        ]),
      ),
    ).toEqual([
      { type: "text", text: "Hi" },
      { type: "call", name: "bash", input: { x: 1 } },
    ]);
    expect(
      partsOf({
        role: "assistant",
        content: null,
        tool_calls: [{ type: "function", function: { name: "grep", arguments: '{"a":1}' } }],
      }),
    ).toEqual([{ type: "call", name: "grep", input: { a: 1 } }]);
    expect(
      partsOf([
        { type: "thinking", thinking: "hm" },
        { type: "tool_use", name: "read", input: {} },
      ]),
    ).toEqual([
      { type: "thinking", text: "hm" },
      { type: "call", name: "read", input: {} },
    ]);
    expect(partsOf({ text: "done", toolCalls: [{ type: "tool-call", toolName: "edit", args: {} }] })).toEqual(
      [
        { type: "text", text: "done" },
        { type: "call", name: "edit", input: {} },
      ],
    );
  });

  test("another value stays a value, whatever it is", () => {
    for (const value of [7, true, { novel: 1 }]) expect(partsOf(value)).toEqual([{ type: "value", value }]);
    for (const nothing of [undefined, null, "", []]) expect(partsOf(nothing)).toEqual([]);
    expect(partsOf("[not json")).toEqual([{ type: "text", text: "[not json" }]);
    expect(messagesOf([{ role: "user", content: "a" }, 5])).toEqual([]);
    expect(
      lastUserParts([
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ]),
    ).toEqual([{ type: "text", text: "a" }]);
  });
});

test("base64 is described, and other long texts are not", () => {
  const bytes = Buffer.from(Array.from({ length: 3_000 }, (_, at) => (at * 7_919 + (at >> 3)) % 256));
  const text = bytes.toString("base64");
  expect(binaryText(text)).toMatchObject({ mediaType: undefined, bytes: 3_000 });
  const png = binaryText(`data:image/png;base64,${text}`);
  expect(png).toMatchObject({ mediaType: "image/png" });
  expect(png && isImage(png)).toBe(true);
  expect(png && Buffer.from(bytesIn(png) as Uint8Array).equals(bytes)).toBe(true);
  const svg = binaryText(`data:image/svg+xml;base64,${text}`);
  expect(svg && isImage(svg)).toBe(false);
  for (const plain of [
    "a".repeat(1_000),
    "word ".repeat(100),
    "0123456789abcdef".repeat(60),
    "short",
    "/usr/lib/x".repeat(50),
  ])
    expect(binaryText(plain)).toBeUndefined();
});
