/** A span of a document as a `ReadableSpan`, with the ids, times and attributes of the span that it was made from. */

import { createHash } from "node:crypto";
import { interruptedMessage } from "../format/session-end.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_END_TIME,
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_START_TIME,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_CONVERSATION_ID,
  ATTR_SESSION_ID,
  SESSION_SCOPE,
} from "../otel/semantic-conventions.js";
import { durationOf, laterOf, microTimeOf, millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import { ERROR_STATUS, UNSET_STATUS } from "../projection/read-span.js";
import { bareModel, exactAttributes, setExactTime } from "../projection/to-attributes.js";
import {
  describedHistory,
  describedIdentity,
  describedStatus,
  foreignAttributes,
  isInstrumented,
  ownAttributes,
} from "./foreign-span.js";
import { sampled, statedMember } from "./replayed-context.js";
import type { ReplayedOrigins, ReplayedResource } from "./replayed-origins.js";

/** The session whose document is replayed. */
export interface ReplayedSession {
  /** The raw id. */
  readonly id: string;
  /** The trace id of the document: that of spans without one. */
  readonly traceId: string;
  readonly root: TraceSpan | undefined;
  readonly metadata: SessionMetadata;
  /** Epoch milliseconds: the end of spans without one. */
  readonly endedAt: number;
  readonly ids: ReplayIds;
  readonly origins: ReplayedOrigins;
}

/** The turn that a span belongs to. */
export interface TurnPlace {
  /** From 1. */
  readonly index: number;
  readonly spanId: string;
}

/** `SpanKind` of the API. */
const internal = 0;
const client = 2;

/** `turn`: the turn of the span's trace, if the trace is one of a turn. */
export function replayedSpan(
  span: TraceSpan,
  session: ReplayedSession,
  turn: TurnPlace | undefined,
): ReadableSpan {
  const { ids, origins } = session;
  const isTopLevel = isUnderSession(span, session);
  const { status, span: closed } = withStatus(asClosed(span, session));
  const own = isInstrumented(span) ? foreignParts(closed) : recordParts(closed, session);
  const { remoteParentSpanId } = span;
  const isRemote = isTopLevel && typeof remoteParentSpanId === "string";
  const outside = isRemote ? ids.spanId(remoteParentSpanId) : turn?.spanId;
  const parentId = isTopLevel ? outside : ids.spanId(String(span.parentSpanId));
  return readableSpan(
    {
      ...own,
      ...describedHistory(span, ids),
      scope: origins.scope(span, own.scope),
      traceState: span.traceState,
      traceId: ids.traceId(traceIdOf(span, session)),
      spanId: ids.spanId(span.spanId),
      parentSpanId: parentId,
      isParentRemote: isRemote,
      startTime: closed.startTime,
      endTime: closed.endTime,
      status,
      attributes: {
        [ATTR_SESSION_ID]: session.id,
        [ATTR_GEN_AI_CONVERSATION_ID]: session.id,
        ...own.attributes,
        ...(!isInstrumented(span) && isTopLevel && turn && { [ATTR_CRASH_SAFE_FILE_TURN_INDEX]: turn.index }),
        ...(closed.interrupted && { [ATTR_CRASH_SAFE_FILE_INTERRUPTED]: true }),
      },
    },
    origins.resource(span),
  );
}

/** The status of a span that failed, with its message if it has one. */
export const errorStatus = (message: string | undefined): ReadableSpan["status"] => ({
  code: ERROR_STATUS,
  ...(message !== undefined && { message }),
});

/** The OpenTelemetry status of a span, and the span without the attributes that describe the status. */
function withStatus(span: ClosedSpan): { status: ReadableSpan["status"]; span: ClosedSpan } {
  const { status, attributes } = describedStatus(span.attributes ?? {});
  // The projection takes some spans for failed that have no status ERROR, and finds messages that their status lacks.
  const isDescribed = status.code !== UNSET_STATUS || span.attributes?.["otel.status_code"] === "UNSET";
  if (span.status === "error" && (span.interrupted || !isDescribed))
    return { status: errorStatus(span.statusMessage), span };
  return { status, span: { ...span, attributes } };
}

/** The trace id in the document, of any shape. */
export const traceIdOf = (span: TraceSpan, session: ReplayedSession): string =>
  typeof span.traceId === "string" ? span.traceId : session.traceId;

const isUnderSession = ({ parentSpanId }: TraceSpan, { root }: ReplayedSession): boolean =>
  typeof parentSpanId !== "string" || parentSpanId === root?.spanId;

type ClosedSpan = TraceSpan & { readonly endTime: number };

/** The span with an end, and as an error if it was interrupted. An edited document may lack times. */
function asClosed(span: TraceSpan, { endedAt }: ReplayedSession): ClosedSpan {
  const startTime = finiteTime(span.startTime) ?? finiteTime(span.endTime) ?? endedAt;
  const endTime = finiteTime(span.endTime);
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

const finiteTime = (time: unknown): number | undefined =>
  typeof time === "number" && Number.isFinite(time) ? time : undefined;

function foreignParts(span: TraceSpan) {
  return { ...describedIdentity(span), attributes: tryOr(() => foreignAttributes(span), {}) };
}

/** Name, kind and attributes as the session tracer chooses them (`tracer/session-log.ts`). */
function recordParts(span: TraceSpan, { metadata: { agent } }: ReplayedSession) {
  const record = { ...span, attributes: ownAttributes(span) };
  return {
    name: nameOf(span),
    kind: span.kind === "generation" ? client : internal,
    scope: { name: SESSION_SCOPE },
    attributes: {
      ...tryOr(() => exactAttributes(record), {}),
      ...(agent !== undefined && { [ATTR_GEN_AI_AGENT_NAME]: agent }),
    },
  };
}

function nameOf({ kind, name, model }: TraceSpan): string {
  if (kind === "tool") return `execute_tool ${name}`;
  if (kind !== "generation") return String(name);
  return model?.modelId === undefined ? "chat" : `chat ${bareModel(model.modelId, model.providerId)}`;
}

/** The parts of a span that differ between spans. Times in epoch milliseconds. */
export interface SpanParts {
  readonly name: string;
  /** `SpanKind` of the API. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Whether the parent is in another process. */
  readonly isParentRemote?: boolean;
  /** `tracestate` of the span's context, in the form of its header. */
  readonly traceState?: string | undefined;
  readonly startTime: number;
  readonly endTime: number;
  readonly status: ReadableSpan["status"];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: ReadableSpan["events"];
  readonly links: ReadableSpan["links"];
  readonly scope: ReadableSpan["instrumentationScope"];
  readonly dropped: { readonly attributes: number; readonly events: number; readonly links: number };
}

/** An ended span. A time that OpenTelemetry cannot represent goes into an attribute, as in spans of the tracer. */
export function readableSpan(parts: SpanParts, resource: ReplayedResource): ReadableSpan {
  const { traceId, spanId, parentSpanId, isParentRemote, status, dropped } = parts;
  const startTime = microTimeOf(parts.startTime);
  const endTime = laterOf(startTime, microTimeOf(parts.endTime));
  const context = { traceId, spanId, traceFlags: sampled, ...statedMember(parts.traceState) };
  const attributes: Record<string, unknown> = { ...parts.attributes };
  if (millis(startTime) !== parts.startTime)
    setExactTime(attributes, ATTR_CRASH_SAFE_FILE_START_TIME, parts.startTime);
  if (millis(endTime) !== parts.endTime)
    setExactTime(attributes, ATTR_CRASH_SAFE_FILE_END_TIME, parts.endTime);
  const parent =
    parentSpanId === undefined
      ? undefined
      : { ...context, spanId: parentSpanId, ...(isParentRemote && { isRemote: true }) };
  return {
    name: parts.name,
    kind: parts.kind,
    spanContext: () => context,
    parentSpanContext: parent,
    startTime,
    endTime,
    duration: durationOf(startTime, endTime),
    ended: true,
    status,
    attributes,
    events: parts.events,
    links: parts.links,
    resource,
    instrumentationScope: parts.scope,
    droppedAttributesCount: dropped.attributes,
    droppedEventsCount: dropped.events,
    droppedLinksCount: dropped.links,
  };
}

/** Ids of zeros alone are invalid (W3C Trace Context). */
const otelSpanId = /^(?!0{16}$)[0-9a-f]{16}$/;
const otelTraceId = /^(?!0{32}$)[0-9a-f]{32}$/;

/**
 * The ids of replayed spans. Ids of OpenTelemetry stay. Documents of other tracers have ids of any shape (UUIDs,
 * counters), which are hashed: one id of one session always gives one result, so that parents are found and a second
 * replay sends no new spans. The session is part of the hash, since counters start again in each session.
 */
export class ReplayIds {
  readonly #sessionId: string;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
  }

  spanId(id: string): string {
    return otelSpanId.test(id) ? id : this.#hash("span", id).slice(0, 16);
  }

  traceId(id: string): string {
    return otelTraceId.test(id) ? id : this.#hash("trace", id).slice(0, 32);
  }

  #hash(kind: string, id: string): string {
    return createHash("sha256").update(`${kind}\0${this.#sessionId}\0${id}`).digest("hex");
  }
}
