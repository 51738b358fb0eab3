/** The metadata of a session, read from what a host reports about the session. */
import type { SessionMetadata, SpanModel } from "../format/trace-file.js";
import { member, textMember, textsMember, toText } from "./untrusted-input.js";

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

/** The metadata in the options of `startTrace`. Empty texts are kept; other falsy members are left out. */
export function startMetadata(options: unknown): SessionMetadata {
  const metadata: SessionMetadata = {};
  for (const field of startFields) {
    const value = member(options, field);
    if (value || value === "") metadata[field] = toText(value);
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
    ...(agent !== undefined && !known.agent && { agent }),
    ...(variant !== undefined && { variant }),
  };
}

/** The metadata from a chat front end. Its model counts as that of the session only while the session has none. */
export function owuiMetadata(info: unknown, known: SessionMetadata): SessionMetadata {
  const userId = textMember(info, "userId");
  const modelId = textMember(info, "modelId");
  const agent = textMember(info, "agent");
  const base = { ...(userId !== undefined && { userId }), ...(agent !== undefined && { agent }) };
  if (modelId === undefined) return base;
  // The user is no tag: the id is an e-mail address.
  const tags = [...(known.tags ?? []), modelId, ...(agent === undefined ? [] : [agent])];
  return {
    ...base,
    owuiModel: modelId,
    ...(!known.model && { model: modelId }),
    tags: [...new Set(tags)],
  };
}

/** The model of a generation that starts with this metadata. */
export function modelOf({ model, providerId, variant }: SessionMetadata): SpanModel | undefined {
  const known = {
    ...(model && { modelId: model }),
    ...(providerId && { providerId }),
    ...(variant && { variant }),
  };
  return Object.keys(known).length > 0 ? known : undefined;
}
