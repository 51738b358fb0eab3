/**
 * Limits of altimate-code's documents, and the cap as a function on arrays of spans.
 */
import { createHash } from "node:crypto";
import type { TraceSpan } from "../format/trace-file.js";
import { environment } from "../platform/environment.js";
import { resolveMaxSpans } from "./defaults.js";

/** Spans of a document: 5000, or a positive `ALTIMATE_TRACE_MAX_SPANS` at the time this module was loaded. */
export const MAX_SERIALIZED_SPANS: number = resolveMaxSpans(environment());

/** Characters that are kept of a user's message. The viewer compares this number of characters with the prompt. */
export const USER_MESSAGE_INPUT_MAX_CHARS = 4_000;

/**
 * Returns the first 30 % of a session's spans and the last ones, at least one of each, with one marker between them that
 * has the number of spans left out. The root is kept, in place of the oldest of the last spans if necessary. The new marker includes the
 * number of an older marker. Returns the given array if it fits, if `cap` is not positive, or if the result would not be
 * shorter. Does not change the array. Never throws.
 */
export function capSpansForSerialization(
  spans: TraceSpan[],
  cap: number = MAX_SERIALIZED_SPANS,
): TraceSpan[] {
  try {
    return capped(spans, Math.floor(cap));
  } catch {
    // Hostile spans: the code that encodes the spans handles each span by itself.
    return spans;
  }
}

function capped(spans: TraceSpan[], cap: number): TraceSpan[] {
  if (!Array.isArray(spans) || !(cap > 0) || spans.length <= cap) return spans;
  const real = spans.filter((span) => elidedBy(span) === undefined);
  const elidedBefore = spans.reduce((sum, span) => sum + (elidedBy(span) ?? 0), 0);
  const head = Math.max(1, Math.floor(0.3 * cap));
  let tailStart = Math.max(head, real.length - Math.max(1, cap - head - 1));
  const root = real.findIndex((span) => span?.parentSpanId === null);
  const rootBetween = () => root >= head && root < tailStart;
  // The root replaces one of the last spans, unless only one of them is kept.
  if (rootBetween() && tailStart < real.length - 1) tailStart++;
  const kept = [...real.slice(0, head), ...(rootBetween() ? [real[root] as TraceSpan] : [])];
  const tail = real.slice(tailStart);
  const length = kept.length + 1 + tail.length;
  if (length >= spans.length) return spans;
  const elided = real.length - kept.length - tail.length + elidedBefore;
  const left = real.slice(head, tailStart).filter((_, index) => head + index !== root);
  const marker = markerOf(left, elided, real.length + elidedBefore, real[root]?.spanId ?? null);
  return [...kept, marker, ...tail];
}

/** Number of spans that a marker stands for, also one of `format/cap.ts`; `undefined` for other spans. */
function elidedBy(span: TraceSpan | undefined): number | undefined {
  if (span?.kind !== "span" || !String(span.name).includes("elided")) return undefined;
  const { elided, totalSpans } = span.attributes ?? {};
  const isMarker = Number.isFinite(elided) && Number.isFinite(totalSpans);
  return isMarker ? Math.max(0, elided as number) : undefined;
}

function markerOf(left: TraceSpan[], elided: number, totalSpans: number, root: string | null): TraceSpan {
  const times = left
    .flatMap(({ startTime, endTime }) => [startTime, endTime])
    .filter(Number.isFinite) as number[];
  const startTime = times.reduce((a, b) => Math.min(a, b), times[0] ?? 0);
  const endTime = times.reduce((a, b) => Math.max(a, b), startTime);
  return {
    spanId: createHash("sha256").update(`elided ${root}`).digest("hex").slice(0, 16),
    parentSpanId: root,
    name: `${elided} spans elided`,
    kind: "span",
    startTime,
    endTime,
    status: "ok",
    attributes: { elided, totalSpans },
  };
}
