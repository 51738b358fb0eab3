/** The head of a document, read from the first bytes of its file. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeLeadingHead } from "../../src/format/leading-head.js";
import { documentOf } from "../support/trace-documents.js";

const document = documentOf("ses_1", { metadata: { title: 'a "quoted" ]} \\ title' } });
const { id, traceId, sessionId, startedAt } = document;
const head = { type: "head", head: { id, traceId, sessionId, startedAt } };

describe("P9 decodeLeadingHead", () => {
  const layouts: Readonly<Record<string, string>> = {
    "on one line": JSON.stringify(document),
    "pretty-printed": JSON.stringify(document, null, 2),
    "with tabs and carriage returns": JSON.stringify(document, null, "\t").replaceAll("\n", "\r\n"),
    "after a byte-order mark": `\ufeff${JSON.stringify(document)}`,
    "with its spans before its ids": JSON.stringify(Object.fromEntries(Object.entries(document).reverse())),
  };

  test.each(Object.entries(layouts))("reads a document %s", (_, text) => {
    expect(decodeLeadingHead(text)).toEqual(head);
  });

  test.each(Object.entries(layouts))(
    "classifies the first bytes %s only as a document, wherever they are cut",
    (_, text) => {
      const found = Array.from({ length: text.length + 1 }, (_, end) =>
        decodeLeadingHead(text.slice(0, end)),
      );
      const certain = found.findIndex(({ type }) => type !== "cut");
      expect(found.slice(certain)).toEqual(found.slice(certain).map(() => head));
      expect(certain).toBeGreaterThan(0);
    },
  );

  test("reports that a text ends within the session id of a document, and in no other member", () => {
    const isCutInId = (text: string) => {
      const decoded = decodeLeadingHead(text);
      return decoded.type === "cut" && decoded.inId;
    };
    const long = "x".repeat(10_000);
    expect(isCutInId(`{"version":2,"id":"${long}`)).toBe(true);
    expect(isCutInId(`{\n  "version": 2,\n  "id": "${long}\\`)).toBe(true);
    expect(isCutInId(`{"id":"${long}`)).toBe(false);
    expect(isCutInId(`{"version":2,"id":"mine","title":"${long}`)).toBe(false);
    expect(isCutInId(`{"version":2,"mine":{"id":"${long}`)).toBe(false);
  });

  test.each([
    ["no object", "[]"],
    ["a number", "2"],
    ["an object that has ended", '{"name":"mine"}'],
    ["an empty object", "{}"],
    ["another version", '{"version":3,"'],
    ["a version in words", '{"version":"2.0.0","'],
    ["comments", "{ // mine\n"],
    ["a key that is no string", '{"version":2,traceId:"'],
    ["a value that is none", '{"version":2,"traceId":yes,"'],
    ["spans that are no list", JSON.stringify({ ...document, spans: {} })],
    ["a session id that is a number", JSON.stringify({ ...document, sessionId: 7 })],
    ["members of a member", JSON.stringify({ mine: document })],
  ])("classifies as foreign: %s", (_, text) => {
    expect(decodeLeadingHead(text)).toEqual({ type: "foreign" });
  });

  test("P6 never throws, and finds in any JSON what JSON.parse does", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void decodeLeadingHead(text)));
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(3), (members, indent) => {
        const { version: _v, spans: _s, id: _i, ...rest } = members;
        const whole = JSON.stringify({ ...rest, ...document, ...rest, version: 2, spans: [] }, null, indent);
        const parsed = JSON.parse(whole);
        const isHead = [parsed.traceId, parsed.sessionId, parsed.startedAt].every(
          (one) => typeof one === "string",
        );
        expect(decodeLeadingHead(whole).type).toBe(isHead ? "head" : "foreign");
      }),
    );
  });
});
