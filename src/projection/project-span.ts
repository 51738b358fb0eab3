/**
 * From an OpenTelemetry span to a span of the document: attributes of the conventions become fields, all other attributes
 * stay under `attributes`.
 */

import type { SessionMetadata, SpanModel, TokenUsage, TraceSpan } from "../format/trace-file.js";
import {
  ATTR_ERROR_TYPE,
  ATTR_EXCEPTION_MESSAGE,
  ATTR_EXCEPTION_TYPE,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
  ATTR_GEN_AI_RESPONSE_FINISH_REASONS,
} from "../otel/semantic-conventions.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import { metadataOf, tracedMetadata } from "./added-metadata.js";
import { type SharedFields, type SpanFields, SpanView, type TracerFields } from "./dialect.js";
import { ownTracer } from "./dialects/own-tracer.js";
import { dialects } from "./dialects.js";
import { normalFinishReason } from "./finish-reasons.js";
import { generationContent, messagesIn } from "./messages.js";
import { originalsOf } from "./original-attributes.js";
import {
  describeHistory,
  describeOtel,
  describeStatus,
  ERROR_STATUS,
  GivenAttributes,
  isElsewhere,
  nonEmptyText,
  OK_STATUS,
  plainAttributes,
  readAttributes,
  UNSET_STATUS,
} from "./read-span.js";

/** A span of the document, and what it adds to the metadata of its session. */
export interface ProjectedSpan {
  span: TraceSpan;
  /** Known members only. */
  metadata: Partial<SessionMetadata>;
  /** The span is the root of a session tracer's turn, which has no span in the document. */
  isTurn?: true;
}

/** What produced a span: keys of the tables of its document. */
export interface SpanOrigin {
  readonly resource?: string | undefined;
  readonly scope?: string | undefined;
  /** Whether the span keeps its attributes as they were, for replays. */
  readonly keepsOriginals?: boolean;
}

/**
 * Any OpenTelemetry span as a span of a document. Never throws: a value that cannot be read loses only itself, and a
 * marker takes its place. Shares no object with the span. `traceId` is always set; `endTime` is set once the span has
 * ended; `parentSpanId` is `null` for the root of an OpenTelemetry trace, and for a span whose parent is in another
 * process.
 */
export const projectSpan = (span: ReadableSpan): ProjectedSpan => projectSpanFrom(span, {});

/**
 * As {@link projectSpan}, with the keys that the document has for the resource and the scope of the span. A `part` of a call
 * that another span records is no call itself: its counts stay attributes.
 */
export function projectSpanFrom(span: ReadableSpan, origin: SpanOrigin, as?: "part"): ProjectedSpan {
  const attributes = readAttributes(tryOr(() => span.attributes, undefined));
  const isEnded = tryOr(() => span.ended, true) !== false;
  const given = isEnded && origin.keepsOriginals ? new GivenAttributes(attributes) : undefined;
  const scope = nonEmptyText(tryOr(() => span.instrumentationScope?.name, undefined)) ?? "";
  const view = new SpanView<SpanFields & TracerFields>(attributes, scope, span, as === "part");
  return tryOr(() => ownTracer.matches(view), false)
    ? projectTraced(span, view, origin)
    : projectForeign(span, view, origin, given);
}

/** A span of a session tracer that came without its record, from another process for example. */
function projectTraced(span: ReadableSpan, view: SpanView<TracerFields>, origin: SpanOrigin): ProjectedSpan {
  tryOr(() => ownTracer.read(view), undefined);
  const { fields } = view;
  const identity = identify(span);
  const projected = spanOf(identity);
  if (fields.name !== undefined) projected.name = fields.name;
  if (fields.startTime !== undefined) projected.startTime = fields.startTime;
  if (fields.endTime !== undefined && projected.endTime !== undefined) projected.endTime = fields.endTime;
  if (fields.isTopLevel) projected.parentSpanId = null;
  // An OpenTelemetry status that the tracer did not set stays an attribute.
  if (fields.isError) setError(projected, fields.statusMessage ?? statusMessageOf(span));
  setFields(projected, fields);
  setTokens(projected, fields.tokens ?? tokensOf(fields), view);
  const attributes = plainAttributes(view.attributes, view.parsed);
  if (!fields.isError) tryOr(() => describeStatus(span, attributes), undefined);
  describeHistory(span, attributes);
  setAttributes(projected, attributes);
  setOrigin(projected, span, origin);
  projected.traceId = identity.traceId;
  return { span: projected, metadata: tracedMetadata(view), ...(fields.isTurn && { isTurn: true }) };
}

