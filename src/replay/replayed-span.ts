/**
 * One span of a document as the span that it was made of.
 */

import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import type { ResourceLike } from "../otel/resource.js";
import {
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_CONVERSATION_ID,
  ATTR_SESSION_ID,
  SESSION_SCOPE,
} from "../otel/semantic-conventions.js";
import type { ReadableSpan } from "../otel/types.js";
import { attempt } from "../projection/read-span.js";
import { bareModel, recordAttributes } from "../projection/to-attributes.js";
import { describedAttributes, describedHistory, describedIdentity, isForeign } from "./described-span.js";
import { foreignAttributes } from "./foreign-attributes.js";
import { readableSpan } from "./readable-span.js";
import type { ReplayIds } from "./replay-ids.js";

/** The session of a document that is replayed. */
export interface ReplayedSession {
  /** The raw id. */
  readonly id: string;
  /** Of the document: of spans that name no trace. */
  readonly traceId: string;
  readonly root: TraceSpan | undefined;
  readonly metadata: SessionMetadata;
  /** Epoch milliseconds: where a span ends that nobody closed. */
  readonly endedAt: number;
  readonly ids: ReplayIds;
  readonly resource: ResourceLike;
}

/** The turn that a span belongs to. */
export interface TurnPlace {
  /** From 1. */
  readonly index: number;
  readonly spanId: string;
}

const internal = 0;
const client = 2;

/** Said of a span that nobody closed, where the document does not say it. */
const interruptedMessage = "Interrupted: the process ended while this was running";

/** The span; `turn`: of its trace, where that is a turn's. */
export function replayedSpan(
  span: TraceSpan,
  session: ReplayedSession,
  turn: TurnPlace | undefined,
): ReadableSpan {
  const { ids } = session;
  const isTopLevel = isUnderSession(span, session);
  const closed = asClosed(span, session);
  const own = isForeign(span) ? foreignParts(closed) : recordParts(closed, session);
  const parentId = isTopLevel ? turn?.spanId : ids.spanId(String(span.parentSpanId));
  return readableSpan(
    {
      ...own,
      ...describedHistory(span, ids),
      traceId: ids.traceId(traceIdOf(span, session)),
      spanId: ids.spanId(span.spanId),
      parentSpanId: parentId,
      startTime: closed.startTime,
      endTime: closed.endTime,
      error: closed.status === "error" ? { message: closed.statusMessage } : undefined,
      attributes: {
        [ATTR_SESSION_ID]: session.id,
        [ATTR_GEN_AI_CONVERSATION_ID]: session.id,
        ...own.attributes,
        ...(!isForeign(span) && isTopLevel && turn && { [ATTR_CRASH_SAFE_FILE_TURN_INDEX]: turn.index }),
        ...(closed.interrupted && { [ATTR_CRASH_SAFE_FILE_INTERRUPTED]: true }),
      },
    },
    session.resource,
  );
}

/** As the document names it. */
export const traceIdOf = (span: TraceSpan, session: ReplayedSession): string =>
  typeof span.traceId === "string" ? span.traceId : session.traceId;

const isUnderSession = ({ parentSpanId }: TraceSpan, { root }: ReplayedSession): boolean =>
  typeof parentSpanId !== "string" || parentSpanId === root?.spanId;

type ClosedSpan = TraceSpan & { readonly endTime: number };

/** With an end, and as an error where it was interrupted; an edited document may lack times. */
function asClosed(span: TraceSpan, { endedAt }: ReplayedSession): ClosedSpan {
  const startTime = finite(span.startTime) ?? finite(span.endTime) ?? endedAt;
  const endTime = finite(span.endTime);
  if (endTime !== undefined && !span.interrupted) return { ...span, startTime, endTime };
  return {
    ...span,
    startTime,
    endTime: endTime ?? Math.max(endedAt, startTime),
    status: "error",
    statusMessage: span.statusMessage ?? interruptedMessage,
    interrupted: true,
  };
}

const finite = (time: unknown): number | undefined =>
  typeof time === "number" && Number.isFinite(time) ? time : undefined;

function foreignParts(span: TraceSpan) {
  return { ...describedIdentity(span), attributes: attempt(() => foreignAttributes(span), {}) };
}

/** As the session tracer names its spans; `session-log.ts`. */
function recordParts(span: TraceSpan, { metadata: { agent } }: ReplayedSession) {
  const record = { ...span, attributes: describedAttributes(span) };
  return {
    name: nameOf(span),
    kind: span.kind === "generation" ? client : internal,
    scope: { name: SESSION_SCOPE },
    attributes: {
      ...attempt(() => recordAttributes(record), {}),
      ...(agent !== undefined && { [ATTR_GEN_AI_AGENT_NAME]: agent }),
    },
  };
}

function nameOf({ kind, name, model }: TraceSpan): string {
  if (kind === "tool") return `execute_tool ${name}`;
  if (kind !== "generation") return String(name);
  return model?.modelId === undefined ? "chat" : `chat ${bareModel(model.modelId, model.providerId)}`;
}
