/**
 * Any OpenTelemetry span as a span of the trace document: convention attributes become fields, everything
 * else stays under `attributes`.
 */

import type { SessionMetadata, SpanModel, TokenUsage, TraceSpan } from "../format/trace-file.js";
import {
  ATTR_DEPLOYMENT_ENVIRONMENT_NAME,
  ATTR_ERROR_TYPE,
  ATTR_EXCEPTION_MESSAGE,
  ATTR_EXCEPTION_TYPE,
  ATTR_SERVICE_VERSION,
  ATTR_USER_ID,
} from "../otel/semantic-conventions.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { userText } from "./content.js";
import { type Dialect, type SpanFields, SpanView } from "./dialect.js";
import { own } from "./dialects/crash-safe-file.js";
import { genAi } from "./dialects/gen-ai.js";
import { http } from "./dialects/http.js";
import { openInference } from "./dialects/openinference.js";
import { session } from "./dialects/own-tracer.js";
import { traceloop } from "./dialects/traceloop.js";
import { vercelAi } from "./dialects/vercel-ai.js";
import {
  attempt,
  describeHistory,
  describeOtel,
  describeStatus,
  ERROR_STATUS,
  plainAttributes,
  readAttributes,
  textOf,
} from "./read-span.js";

/** A span of the document, and what it tells about its session. */
export interface ProjectedSpan {
  span: TraceSpan;
  /** Only members that are known. */
  metadata: Partial<SessionMetadata>;
  /** The root of a turn of a session tracer: no span of the document. */
  isTurn?: true;
}

/** In order of precedence: a dialect fills only what those before it left open. */
const DIALECTS: readonly Dialect[] = [own, vercelAi, openInference, traceloop, genAi, http];

const MAX_PROMPT_CHARS = 4000;

/**
 * Never throws: a value that cannot be read costs itself and leaves a marker. Shares no object with the
 * span. `traceId` is always set, `endTime` only once the span has ended; `parentSpanId` is null for the root
 * of an OpenTelemetry trace, whoever it may hang under in the document.
 */
export function projectSpan(span: ReadableSpan): ProjectedSpan {
  const scope = attempt(() => span.instrumentationScope, undefined);
  const view = new SpanView(
    readAttributes(attempt(() => span.attributes, undefined)),
    textOf(attempt(() => scope?.name, undefined)) ?? "",
  );
  const isSession = attempt(() => session.matches(view), false);
  for (const dialect of isSession ? [session] : DIALECTS) {
    attempt(() => {
      if (dialect.matches(view)) dialect.read(view);
    }, undefined);
  }
  const { fields } = view;
  const projected = identify(span);
  const name = projected.name;
  projected.kind = fields.kind ?? "span";
  if (projected.kind === "tool" && fields.toolName !== undefined) projected.name = fields.toolName;
  if (isSession) readExact(span, fields, projected);
  else readStatus(span, view, projected);
  moveFields(fields, projected);
  const tokens = fields.tokens ?? tokensOf(fields);
  if (tokens !== undefined) {
    projected.tokens = tokens;
    for (const [key, part] of view.restated) {
      if (view.attributes.get(key) === tokens[part]) view.attributes.delete(key);
    }
  }
  const attributes = plainAttributes(view.attributes, view.parsed);
  if (isSession) {
    if (!fields.isError) attempt(() => describeStatus(span, attributes), undefined);
    describeHistory(span, attributes);
  } else {
    if (projected.name !== name) attributes["otel.span_name"] = name;
    describeOtel(span, attributes);
  }
  if (Object.keys(attributes).length > 0) projected.attributes = attributes;
  const metadata = isSession ? tracedMetadata(view) : metadataOf(span, view, projected);
  return { span: projected, metadata, ...(fields.isTurn && { isTurn: true }) };
}

/** What a session tracer gave and OpenTelemetry could not carry in the fields it has for it. */
function readExact(span: ReadableSpan, fields: SpanFields, projected: TraceSpan): void {
  if (fields.name !== undefined) projected.name = fields.name;
  if (fields.startTime !== undefined) projected.startTime = fields.startTime;
  if (fields.endTime !== undefined && projected.endTime !== undefined) projected.endTime = fields.endTime;
  if (fields.isTopLevel) projected.parentSpanId = null;
  if (!fields.isError) return;
  projected.status = "error";
  const message = fields.statusMessage ?? attempt(() => textOf(span.status.message), undefined);
  if (message !== undefined) projected.statusMessage = message;
}

