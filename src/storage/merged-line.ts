/** Lines of spans, as a merge reads them and as it writes them. Pure. */
import { decodeLine, encodeSpan, type LineKey, lineKey, lineParent } from "../format/document.js";
import { type ParentPlaces, underSession } from "../format/parent-places.js";
import { inTrace, type SpanMap, traceIdOf, withTrace } from "../format/span-map.js";
import type { TraceSpan } from "../format/trace-file.js";

/** Where the spans of a file are to stand. */
export interface Placement {
  readonly places: ParentPlaces;
  /** The session span. */
  readonly rootSpanId: string;
  /** Spans of the document that have no line. */
  readonly open?: Pick<SpanMap<unknown>, "has">;
}

export function spanIn(line: Buffer): TraceSpan | undefined {
  const decoded = decodeLine(line, -1);
  return decoded.type === "span" ? decoded.span : undefined;
}

/** What was read of a line. */
export type FoundLine = LineKey &
  (
    | { readonly isOrdered: true; readonly span?: TraceSpan }
    /** The first and last bytes do not give the key that the JSON gives. The line is to be encoded anew. */
    | { readonly isOrdered: false; readonly span: TraceSpan }
  );

/** The key of a span's line; `undefined` for a line that is no span. */
export function readLine(line: Buffer, offset: number, parse: boolean): FoundLine | undefined {
  const key = lineKey(line);
  if (key && !parse)
    return { spanId: key.spanId, traceId: key.traceId, interrupted: key.interrupted, isOrdered: true };
  const decoded = decodeLine(line, offset);
  // A tail is the last line of a file and no line of a span. A tail among the lines was put there.
  if (decoded.type !== "span") return undefined;
  const { span } = decoded;
  const { spanId } = span;
  const traceId = traceIdOf(span, "");
  const interrupted = span.interrupted === true;
  // If a line has the member `spanId` twice, its first bytes name another span than its JSON.
  if (key && key.spanId !== spanId) return undefined;
  const isOrdered = !key || (key.interrupted === interrupted && (key.traceId ?? "") === traceId);
  return { spanId, traceId, interrupted, span, isOrdered };
}

/** A line without a trace id belongs to the trace of its own document: in another document the line names the trace. */
export function withTraceId(text: Buffer, from: string, to: string): Buffer {
  if (from === to) return text;
  const decoded = decodeLine(text, -1);
  if (decoded.type !== "span") return text;
  return Buffer.from(encodeSpan(inTrace(withTrace(decoded.span, from), to)));
}

/** The line of a span, under the session span where the document does not have its parent. */
export function underKept(line: Buffer, rootSpanId: string, isKept: (spanId: string) => boolean): Buffer {
  const parent = lineParent(line);
  const span = parent === undefined || parent === rootSpanId || isKept(parent) ? undefined : spanIn(line);
  return span ? Buffer.from(encodeSpan(underSession(span, rootSpanId))) : line;
}
