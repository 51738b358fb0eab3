/**
 * What a resumed session needs of its document besides the tail: the tool calls that it has, and its turns.
 */

import { decodeLine } from "../format/document.js";
import type { SessionHistory } from "../format/history.js";
import type { TraceSpan } from "../format/trace-file.js";
import { validSpan } from "../format/validate.js";
import type { Gensync } from "../platform/gensync.js";
import type { Published } from "./document-file.js";
import { scanLines } from "./lines.js";

/** A host that compacts its own history logs the tool calls that are left in it once more. */
export const maxKnownCalls = 20_000;
const maxTraces = 10_000;

/** Reads the history from the last `maxBytes` of the spans; from all spans by default. */
export function* readHistory(
  { body, descriptor, head, tail }: Published,
  maxBytes = Number.POSITIVE_INFINITY,
): Gensync<SessionHistory> {
  const calls: { name: string; callId: string; startTime: number }[] = [];
  const traceIds = new Set<string>();
  const add = (line: TraceSpan) => {
    const { kind, name, startTime, tool, traceId = head?.traceId ?? "" } = validSpan(line);
    traceIds.add(traceId);
    if (kind !== "tool" || tool?.callId === undefined) return;
    calls.push({ name, callId: tool.callId, startTime });
    if (calls.length > 2 * maxKnownCalls) calls.splice(0, maxKnownCalls);
  };
  if (body.type === "spans") for (const span of body.spans) add(span);
  if (body.type === "lines") {
    const from = Math.max(body.from, body.to - maxBytes);
    yield* scanLines(descriptor.fd, from, body.to, (line, offset) => {
      // The first line may begin before `from`. Its rest decodes as corrupt, and is skipped.
      const decoded = decodeLine(line, offset);
      if (decoded.type === "span") add(decoded.span);
    });
  }
  for (const span of tail?.spans ?? []) if (span.kind !== "session") add(span);
  return { calls: calls.slice(-maxKnownCalls), traceIds: [...traceIds].slice(-maxTraces) };
}
