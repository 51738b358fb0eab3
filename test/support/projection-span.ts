import { readdirSync, readFileSync } from "node:fs";
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

const folder = new URL("../fixtures/spans/", import.meta.url);

/** What `fixtures/capture` recorded: names of clients with their versions. */
export const captures: readonly string[] = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));

/** Spans of a real instrumentation, in order of completion. `start`: the name of the client, with as much of its version as needed. */
export function capturedSpans(start: string): ReadableSpan[] {
  const [name, ...others] = captures.filter((one) =>
    one.startsWith(start.includes("@") ? start : `${start}@`),
  );
  if (name === undefined || others.length > 0) throw new Error(`${start}: ${[name, ...others]}`);
  const spans = JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as CapturedSpan[];
  return spans.map((span) => ({ ...span, spanContext: () => span.spanContext }));
}

/** The only captured span that fits. */
export function capturedSpan(name: string, fits: (span: ReadableSpan) => boolean): ReadableSpan {
  const span = capturedSpans(name).find(fits);
  if (span === undefined) throw new Error(`${name}.json has no such span`);
  return span;
}
