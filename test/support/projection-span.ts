import { readFileSync } from "node:fs";
import type { ReadableSpan } from "../../src/otel/types.js";

export const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
export const SPAN_ID = "b7ad6b7169203331";

/** An ended span without special values. */
export function spanOf(members: Partial<ReadableSpan> = {}): ReadableSpan {
  return {
    name: "work",
    kind: 0,
    spanContext: () => ({ traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: 1 }),
    startTime: [1_750_000_000, 0],
    endTime: [1_750_000_001, 500_000_000],
    status: { code: 0 },
    attributes: {},
    links: [],
    events: [],
    duration: [1, 500_000_000],
    ended: true,
    resource: { attributes: {} },
    instrumentationScope: { name: "" },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
    ...members,
  };
}

type CapturedSpan = Omit<ReadableSpan, "spanContext"> & {
  spanContext: ReturnType<ReadableSpan["spanContext"]>;
};

/** Spans of a real instrumentation, as `fixtures/capture` recorded them. */
export function capturedSpans(name: string): ReadableSpan[] {
  const file = new URL(`../fixtures/spans/${name}.json`, import.meta.url);
  const spans = JSON.parse(readFileSync(file, "utf8")) as CapturedSpan[];
  return spans.map((span) => ({ ...span, spanContext: () => span.spanContext }));
}

/** The only captured span that fits. */
export function capturedSpan(name: string, fits: (span: ReadableSpan) => boolean): ReadableSpan {
  const span = capturedSpans(name).find(fits);
  if (span === undefined) throw new Error(`${name}.json has no such span`);
  return span;
}
