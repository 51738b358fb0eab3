/** The log of the viewer: starts and ends in the order of time. */
import { expect, test } from "vitest";
import type { ViewRow } from "../../src/cli/session-view.js";
import { logEntries } from "../../src/viewer/log-entries.js";

const row = (n: number, start: number, end: number | undefined, over: Partial<ViewRow> = {}): ViewRow => ({
  ...{ n, spanId: String(n), kind: "tool", name: `s${n}`, state: "ok", start, turn: 1 },
  ms: (end ?? start) - start,
  ...(end !== undefined && { end }),
  ...over,
});

const lines = (...rows: ViewRow[]) => logEntries(rows).map(({ type, row: { n } }) => `${type} ${n}`);

test("P14 a span that was interrupted or failed at its start has an end, and inner ends come first", () => {
  const cut = { state: "cut" } as const;
  expect(lines(row(0, 0, 9, cut), row(1, 1, 9, cut), row(2, 9, 9, cut))).toEqual([
    ...["start 0", "start 1", "start 2"],
    ...["end 2", "end 1", "end 0"],
  ]);
  expect(lines(row(0, 5, 5, { state: "failed" }))).toEqual(["start 0", "end 0"]);
});

test("an end comes before the starts of its moment, and a message of a user before what it starts", () => {
  const message = row(2, 5, 5, { kind: "user-message" });
  expect(lines(row(0, 1, 5), row(1, 5, 7), message, row(3, 5, 5))).toEqual([
    ...["start 0", "end 0", "moment 2", "start 1", "moment 3", "end 1"],
  ]);
  expect(lines(row(0, 1, undefined))).toEqual(["start 0"]);
});
