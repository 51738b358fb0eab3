/**
 * What is known of a session as a whole: its metadata, and how its turns tell them to a backend.
 */
import type { Attributes } from "@opentelemetry/api";
import type { SessionMetadata, SpanModel } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_MODEL_ID,
  ATTR_CRASH_SAFE_FILE_OWUI_MODEL,
  ATTR_CRASH_SAFE_FILE_PROMPT,
  ATTR_CRASH_SAFE_FILE_TAGS,
  ATTR_CRASH_SAFE_FILE_TITLE,
  ATTR_CRASH_SAFE_FILE_VARIANT,
  ATTR_DEPLOYMENT_ENVIRONMENT_NAME,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_PROVIDER_NAME,
  ATTR_GEN_AI_REQUEST_MODEL,
  ATTR_SERVICE_VERSION,
  ATTR_USER_ID,
} from "../otel/semantic-conventions.js";
import { bareModel } from "../projection/to-attributes.js";
import { textMember, textsMember } from "./untrusted-input.js";

const startFields = [
  "title",
  "model",
  "providerId",
  "agent",
  "variant",
  "prompt",
  "userId",
  "environment",
  "version",
] as const;

/** Metadata as a session starts with them; what is falsy is left out. */
export function startMetadata(options: unknown): SessionMetadata {
  const metadata: SessionMetadata = {};
  for (const field of startFields) {
    const text = textMember(options, field);
    if (text !== undefined) metadata[field] = text;
  }
  const tags = textsMember(options, "tags");
  if (tags) metadata.tags = tags;
  return metadata;
}

/** What an assistant's message says of the session. */
export function assistantMetadata(info: unknown, known: SessionMetadata): SessionMetadata {
  const modelId = textMember(info, "modelID");
  const providerId = textMember(info, "providerID");
  const agent = textMember(info, "agent");
  const variant = textMember(info, "variant");
  return {
    ...(modelId !== undefined && { model: `${providerId ?? ""}/${modelId}` }),
    ...(providerId !== undefined && { providerId }),
    ...(agent !== undefined && known.agent === undefined && { agent }),
    ...(variant !== undefined && { variant }),
  };
}

/** What a chat front end says of it. */
export function owuiMetadata(info: unknown, known: SessionMetadata): SessionMetadata {
  const userId = textMember(info, "userId");
  const modelId = textMember(info, "modelId");
  const agent = textMember(info, "agent");
  const tags = [userId, modelId].filter((tag) => tag !== undefined);
  return {
    ...(userId !== undefined && { userId }),
    ...(agent !== undefined && { agent }),
    ...(modelId !== undefined && { owuiModel: modelId }),
    ...(modelId !== undefined && known.model === undefined && { model: modelId }),
    ...(tags.length > 0 && { tags: [...new Set([...(known.tags ?? []), ...tags])] }),
  };
}

/** The model of a generation that starts now. */
export function modelOf({ model, providerId, variant }: SessionMetadata): SpanModel | undefined {
  const known = {
    ...(model !== undefined && { modelId: model }),
    ...(providerId !== undefined && { providerId }),
    ...(variant !== undefined && { variant }),
  };
  return Object.keys(known).length > 0 ? known : undefined;
}

/** The model as the conventions name it. */
export const modelName = ({ model, providerId }: SessionMetadata): string | undefined =>
  model === undefined ? undefined : bareModel(model, providerId);

/** The metadata on a turn. */
export function metadataAttributes(metadata: SessionMetadata): Attributes {
  const { model, tags } = metadata;
  const name = modelName(metadata);
  const texts = {
    [ATTR_GEN_AI_AGENT_NAME]: metadata.agent,
    [ATTR_GEN_AI_PROVIDER_NAME]: metadata.providerId,
    [ATTR_GEN_AI_REQUEST_MODEL]: name,
    [ATTR_CRASH_SAFE_FILE_MODEL_ID]: model === name ? undefined : model,
    [ATTR_CRASH_SAFE_FILE_VARIANT]: metadata.variant,
    [ATTR_CRASH_SAFE_FILE_TITLE]: metadata.title,
    [ATTR_CRASH_SAFE_FILE_PROMPT]: metadata.prompt,
    [ATTR_CRASH_SAFE_FILE_OWUI_MODEL]: metadata.owuiModel,
    [ATTR_USER_ID]: metadata.userId,
    [ATTR_DEPLOYMENT_ENVIRONMENT_NAME]: metadata.environment,
    [ATTR_SERVICE_VERSION]: metadata.version,
  };
  const attributes: Attributes = tags ? { [ATTR_CRASH_SAFE_FILE_TAGS]: tags } : {};
  for (const [key, text] of Object.entries(texts)) if (text !== undefined) attributes[key] = text;
  return attributes;
}
