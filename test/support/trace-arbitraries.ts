/** Arbitrary spans and tails for property tests. */
import fc from "fast-check";
import { type DocumentTail, encodeLineIntoScratch, encodeSpan } from "../../src/format/document.js";
import type { SpanKind, TraceSpan } from "../../src/format/trace-file.js";
import { anyJson, readableKey } from "./json-arbitraries.js";

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.constantFrom('"', "\\", "\n", '{"spanId":"x"}', ',"traceId":"x"}', '","traceId":"x"}'),
);
const hexId = fc
  .array(fc.integer({ min: 0, max: 15 }), { minLength: 16, maxLength: 16 })
  .map((digits) => digits.map((digit) => digit.toString(16)).join(""));
const kinds: SpanKind[] = ["generation", "tool", "text", "user-message", "span"];
/** Numbers that JSON represents exactly. */
const time = fc.integer({ min: 0, max: 2_000_000_000_000 });

const required = {
  // Ids are hexadecimal in documents of this library, any text in documents of other writers.
  spanId: fc.oneof(
    { weight: 3, arbitrary: hexId },
    text.filter((id) => id !== ""),
  ),
  parentSpanId: fc.option(hexId),
  name: text,
  kind: fc.constantFrom(...kinds),
  startTime: time,
  status: fc.constantFrom("ok" as const, "error" as const),
};

const optional = {
  endTime: time,
  statusMessage: text,
  interrupted: fc.constant(true as const),
  cost: fc.integer(),
  finishReason: text,
  input: anyJson,
  output: anyJson,
  attributes: fc.dictionary(text.filter((key) => key !== "__proto__").map(readableKey), anyJson),
  traceId: text,
};

export const anySpan: fc.Arbitrary<TraceSpan> = fc.record(
  { ...required, ...optional },
  { requiredKeys: Object.keys(required) as (keyof typeof required)[] },
) as fc.Arbitrary<TraceSpan>;

export const anyTail: fc.Arbitrary<DocumentTail> = fc.record({
  spans: fc.array(anySpan, { maxLength: 3 }),
  metadata: fc.record({ title: text, prompt: text }, { requiredKeys: [] }),
  summary: fc.record({
    status: fc.constantFrom("running", "completed"),
    duration: time,
  }) as fc.Arbitrary<never>,
  endedAt: text,
  layout: fc.constant({ v: 1 as const }),
});

/** A span's line, to keep. */
export const encodeLine = (span: TraceSpan): Buffer =>
  encodeLineIntoScratch(encodeSpan(span), "of no span", (line) => Buffer.from(line));