function projectForeign(
  span: ReadableSpan,
  view: SpanView,
  origin: SpanOrigin,
  given: GivenAttributes | undefined,
): ProjectedSpan {
  // Messages of the conventions go before a request that an instrumentation records beside them.
  view.takeContent("input", "structure", ATTR_GEN_AI_INPUT_MESSAGES);
  view.takeContent("output", "structure", ATTR_GEN_AI_OUTPUT_MESSAGES);
  for (const dialect of dialects) {
    tryOr(() => {
      if (dialect.matches(view)) dialect.read(view);
    }, undefined);
  }
  const { fields } = view;
  const identity = identify(span);
  const projected = spanOf(identity);
  const { name } = projected;
  const code = tryOr(() => span.status.code, UNSET_STATUS);
  if (fields.kind === "tool" && fields.toolName !== undefined) projected.name = fields.toolName;
  normalise(view);
  if (code === ERROR_STATUS || hasFailed(span, view, code))
    setError(projected, fields.statusMessage ?? errorMessageOf(span, view));
  setFields(projected, fields);
  setTokens(projected, tokensOf(fields), view);
  const attributes = plainAttributes(view.attributes, view.parsed);
  if (projected.name !== name) attributes["otel.span_name"] = name;
  // A message that was found elsewhere: a replay gives the status back as it was.
  const isFound = code === ERROR_STATUS && projected.statusMessage !== statusMessageOf(span);
  if (code === OK_STATUS || isFound) describeStatus(span, attributes);
  // The dialect found the failure. The specification has no value for an unset status, which a replay restores.
  else if (code === UNSET_STATUS && projected.status === "error") attributes["otel.status_code"] = "UNSET";
  describeOtel(span, attributes, view.taken);
  setAttributes(projected, attributes);
  if (projected.endTime !== undefined && given) setOriginals(projected, view, given);
  setOrigin(projected, span, origin);
  projected.traceId = identity.traceId;
  return { span: projected, metadata: metadataOf(span, view, projected) };
}

/** A span whose attributes cannot be kept as they were is replayed with the keys of the conventions. */
function setOriginals(projected: TraceSpan, view: SpanView, given: GivenAttributes): void {
  const original = tryOr(() => originalsOf(given, takenOf(view), projected), undefined);
  if (original !== undefined) projected.original = original;
}

/** Attributes of events that have become fields, by the position of their event. */
function takenOf({ taken, events }: SpanView): Map<number, Record<string, unknown>> {
  const found = new Map<number, Record<string, unknown>>();
  if (taken.size === 0) return found;
  for (const [at, event] of events.entries()) {
    const keys = taken.get(event);
    if (keys) found.set(at, Object.fromEntries([...keys].map((key) => [key, event.attributes?.[key]])));
  }
  return found;
}

/** Content and finish reason of all dialects in one shape. A finish reason that changes stays an attribute, too. */
function normalise({ attributes, fields }: SpanView): void {
  if (fields.kind === "generation") {
    fields.input = generationContent(fields.input, "user");
    fields.output = generationContent(fields.output, "assistant");
  } else if (fields.kind === "span") {
    if (Array.isArray(fields.input)) fields.input = messagesIn(fields.input) ?? fields.input;
    if (Array.isArray(fields.output)) fields.output = messagesIn(fields.output) ?? fields.output;
  }
  const { finishReason } = fields;
  if (finishReason === undefined) return;
  fields.finishReason = normalFinishReason(finishReason);
  if (fields.finishReason !== finishReason && !hasFinishReason(attributes, finishReason))
    attributes.set(ATTR_GEN_AI_RESPONSE_FINISH_REASONS, [finishReason]);
}

