/** Lines of spans, as a merge reads them and as it writes them. Pure. */
import { decodeLine, encodeSpan, type LineKey, lineKey } from "../format/document.js";
import { inTrace, traceIdOf, withTrace } from "../format/span-map.js";
import type { TraceSpan } from "../format/trace-file.js";

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
