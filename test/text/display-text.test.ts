/** Text of traces on a terminal: nothing in it moves the cursor, and columns are counted as terminals do. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  cut,
  oneLine,
  safeText,
  shortDuration,
  valueLine,
  widthOf,
  wrap,
} from "../../src/text/display-text.js";

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc
    .array(
      fc.constantFrom("\x1b[31m", "\x9b2J", "\r", "\u202e", "👩‍👩‍👧", "漢", "e\u0301", "a", " ", "\ud800"),
      { maxLength: 60 },
    )
    .map((parts) => parts.join("")),
);

test("P9 a text of a trace has no control character and no mark that reorders text", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const codes = [...safeText(text)].map((character) => character.codePointAt(0) ?? 0);
      const isControl = (code: number) =>
        (code < 0x20 && code !== 0x0a && code !== 0x09) || (code >= 0x7f && code < 0xa0);
      const isReordering = (code: number) =>
        (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
      expect(codes.filter((code) => isControl(code) || isReordering(code))).toEqual([]);
      expect(safeText(text).isWellFormed()).toBe(true);
      expect(oneLine(text)).not.toMatch(/[\n\t]/);
    }),
  );
  expect(oneLine("a\x1b]0;title\x07b")).toBe("a␛]0;title␇b");
  expect(valueLine({ command: "ls\n-l" })).toBe('{"command":"ls\\n-l"}');
});

test("a cut text fits, and begins as the text", () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 1, max: 40 }), (given, columns) => {
      const text = oneLine(given);
      const shown = cut(text, columns);
      expect(widthOf(shown)).toBeLessThanOrEqual(columns);
      if (widthOf(text) <= columns) expect(shown).toBe(text);
      else expect(text.startsWith(shown.slice(0, -1))).toBe(true);
    }),
  );
});

test("wrapped lines fit, and lose nothing but spaces", () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 2, max: 40 }), (text, columns) => {
      const lines = wrap(text, columns);
      for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(Math.max(columns, 2));
      const bare = (one: string) => one.replace(/\s/g, "");
      expect(bare(lines.join(""))).toBe(bare(safeText(text)));
    }),
  );
});

test("durations are never 60.0s, and never 60 minutes", () => {
  const shown = [0, 999, 1_000, 59_949, 59_999, 3_599_499, 3_599_999, 86_399_000, 86_400_000, Number.NaN].map(
    shortDuration,
  );
  expect(shown).toEqual(["0ms", "999ms", "1.0s", "59.9s", "1m00s", "59m59s", "1h00m", "23h59m", "1d0h", "?"]);
});

test("a word of a megabyte is wrapped in linear time", () => {
  expect(wrap("x".repeat(1_000_000), 80)).toHaveLength(12_500);
  expect(wrap("é".repeat(100_000), 80)).toHaveLength(1_250);
});
