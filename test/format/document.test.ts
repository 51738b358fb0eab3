import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeDocument,
  decodeHead,
  decodeLine,
  decodeTail,
  encodeHead,
  encodeSpan,
  encodeTail,
  lineKey,
  tailStartIn,
  withoutComma,
} from "../../src/format/document.js";
import { inTrace, withTrace } from "../../src/format/span-map.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { isoTime } from "../../src/platform/epoch-time.js";
import { anyJsonText } from "../support/json-arbitraries.js";
import { anySpan, anyTail, encodeLine } from "../support/trace-arbitraries.js";

const withoutNewline = (line: Buffer): Buffer => line.subarray(0, -1);
/** What JSON makes of a value: -0 becomes 0, undefined members are removed. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value));

describe("document lines", () => {
  it("P6 decodes every span it encoded, as one line", () => {
    fc.assert(
      fc.property(anySpan, fc.nat(), (span, offset) => {
        const line = encodeLine(span);
        expect(line.indexOf(0x0a)).toBe(line.length - 1);
        const decoded = decodeLine(withoutNewline(line), offset);
        expect(decoded).toEqual({ type: "span", span: plain(span) });
        // The first line of a document has no comma.
        expect(decodeLine(withoutNewline(line.subarray(1)), offset)).toEqual(decoded);
      }),
      { numRuns: 1_000 },
    );
  });

  it("P6 classifies a line by its first and last bytes as by all of it", () => {
    const isPlain = (id = "") => /^[ !#-[\]-~]{0,256}$/.test(id);
    fc.assert(
      fc.property(anySpan, fc.boolean(), (span, isScanned) => {
        const line = encodeLine(span);
        const key = lineKey(isScanned ? withoutNewline(line) : line);
        const { spanId, traceId, interrupted } = span;
        if (key) expect(key).toEqual({ spanId, traceId, interrupted: interrupted === true });
        // An unclassified line is decoded whole.
        else expect(isPlain(spanId) && isPlain(traceId)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it("P6 takes no trace id from a content that looks like one", () => {
    const content = `x","traceId":"${"a".repeat(32)}"}`;
    for (const members of [{ statusMessage: content }, { output: content }, { attributes: { traceId: "a" } }])
      expect(lineKey(encodeLine({ ...span, ...members }))?.traceId).toBeUndefined();
    expect(lineKey(encodeLine({ ...span, output: content, traceId: "b" }))?.traceId).toBe("b");
  });

  it("P6 decodes an id with escapes from its whole line, never from its bytes", () => {
    expect(lineKey(encodeLine({ ...span, spanId: "zażółć" }))).toBeUndefined();
    expect(lineKey(encodeLine({ ...span, spanId: "x".repeat(257) }))).toBeUndefined();
    for (const traceId of ["zażółć", 'a"b', "x".repeat(257)])
      expect(lineKey(encodeLine({ ...span, traceId }))).toBeUndefined();
  });

  it("P6 never throws on arbitrary bytes", () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.string().map((text) => Buffer.from(text)),
      anyJsonText.map((text) => Buffer.from(`,${text}\n`)),
      fc.tuple(anySpan, fc.nat(), fc.nat({ max: 255 })).map(([span, at, byte]) => {
        const line = encodeLine(span);
        line[at % line.length] = byte;
        return line;
      }),
    );
    fc.assert(
      fc.property(bytes, fc.nat(), (given, offset) => {
        const line = Buffer.from(given);
        const decoded = decodeLine(line, offset);
        if (decoded.type === "span") expect(decoded.span.spanId).toMatch(/./s);
        decodeHead(line);
        decodeTail(line);
        tailStartIn(line);
        lineKey(line);
        withoutComma(line);
        decodeDocument(line.toString("utf8"));
      }),
      { numRuns: 5_000 },
    );
  });

  it("P6 classifies a line that is not UTF-8 as corrupt: strict readers refuse a whole document for one such byte", () => {
    const line = withoutNewline(encodeLine(span));
    line[line.indexOf("work")] = 0xff;
    expect(decodeLine(line, 9)).toEqual({ type: "corrupt" });
  });

  it("P6 sets no prototype, and keeps a member named __proto__", () => {
    const hostile = JSON.parse('{"spanId":"a","__proto__":{"polluted":true}}');
    const decoded = decodeLine(Buffer.from(JSON.stringify(hostile)), 0);
    expect(decoded.type).toBe("span");
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(encodeSpan(hostile as TraceSpan)).toContain('"__proto__"');
  });

  it("P6 classifies no span as a tail, whatever its content", () => {
    const offset = 1_234;
    const text = `],"metadata":{},"summary":{},"endedAt":"","layout":{"v":1,"tailStart":${offset}}}`;
    const spans: TraceSpan[] = [
      { ...span, input: text },
      { ...span, name: text },
      // Raw members that end exactly like a tail.
      { ...span, attributes: { layout: { v: 1, tailStart: offset } } },
      JSON.parse(`{"spanId":"a","summary":{},"layout":{"v":1,"tailStart":${offset}}}`),
    ];
    for (const given of spans) {
      expect(decodeLine(withoutNewline(encodeLine(given)), offset)).toEqual({ type: "span", span: given });
    }
  });

  it("P6 a value that JSON cannot represent loses only itself", () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const { span: decoded } = decodeLine(
      withoutNewline(encodeLine({ ...span, input: "good", output: circular })),
      0,
    ) as { span: TraceSpan };
    expect(decoded).toMatchObject({ spanId: span.spanId, input: "good" });
  });

  it("P6 encodes and decodes heads of any id", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
    fc.assert(
      fc.property(
        fc.option(text, { nil: undefined }),
        text,
        text,
        text,
        (id, traceId, sessionId, startedAt) => {
          const head = { id, traceId, sessionId, startedAt };
          expect(decodeHead(encodeHead(head))).toEqual(head);
          expect(encodeHead(head).indexOf(0x0a)).toBe(encodeHead(head).length - 1);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("P1 head, lines and tail form a whole document, and the tail names its own offset", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(anySpan, { selector: (s) => s.spanId, maxLength: 6 }),
        anyTail,
        (spans, tail) => {
          const head = encodeHead({ id: "i", traceId: "t", sessionId: "s", startedAt: "2025" });
          const lines = spans.map((span, index) => encodeLine(span).subarray(index === 0 ? 1 : 0));
          const body = Buffer.concat([head, ...lines]);
          const last = encodeTail(tail, body.length, spans.length === 0);
          const document = Buffer.concat([body, last]);
          expect(last.indexOf(0x0a)).toBe(last.length - 1);
          expect(tailStartIn(document.subarray(-64))).toBe(body.length);
          expect(decodeLine(withoutNewline(last), body.length)).toEqual({ type: "tail", tail: plain(tail) });
          expect(decodeDocument(document.toString("utf8"))?.spans).toEqual(plain([...spans, ...tail.spans]));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("P6 a tail at another offset than it names is no tail", () => {
    const tail = encodeTail(
      { spans: [], metadata: {}, summary: {} as never, endedAt: "", layout: { v: 1 } },
      100,
      true,
    );
    expect(decodeLine(withoutNewline(tail), 100).type).toBe("tail");
    expect(decodeLine(withoutNewline(tail), 101).type).toBe("corrupt");
  });

  it("P7 reads documents of other writers, and rejects everything else", () => {
    expect(decodeDocument('{"spans":[{"spanId":"u-1"},{"spanId":""},{"spanId":7},null,[]]}')).toMatchObject({
      version: 2,
      traceId: "",
      spans: [{ spanId: "u-1" }],
    });
    for (const text of ["", "{", "[]", "null", "7", '{"spans":{}}', '{"spans":null}', "\0\0\0"]) {
      expect(decodeDocument(text), text).toBeUndefined();
    }
  });

  it("writes a span's trace only where it differs, and makes times of any number", () => {
    expect(inTrace({ ...span, traceId: "t" }, "t")).toEqual(span);
    expect(inTrace({ ...span, traceId: "t" }, "u").traceId).toBe("t");
    expect(withTrace(inTrace({ ...span, traceId: "t" }, "t"), "t").traceId).toBe("t");
    expect(withTrace({ ...span, traceId: "t" }, "u").traceId).toBe("t");
    expect(withTrace(span, "")).toBe(span);
    fc.assert(fc.property(fc.double(), (millis) => isoTime(millis).endsWith("Z")));
    expect(isoTime(undefined)).toBe("1970-01-01T00:00:00.000Z");
  });
});

const span: TraceSpan = {
  spanId: "0123456789abcdef",
  parentSpanId: null,
  name: "work",
  kind: "span",
  startTime: 1,
  status: "ok",
};
