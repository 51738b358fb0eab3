/** The metadata of a session, read from what a host reports about the session. */
import type { SessionMetadata, SpanModel } from "../format/trace-file.js";
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

/** The metadata in the options of `startTrace`. Falsy members are left out. */
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

/** The metadata in an assistant's message. The agent counts only while the session has none. */
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

/** The metadata from a chat front end. Its model counts as the session's only while the session has none. */
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

/** The model of a generation that starts with this metadata. */
export function modelOf({ model, providerId, variant }: SessionMetadata): SpanModel | undefined {
  const known = {
    ...(model !== undefined && { modelId: model }),
    ...(providerId !== undefined && { providerId }),
    ...(variant !== undefined && { variant }),
  };
  return Object.keys(known).length > 0 ? known : undefined;
}
