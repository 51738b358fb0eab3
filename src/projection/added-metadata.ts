/** What a span adds to the metadata of its session. */
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { knownAttributes } from "../otel/resource.js";
import {
  ATTR_DEPLOYMENT_ENVIRONMENT_NAME,
  ATTR_SERVICE_VERSION,
  ATTR_USER_ID,
} from "../otel/semantic-conventions.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import { userText } from "./content.js";
import type { SpanView, TracerFields } from "./dialect.js";
import { nonEmptyText } from "./read-span.js";

const MAX_PROMPT_CHARS = 4000;

/** What a span of an instrumentation adds to the metadata of its session. */
export function metadataOf(
  span: ReadableSpan,
  view: SpanView,
  projected: TraceSpan,
): Partial<SessionMetadata> {
  const { fields } = view;
  const metadata: Partial<SessionMetadata> = {};
  if (fields.role === "conversation") {
    const model = fields.requestedModel ?? fields.modelId;
    const { providerId } = fields;
    const isQualified = providerId === undefined || model?.startsWith(`${providerId}/`);
    if (model !== undefined) metadata.model = isQualified ? model : `${providerId}/${model}`;
    if (providerId !== undefined) metadata.providerId = providerId;
    const prompt = isLocalRoot(span) ? userText(projected.input)?.slice(0, MAX_PROMPT_CHARS) : undefined;
    if (prompt !== undefined) metadata.prompt = prompt;
  }
  if (fields.title !== undefined) metadata.title = fields.title;
  if (fields.agent !== undefined) metadata.agent = fields.agent;
  if (fields.variant !== undefined) metadata.variant = fields.variant;
  const userId = view.text(ATTR_USER_ID) ?? view.text("enduser.id") ?? fields.userId;
  if (userId !== undefined) metadata.userId = userId;
  if (fields.tags !== undefined && fields.tags.length > 0) metadata.tags = fields.tags;
  const resource = tryOr(() => knownAttributes(span.resource), undefined);
  const environment = tryOr(
    () =>
      nonEmptyText(resource?.[ATTR_DEPLOYMENT_ENVIRONMENT_NAME]) ??
      nonEmptyText(resource?.["deployment.environment"]),
    undefined,
  );
  const version = tryOr(() => nonEmptyText(resource?.[ATTR_SERVICE_VERSION]), undefined);
  if (environment !== undefined) metadata.environment = environment;
  if (version !== undefined) metadata.version = version;
  return metadata;
}

/** The metadata of a session: each turn of a session tracer has all of it. */
export function tracedMetadata(view: SpanView<TracerFields>): Partial<SessionMetadata> {
  const { fields } = view;
  if (!fields.isTurn) return {};
  const known = {
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
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/** Whether a span has no parent in this process: a parent in another process (a client's `traceparent`) does not count. */
function isLocalRoot(span: ReadableSpan): boolean {
  const parent: { spanId?: string; isRemote?: boolean | undefined } | undefined = tryOr(
    () => span.parentSpanContext,
    undefined,
  );
  return parent === undefined || parent === null || parent.isRemote === true || !parent.spanId;
}