const hasFinishReason = (attributes: ReadonlyMap<string, unknown>, reason: string): boolean => {
  const given = attributes.get(ATTR_GEN_AI_RESPONSE_FINISH_REASONS);
  return given === reason || (Array.isArray(given) && given.includes(reason));
};

/** Whether a span failed that has no status ERROR: not all instrumentations set one. A status OK of a program is final. */
function hasFailed(span: ReadableSpan, view: SpanView, code: number): boolean {
  const { fields } = view;
  if (fields.isError || (fields.kind === "generation" && fields.finishReason === "error")) return true;
  if (code === OK_STATUS) return false;
  if (view.text(ATTR_ERROR_TYPE) !== undefined) return true;
  const status = httpStatusOf(view);
  // By the conventions, a server answers a wrong request with 4xx and has not failed.
  if (status !== undefined && status >= (tryOr(() => span.kind, 0) === SERVER_KIND ? 500 : 400)) return true;
  // A program may record an exception on a span of its own, and go on.
  return (
    fields.kind !== undefined && tryOr(() => span.events.some(({ name }) => name === "exception"), false)
  );
}

const SERVER_KIND = 1;

function httpStatusOf({ attributes }: SpanView): number | undefined {
  const status = attributes.get("http.response.status_code") ?? attributes.get("http.status_code");
  return typeof status === "number" ? status : undefined;
}

/** What identifies a span, as its getters return it. */
interface Identity {
  readonly spanId: string;
  readonly traceId: string;
  readonly name: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** Absent while the span is open. */
  readonly endTime: number | undefined;
  readonly parent: string | null;
  readonly isRemote: boolean;
}

function identify(span: ReadableSpan): Identity {
  try {
    return readIdentity(span);
  } catch {
    return readIdentityPartByPart(span);
  }
}

/** A span of the document that has no trace id yet: a member that is added last is last in JSON, where a line has it. */
function spanOf(identity: Identity): TraceSpan {
  const { spanId, name, startTime, endTime, parent, isRemote } = identity;
  const parentSpanId = isRemote ? null : parent;
  const identified: TraceSpan =
    endTime === undefined
      ? { spanId, parentSpanId, name, kind: "span", startTime, status: "ok" }
      : { spanId, parentSpanId, name, kind: "span", startTime, endTime, status: "ok" };
  if (isRemote && parent !== null) identified.remoteParentSpanId = parent;
  return identified;
}

function setOrigin(projected: TraceSpan, span: ReadableSpan, { resource, scope }: SpanOrigin): void {
  const traceState = tryOr(() => nonEmptyText(span.spanContext().traceState?.serialize()), undefined);
  if (traceState !== undefined) projected.traceState = traceState;
  if (resource !== undefined) projected.resource = resource;
  if (scope !== undefined) projected.scope = scope;
}

/** Throws what a getter of the span throws. */
function readIdentity(span: ReadableSpan): Identity {
  const { spanId, traceId } = span.spanContext();
  const { parentSpanContext: parent } = span;
  return {
    spanId: String(spanId ?? ""),
    traceId: String(traceId ?? ""),
    name: String(span.name),
    startTime: millis(span.startTime),
    endTime: span.ended === false ? undefined : millis(span.endTime),
    parent: nonEmptyText(parent?.spanId) ?? null,
    isRemote: isElsewhere(parent),
  };
}

/** Each part that cannot be read loses only itself. */
function readIdentityPartByPart(span: ReadableSpan): Identity {
  const context = tryOr(() => span.spanContext(), undefined);
  const startTime = tryOr(() => millis(span.startTime), 0);
  const isOpen = tryOr(() => span.ended, true) === false;
  return {
    spanId: tryOr(() => String(context?.spanId ?? ""), ""),
    traceId: tryOr(() => String(context?.traceId ?? ""), ""),
    name: tryOr(() => String(span.name), "unknown"),
    startTime,
    endTime: isOpen ? undefined : tryOr(() => millis(span.endTime), startTime),
    parent: tryOr(() => nonEmptyText(span.parentSpanContext?.spanId), undefined) ?? null,
    isRemote: tryOr(() => isElsewhere(span.parentSpanContext), false),
  };
}