function identify(span: ReadableSpan): TraceSpan {
  const context = attempt(() => span.spanContext(), undefined);
  const isOpen = attempt(() => span.ended, true) === false;
  const startTime = attempt(() => millis(span.startTime), 0);
  return {
    spanId: attempt(() => String(context?.spanId ?? ""), ""),
    parentSpanId: attempt(() => textOf(span.parentSpanContext?.spanId), undefined) ?? null,
    name: attempt(() => String(span.name), "unknown"),
    kind: "span",
    startTime,
    ...(isOpen ? {} : { endTime: attempt(() => millis(span.endTime), startTime) }),
    status: "ok",
    traceId: attempt(() => String(context?.traceId ?? ""), ""),
  };
}

function readStatus(span: ReadableSpan, view: SpanView, projected: TraceSpan): void {
  if (attempt(() => span.status.code, 0) !== ERROR_STATUS) return;
  projected.status = "error";
  const message =
    attempt(() => textOf(span.status.message), undefined) ??
    attempt(() => exceptionMessage(span), undefined) ??
    view.text(ATTR_ERROR_TYPE);
  if (message !== undefined) projected.statusMessage = message;
}

function exceptionMessage(span: ReadableSpan): string | undefined {
  const { attributes } = span.events.findLast((event) => event.name === "exception") ?? {};
  return textOf(attributes?.[ATTR_EXCEPTION_MESSAGE]) ?? textOf(attributes?.[ATTR_EXCEPTION_TYPE]);
}

function moveFields(fields: SpanFields, projected: TraceSpan): void {
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

function toolOf(fields: SpanFields, { startTime, endTime }: TraceSpan): NonNullable<TraceSpan["tool"]> {
  const tool: NonNullable<TraceSpan["tool"]> = {};
  if (fields.toolCallId !== undefined) tool.callId = fields.toolCallId;
  if (fields.toolDurationMs !== undefined) tool.durationMs = fields.toolDurationMs;
  else if (endTime !== undefined) tool.durationMs = Math.round((endTime - startTime) * 1000) / 1000;
  return tool;
}

/**
 * From the conventions' counts, where input includes cached tokens and output includes reasoning, to five
 * disjoint ones. A part that exceeds its whole shows that the whole already excludes it.
 */
function tokensOf(fields: SpanFields): TokenUsage | undefined {
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

function metadataOf(span: ReadableSpan, view: SpanView, projected: TraceSpan): Partial<SessionMetadata> {
  const { fields } = view;
  const metadata: Partial<SessionMetadata> = {};
  const set = (key: Exclude<keyof SessionMetadata, "tags">, value: string | undefined) => {
    if (value !== undefined) metadata[key] = value;
  };
  if (fields.role === "conversation") {
    const model = fields.requestedModel ?? fields.modelId;
    const { providerId } = fields;
    const isQualified = providerId === undefined || model?.startsWith(`${providerId}/`);
    set("model", model === undefined || isQualified ? model : `${providerId}/${model}`);
    set("providerId", providerId);
    if (isLocalRoot(span)) {
      set("prompt", userText(projected.input)?.slice(0, MAX_PROMPT_CHARS));
    }
  }
  set("title", fields.title);
  set("agent", fields.agent);
  set("variant", fields.variant);
  set("userId", view.text(ATTR_USER_ID) ?? view.text("enduser.id") ?? fields.userId);
  if (fields.tags !== undefined && fields.tags.length > 0) metadata.tags = fields.tags;
  const resource = attempt(() => span.resource.attributes, undefined);
  const of = (key: string) => attempt(() => textOf(resource?.[key]), undefined);
  set("environment", of(ATTR_DEPLOYMENT_ENVIRONMENT_NAME) ?? of("deployment.environment"));
  set("version", of(ATTR_SERVICE_VERSION));
  return metadata;
}

/** A session tracer's turns tell what is known of the session, each time all of it. */
function tracedMetadata(view: SpanView): Partial<SessionMetadata> {
  const { fields } = view;
  if (!fields.isTurn) return {};
  const told = {
    title: fields.title,
    model: fields.modelId,
    providerId: fields.providerId,
    agent: fields.agent,
    variant: fields.variant,
    prompt: fields.prompt,
    userId: view.text(ATTR_USER_ID),
    environment: view.text(ATTR_DEPLOYMENT_ENVIRONMENT_NAME),
    version: view.text(ATTR_SERVICE_VERSION),
    tags: fields.tags,
    owuiModel: fields.owuiModel,
  };
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined));
}

/** A parent in another process (a client's `traceparent`) does not make the span less of a root here. */
function isLocalRoot(span: ReadableSpan): boolean {
  const parent: { spanId?: string; isRemote?: boolean } | undefined = attempt(
    () => span.parentSpanContext,
    undefined,
  );
  return parent === undefined || parent === null || parent.isRemote === true || !parent.spanId;
}
