/** Spans by trace id and span id, in order of insertion. */
import { array, assert, constantFrom, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import { lineKey } from "../../src/format/document.js";
import { SpanMap } from "../../src/format/span-map.js";

const step = record({
  act: constantFrom("set", "set", "delete"),
  spanId: constantFrom("a", "b", "c"),
  traceId: constantFrom("1", "2", "3"),
});

describe("P7 a map of spans", () => {
  test("P7 holds what a map with both ids as one key holds, in the same order, also while entries are deleted", () => {
    assert(
      property(array(step, { maxLength: 40 }), (steps) => {
        const [spans, model] = [new SpanMap<number>(), new Map<string, number>()];
        for (const [at, { act, spanId, traceId }] of steps.entries()) {
          const key = `${traceId}/${spanId}`;
          if (act === "set") {
            spans.set({ spanId, traceId }, at);
            model.set(key, at);
          } else {
            expect(spans.delete({ spanId, traceId })).toBe(model.get(key));
            model.delete(key);
          }
          expect([...spans.values()]).toEqual([...model.values()]);
          expect(spans.size).toBe(model.size);
        }
        const seen: number[] = [];
        for (const value of spans.values()) {
          seen.push(value);
          const last = steps[value];
          if (last && value % 2 === 0) spans.delete(last);
        }
        expect(seen).toEqual([...model.values()]);
      }),
    );
  });
});

describe("P7 the key of a line", () => {
  const prefix = /^,?\{"spanId":"([ !#-[\]-~]{1,256})"(,"interrupted":true)?[,}]/;
  const suffix = /,"traceId":"([ !#-[\]-~]{0,256})"\}\n?$/;
  const piece = constantFrom(
    ",",
    '{"spanId":"',
    "0a1b",
    '"',
    ',"interrupted":true',
    ',"traceId":"',
    "}",
    "\n",
    "\\",
    "é",
    "x".repeat(128),
    ',"name":"n"',
    "",
  );

  test("P7 is in the first and the last bytes, as patterns of them say", () => {
    assert(
      property(array(piece, { maxLength: 12 }), (pieces) => {
        for (const text of [
          pieces.join(""),
          `,{"spanId":"${pieces.join("")}`,
          `{"spanId":"a",${pieces.join("")}"}`,
        ]) {
          const found = prefix.exec(text);
          const expected = found && {
            spanId: found[1],
            traceId: suffix.exec(text)?.[1],
            interrupted: found[2] !== undefined,
          };
          expect(lineKey(Buffer.from(text))).toEqual(expected ?? undefined);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