function setError(projected: TraceSpan, message: string | undefined): void {
  projected.status = "error";
  if (message !== undefined) projected.statusMessage = message;
}

const statusMessageOf = (span: ReadableSpan): string | undefined =>
  tryOr(() => nonEmptyText(span.status.message), undefined);

function errorMessageOf(span: ReadableSpan, view: SpanView): string | undefined {
  const message =
    statusMessageOf(span) ??
    tryOr(() => exceptionMessage(span), undefined) ??
    view.text("error.message") ??
    view.text(ATTR_ERROR_TYPE);
  if (message !== undefined) return message;
  const status = httpStatusOf(view);
  if (status !== undefined && status >= 400) return `HTTP ${status}`;
  return view.fields.finishReason === "error" ? "finish reason: error" : undefined;
}

function exceptionMessage(span: ReadableSpan): string | undefined {
  const { attributes } = span.events.findLast((event) => event.name === "exception") ?? {};
  return (
    nonEmptyText(attributes?.[ATTR_EXCEPTION_MESSAGE]) ?? nonEmptyText(attributes?.[ATTR_EXCEPTION_TYPE])
  );
}

function setFields(projected: TraceSpan, fields: SharedFields): void {
  projected.kind = fields.kind ?? "span";
  const model: SpanModel = {};
  if (fields.modelId !== undefined) model.modelId = fields.modelId;
  if (fields.providerId !== undefined) model.providerId = fields.providerId;
  if (fields.variant !== undefined) model.variant = fields.variant;
  if (Object.keys(model).length > 0) projected.model = model;
  if (fields.interrupted) projected.interrupted = true;
  if (fields.finishReason !== undefined) projected.finishReason = fields.finishReason;
  if (fields.cost !== undefined) projected.cost = fields.cost;
  if (projected.kind === "tool") projected.tool = toolOf(fields, projected);
  if (fields.input !== undefined) projected.input = fields.input;
  if (fields.output !== undefined) projected.output = fields.output;
}

function toolOf(fields: SharedFields, { startTime, endTime }: TraceSpan): NonNullable<TraceSpan["tool"]> {
  const tool: NonNullable<TraceSpan["tool"]> = {};
  if (fields.toolCallId !== undefined) tool.callId = fields.toolCallId;
  if (fields.toolDurationMs !== undefined) tool.durationMs = fields.toolDurationMs;
  else if (endTime !== undefined) tool.durationMs = Math.round((endTime - startTime) * 1000) / 1000;
  return tool;
}

function setTokens(projected: TraceSpan, tokens: TokenUsage | undefined, view: SpanView<SharedFields>): void {
  if (tokens === undefined) return;
  projected.tokens = tokens;
  for (const [key, part] of view.restated) {
    if (view.attributes.get(key) === tokens[part]) view.attributes.delete(key);
  }
}

function setAttributes(projected: TraceSpan, attributes: Record<string, unknown>): void {
  if (Object.keys(attributes).length > 0) projected.attributes = attributes;
}

/**
 * From the counts of the conventions, where input includes cached tokens and output includes reasoning, to five disjoint
 * counts. A part that exceeds its whole shows that the whole already excludes the part.
 */
function tokensOf(fields: SharedFields): TokenUsage | undefined {
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens } = fields;
  const given = inputTokens ?? outputTokens ?? cacheReadTokens ?? cacheWriteTokens ?? reasoningTokens;
  if (given === undefined) return undefined;
  const cacheRead = cacheReadTokens ?? 0;
  const cacheWrite = cacheWriteTokens ?? 0;
  const reasoning = reasoningTokens ?? 0;
  const input = withoutPart(inputTokens ?? 0, cacheRead + cacheWrite);
  const output = withoutPart(outputTokens ?? 0, reasoning);
  return {
    input,
    output,
    reasoning,
    cacheRead,
    cacheWrite,
    total: input + output + reasoning + cacheRead + cacheWrite,
  };
}

function withoutPart(whole: number, part: number): number {
  return part > whole ? whole : whole - part;
}
