/** Long base64 is left out of passes over characters, and every text comes out as it went in. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { partsOf, StandIns } from "../../src/format/base64-runs.js";
import { encodeLineIntoScratch, encodeSpan, isSameJson, spanJson } from "../../src/format/document.js";
import {
  hasLongText,
  inertJson,
  jsonBytes,
  jsonCopy,
  LongJson,
  longJson,
} from "../../src/format/long-json.js";
import type { TraceSpan } from "../../src/format/trace-file.js";

const long = randomBytes(150_000).toString("base64");
const url = randomBytes(150_001).toString("base64url");

/** Texts with long base64 in any place, beside characters that take an escape, one, two or four bytes. */
const piece = fc.oneof(
  fc.constantFrom(
    long,
    url,
    long.slice(7),
    "=",
    "==",
    '"',
    "\\",
    "\n",
    "\u0000",
    "é",
    "→",
    "😀",
    "\ud83d",
    "\udc00",
  ),
  fc.string({ unit: "binary", maxLength: 50 }),
);
const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { weight: 3, arbitrary: text },
    fc.double(),
    fc.constantFrom(null, true),
    fc.array(tie("any"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("__proto__", "toJSON", "0", "1")), tie("any"), {
      maxKeys: 3,
    }),
  ),
})).any;
const runs = { numRuns: 200 };

describe("P14 a text with long base64", () => {
  it("P14 is the sum of its parts", () => {
    fc.assert(
      fc.property(text, (given) => {
        expect(
          partsOf(given)
            .map((part) => part.text)
            .join("") === given,
        ).toBe(true);
        for (const part of partsOf(given)) if (part.isBase64) expect(part.text).toMatch(/^[\w+/-]+$/);
        const standIns = new StandIns();
        expect(standIns.pieces(standIns.of(given)).join("") === given).toBe(true);
        expect(standIns.resolve(standIns.of(given)) === given).toBe(true);
      }),
      runs,
    );
  });

  it("P14 has a stand-in for all of it but the ends", () => {
    for (const given of [long, url, `data:image/png;base64,${long}`]) {
      const standIn = new StandIns().of(given);
      expect(standIn.length).toBeLessThan(40_000);
    }
    expect(new StandIns().ofJson(JSON.stringify({ a: `data:image/png;base64,${long}` })).length).toBeLessThan(
      100,
    );
  });

  it("P14 has no part that is only like base64: wide characters with such a lower byte, spaces, line breaks", () => {
    for (const given of [
      "ŁłŃń".repeat(50_000),
      `${"A".repeat(99)} `.repeat(2_000),
      `${"A".repeat(76)}\n`.repeat(2_000),
    ])
      expect(partsOf(given)).toEqual([{ text: given, isBase64: false }]);
    const hidden = `${"A".repeat(40_001)}\u0141${"A".repeat(100_000)}`;
    expect(encodeSpan(spanOf(hidden))).toBe(JSON.stringify(spanOf(hidden)));
  });
});

const spanOf = (input: unknown): TraceSpan => ({
  spanId: "0000000000000001",
  parentSpanId: null,
  name: "s",
  kind: "span",
  startTime: 1,
  status: "ok",
  input,
  traceId: "1".repeat(32),
});

describe("P14 the JSON of a value with long base64", () => {
  it("P14 is that of JSON.stringify", () => {
    fc.assert(
      fc.property(value, (given) => {
        const plain = JSON.stringify(given);
        expect(String(longJson(given)) === plain).toBe(true);
        expect(jsonBytes(given)).toBe(Buffer.byteLength(plain));
        expect(JSON.stringify(jsonCopy(given)) === plain).toBe(true);
      }),
      runs,
    );
  });

  it("P14 becomes the same line of a document", () => {
    fc.assert(
      fc.property(value, (given) => {
        const span = spanOf(given);
        const { traceId, ...rest } = span;
        const line = encodeLineIntoScratch(spanJson(span), traceId as string, (bytes) => bytes.toString());
        expect(line === `,${JSON.stringify(rest)}\n`).toBe(true);
        const other = encodeLineIntoScratch(spanJson(span), "2".repeat(32), (bytes) => bytes.toString());
        expect(other === `,${JSON.stringify(span)}\n`).toBe(true);
        expect(isSameJson(spanJson(span), spanJson(structuredClone(span)))).toBe(true);
      }),
      runs,
    );
  });

  it("P14 differs where the base64 differs", () => {
    const json = longJson({ a: long });
    expect(json).toBeInstanceOf(LongJson);
    const other = `${long.slice(0, 100_000)}x${long.slice(100_001)}`;
    expect(isSameJson(json, longJson({ a: other }))).toBe(other === long);
    expect(isSameJson(json, longJson({ b: long }))).toBe(false);
    expect(hasLongText({ a: [{ b: long }] })).toBe(true);
    expect(hasLongText({ a: [{ b: long.slice(0, 60_000) }] })).toBe(false);
  });
});

describe("P14 bytes become base64", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, index) => index % 256);
  const expected = Buffer.from(bytes).toString("base64");
  const part = new Uint8Array(new Uint8Array([9, ...bytes, 9]).buffer, 1, 300);

  it.each<[string, unknown]>([
    ["Uint8Array", bytes],
    ["a view of a part", part],
    ["Buffer", Buffer.from(bytes)],
    ["Uint8ClampedArray", new Uint8ClampedArray(bytes)],
    ["DataView", new DataView(part.buffer, 1, 300)],
    ["ArrayBuffer", bytes.buffer],
    ["SharedArrayBuffer", sharedCopy(bytes)],
    ["a Buffer that went through JSON", JSON.parse(JSON.stringify(Buffer.from(bytes)))],
    ["a Uint8Array that went through JSON", JSON.parse(JSON.stringify(bytes))],
  ])("P14 %s", (_, given) => {
    expect(inertJson({ image: [given] })).toEqual({ image: [expected] });
    expect(jsonCopy({ image: [given] })).toEqual({ image: [expected] });
  });

  it.each<[string, object]>([
    ["few numbers under consecutive keys", { 0: 1, 1: 2 }],
    [
      "numbers that are no bytes",
      Object.fromEntries(Array.from({ length: 100 }, (_, index) => [index, index * 3])),
    ],
    ["bytes and another member", { ...Array.from({ length: 100 }, () => 7), name: "x" }],
    ["a list of numbers", Array.from({ length: 100 }, () => 7)],
    ["an object of type Buffer without data", { type: "Buffer", data: "none" }],
  ])("P14 but not %s", (_, given) => {
    expect(jsonCopy(given)).toEqual(JSON.parse(JSON.stringify(given)));
  });
});

function sharedCopy(bytes: Uint8Array): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  return shared;
}
