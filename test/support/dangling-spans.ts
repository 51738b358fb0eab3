/** Spans that a reader of a raw document cannot place: their parents are not in the document. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TraceFile } from "../../src/format/trace-file.js";

/** Names of the spans of a document whose parents the document lacks. */
function danglingSpans({ traceId, spans }: TraceFile): string[] {
  const keyOf = (spanId: string | null, of: string | undefined) => `${of ?? traceId} ${spanId}`;
  const keys = new Set(spans.map((span) => keyOf(span.spanId, span.traceId)));
  const session = spans.find(({ kind, parentSpanId }) => kind === "session" && parentSpanId === null);
  return spans
    .filter((span) => span !== session && span.parentSpanId !== session?.spanId)
    .filter(({ parentSpanId, traceId: of }) => !keys.has(keyOf(parentSpanId, of)))
    .map(({ name }) => name);
}

/** Those of all documents of a directory, by file, as they are on disk now. */
export function danglingIn(dir: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const file of readdirSync(dir).filter((name) => name.endsWith(".json"))) {
    const names = danglingSpans(JSON.parse(readFileSync(join(dir, file), "utf8")));
    if (names.length > 0) found[file] = names;
  }
  return found;
}
