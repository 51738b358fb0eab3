import { defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { isTracingSuppressed, W3CTraceContextPropagator } from "@opentelemetry/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UNTRACED } from "../../src/otel/untraced.js";
import { contextOf, headersOf } from "../../src/tracer/trace-context.js";

const official = new W3CTraceContextPropagator();
const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef0000"), minLength: length, maxLength: length });

/** Valid headers, nearly valid ones, and invalid ones. */
const traceparents = fc.oneof(
  fc.tuple(hex(2), hex(32), hex(16), hex(2)).map((parts) => parts.join("-")),
  fc
    .tuple(fc.constantFrom("00", "01", "ff", "cc", "0"), hex(32), hex(16), hex(2), fc.string())
    .map((parts) => parts.join("-")),
  fc.tuple(hex(31), hex(17)).map(([traceId, spanId]) => ` 00-${traceId}-${spanId}-01 `),
  fc.string(),
);
/** No key is repeated, which the specification forbids: the propagator uses the last one, the API's own the first. */
const tracestates = fc
  .oneof(
    fc.string(),
    fc.constantFrom("", "a=1", "a=1,b=2", " a=1 ,, b=2", "A=1", "a@b=c d", "a=", "=a", "x".repeat(600)),
    fc
      .array(fc.tuple(fc.stringMatching(/^[a-z][a-z0-9_*/-]{0,4}$/), fc.string({ maxLength: 4 })), {
        maxLength: 40,
      })
      .map((members) => members.map((member) => member.join("=")).join(",")),
  )
  .filter((text) => {
    const keys = text.split(",").map((member) => member.trim().split("=")[0]);
    return new Set(keys).size === keys.length;
  });

describe("trace context", () => {
  it("is read as OpenTelemetry's own propagator reads it", () => {
    fc.assert(
      fc.property(traceparents, tracestates, (traceparent, tracestate) => {
        const theirs = trace.getSpanContext(
          official.extract(ROOT_CONTEXT, { traceparent, tracestate }, defaultTextMapGetter),
        );
        const context = contextOf({ traceparent, tracestate });
        const ours = context && trace.getSpanContext(context);
        const plain = (span = theirs) =>
          span && { ...span, traceState: span.traceState?.serialize() || undefined };
        expect(plain(ours)).toEqual(plain(theirs));
      }),
      { numRuns: 2_000 },
    );
  });

  it("is written as OpenTelemetry's own propagator writes it", () => {
    fc.assert(
      fc.property(traceparents, tracestates, fc.nat(255), (traceparent, tracestate, traceFlags) => {
        const context = contextOf({ traceparent, tracestate });
        const span = context && trace.getSpanContext(context);
        if (!span) return;
        // For flags beyond the first four bits the propagator writes three digits, which no reader accepts.
        const here = trace.setSpanContext(ROOT_CONTEXT, { ...span, traceFlags: traceFlags & 0x0f });
        const theirs: Record<string, string> = {};
        official.inject(here, theirs, defaultTextMapSetter);
        if (theirs.tracestate === "") delete theirs.tracestate;
        expect(headersOf(here)).toEqual(theirs);
      }),
      { numRuns: 2_000 },
    );
  });

  it("has no headers without a span", () => {
    expect(headersOf(ROOT_CONTEXT)).toBeUndefined();
    const invalid = { traceId: "0".repeat(32), spanId: "1".repeat(16), traceFlags: 1 };
    expect(headersOf(trace.setSpanContext(ROOT_CONTEXT, invalid))).toBeUndefined();
  });

  it("marks exporters' own work as the SDK does", () => {
    expect(isTracingSuppressed(UNTRACED)).toBe(true);
  });
});
