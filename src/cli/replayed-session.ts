/** A session that was read, as the OpenTelemetry spans that a replay of it would send. */
import { elidedTotals } from "../format/cap.js";
import { isRoot } from "../format/document.js";
import type { TraceSpan } from "../format/trace-file.js";
import { validMetadata, validSpan } from "../format/validate.js";
import { resourceAttributesOf, unknownService } from "../otel/resource.js";
import type { ReadableSpan } from "../otel/types.js";
import type { Environment } from "../platform/environment.js";
import { ReplayedOrigins } from "../replay/replayed-origins.js";
import { ReplayIds, replayedSpan } from "../replay/replayed-span.js";
import { ReplayedTurns } from "../replay/replayed-turns.js";
import type { ReadSession } from "./session-reference.js";

/** Spans in the order of the document, each turn's root after its last span. OTLP has no open spans: `left` counts them. */
export function replayedSpans(
  session: ReadSession,
  env: Environment,
): { readonly spans: Iterable<ReadableSpan>; readonly left: number } {
  const all = session.trace.spans.filter((span) => !isRoot(span) && elidedTotals(span) === undefined);
  const ended = all.filter((span) => span.endTime !== undefined || span.interrupted);
  return { spans: spansOf(session, ended, env), left: all.length - ended.length };
}

function* spansOf(
  { id, trace, whole }: ReadSession,
  ended: readonly TraceSpan[],
  env: Environment,
): Generator<ReadableSpan, void> {
  const session = {
    id,
    traceId: trace.traceId,
    root: trace.spans.find(isRoot),
    metadata: validMetadata(trace.metadata),
    endedAt: Date.parse(trace.endedAt) || Date.parse(trace.startedAt) || 0,
    ids: new ReplayIds(id),
    origins: new ReplayedOrigins(trace, {
      attributes: { "service.name": unknownService, ...resourceAttributesOf(env) },
    }),
  };
  const turns = new ReplayedTurns(session);
  for (const [position, span] of ended.entries()) turns.survey(validSpan(whole(span)), position);
  for (const [position, listed] of ended.entries()) {
    const span = validSpan(whole(listed));
    const sent = replayedSpan(span, session, turns.of(span));
    const root = turns.pass(span, sent, position);
    yield sent;
    if (root) yield root;
  }
}
