/**
 * A record as OpenTelemetry attributes: the GenAI conventions where they have a key, `crash_safe_file.*` where they
 * have none. `dialect-session.ts` reads them back.
 */
import type { Attributes, AttributeValue } from "@opentelemetry/api";
import { finite, toJsonValue } from "../format/json-value.js";
import type { SessionMetadata, SpanModel, TokenUsage } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_ATTRIBUTE,
  ATTR_CRASH_SAFE_FILE_COST,
  ATTR_CRASH_SAFE_FILE_INPUT,
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_JSON_KEYS,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_MODEL_ID,
  ATTR_CRASH_SAFE_FILE_NAME,
  ATTR_CRASH_SAFE_FILE_OUTPUT,
  ATTR_CRASH_SAFE_FILE_OWUI_MODEL,
  ATTR_CRASH_SAFE_FILE_PROMPT,
  ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE,
  ATTR_CRASH_SAFE_FILE_TAGS,
  ATTR_CRASH_SAFE_FILE_TITLE,
  ATTR_CRASH_SAFE_FILE_TOKENS,
  ATTR_CRASH_SAFE_FILE_TOOL_DURATION,
  ATTR_CRASH_SAFE_FILE_VARIANT,
  ATTR_DEPLOYMENT_ENVIRONMENT_NAME,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
  ATTR_GEN_AI_PROVIDER_NAME,
  ATTR_GEN_AI_REQUEST_MODEL,
  ATTR_GEN_AI_RESPONSE_FINISH_REASONS,
  ATTR_GEN_AI_TOOL_CALL_ARGUMENTS,
  ATTR_GEN_AI_TOOL_CALL_ID,
  ATTR_GEN_AI_TOOL_CALL_RESULT,
  ATTR_GEN_AI_TOOL_NAME,
  ATTR_GEN_AI_TOOL_TYPE,
  ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
  ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
  ATTR_GEN_AI_USAGE_INPUT_TOKENS,
  ATTR_GEN_AI_USAGE_OUTPUT_TOKENS,
  ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
  ATTR_SERVICE_VERSION,
  ATTR_USER_ID,
} from "../otel/semantic-conventions.js";
import type { SpanRecord } from "./attached-record.js";

/** Keys with these beginnings are ours to write: a caller's attribute of such a name is carried under another. */
const ownKey = /^(crash_safe_file\.|gen_ai\.|session\.id$|otel\.|error\.type$|__proto__$|$)/;

/** `error.type` of a record's error: hosts give a message, and no name. */
export const unnamedError = "_OTHER";

/** A longer list is carried as text, which no reader has to walk through. */
const maxListItems = 10_000;

/** Gathers attributes, and which of them are JSON text. */
class AttributeWriter {
  readonly attributes: Attributes;
  readonly #jsonKeys: string[];

  /** `first`: written before, by {@link setExactTime}. */
  constructor(first: Attributes = {}) {
    this.attributes = first;
    const jsonKeys = first[ATTR_CRASH_SAFE_FILE_JSON_KEYS];
    this.#jsonKeys = Array.isArray(jsonKeys) ? (jsonKeys as string[]) : [];
  }

  /** Any value: as it is where an attribute can be that, else as JSON text. */
  setAny(key: string, value: unknown): void {
    if (isAttribute(value)) this.attributes[key] = value;
    else if (value !== undefined) this.#setJson(key, value);
  }

  /** A caller's own; those that would be mistaken for ours get another name. */
  setCallers(attributes: Readonly<Record<string, unknown>>): void {
    for (const [key, value] of Object.entries(attributes)) {
      this.setAny(ownKey.test(key) ? `${ATTR_CRASH_SAFE_FILE_ATTRIBUTE}${key}` : key, value);
    }
  }

  /** Content whose convention asks for JSON text: a text that could be taken for it is marked. */
  setContent(key: string, value: unknown): void {
    // What reads conventions takes objects and lists for JSON; a bare number it would take for text.
    if (typeof value === "object" && value !== null) this.attributes[key] = jsonText(value);
    else if (typeof value === "string" && !looksLikeJson(value)) this.setAny(key, value);
    else if (value !== undefined) this.#setJson(key, value);
  }

  finish(): Attributes {
    if (this.#jsonKeys.length === 0) return this.attributes;
    return { [ATTR_CRASH_SAFE_FILE_JSON_KEYS]: this.#jsonKeys, ...this.attributes };
  }

  #setJson(key: string, value: unknown): void {
    this.attributes[key] = jsonText(value);
    this.#jsonKeys.push(key);
  }
}

/** Attributes that a caller set, as OpenTelemetry can carry them. */
export function callerAttributes(attributes: Readonly<Record<string, unknown>>): Attributes {
  const out = new AttributeWriter();
  out.setCallers(attributes);
  return out.finish();
}

/**
 * The attributes of a record: all that its span has, but for what the session adds. Where a provider keeps only so
 * many, the caller's go first, which come last. `first`: those that come before all.
 */
export function recordAttributes(record: SpanRecord, first: Attributes = {}): Attributes {
  const out = new AttributeWriter(first);
  const { statusMessage } = record;
  out.setAny(ATTR_CRASH_SAFE_FILE_KIND, record.kind);
  if (record.status === "error") out.setAny(ATTR_ERROR_TYPE, unnamedError);
  if (record.interrupted) out.setAny(ATTR_CRASH_SAFE_FILE_INTERRUPTED, true);
  // OTLP does not tell an empty message from none.
  if (statusMessage !== undefined && (statusMessage === "" || !statusMessage.isWellFormed()))
    out.setAny(ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE, statusMessage);
  switch (record.kind) {
    case "generation":
      writeGeneration(out, record);
      break;
    case "tool":
      writeTool(out, record);
      break;
    case "user-message":
      if (record.input !== undefined) out.setAny(ATTR_GEN_AI_INPUT_MESSAGES, messageOf("user", record.input));
      break;
    default:
      if (!record.name.isWellFormed()) out.setAny(ATTR_CRASH_SAFE_FILE_NAME, record.name);
      out.setAny(ATTR_CRASH_SAFE_FILE_INPUT, record.input);
      out.setAny(ATTR_CRASH_SAFE_FILE_OUTPUT, record.output);
      out.setAny(ATTR_CRASH_SAFE_FILE_COST, record.cost);
  }
  out.setCallers(record.attributes ?? {});
  return out.finish();
}

/** The model of a session as the conventions name it, without its provider. */
export const modelName = ({ model, providerId }: SessionMetadata): string | undefined =>
  model === undefined ? undefined : bareModel(model, providerId);

/** The metadata of a session, as attributes of its turns. */
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

/** Epoch milliseconds where a span cannot have them as its time: they may be too many for a number of OTLP. */
export function setExactTime(attributes: Record<string, unknown>, key: string, epochMillis: number): void {
  if (isAttribute(epochMillis)) {
    attributes[key] = epochMillis;
    return;
  }
  attributes[key] = jsonText(epochMillis);
  const jsonKeys = attributes[ATTR_CRASH_SAFE_FILE_JSON_KEYS];
  attributes[ATTR_CRASH_SAFE_FILE_JSON_KEYS] = [...(Array.isArray(jsonKeys) ? jsonKeys : []), key];
}

function writeGeneration(out: AttributeWriter, record: SpanRecord): void {
  const { finishReason, input, output, tokens } = record;
  out.setAny(ATTR_GEN_AI_OPERATION_NAME, "chat");
  out.setAny(ATTR_CRASH_SAFE_FILE_NAME, record.name);
  writeModel(out, record.model ?? {});
  if (input !== undefined) out.setAny(ATTR_GEN_AI_INPUT_MESSAGES, messageOf("user", input));
  if (output !== undefined) {
    out.setAny(ATTR_GEN_AI_OUTPUT_MESSAGES, messageOf("assistant", output, finishReason));
  }
  if (finishReason !== undefined) out.setAny(ATTR_GEN_AI_RESPONSE_FINISH_REASONS, [finishReason]);
  out.setAny(ATTR_CRASH_SAFE_FILE_COST, record.cost);
  if (tokens) writeTokens(out, tokens);
}

/** `modelId` of a document is `<provider>/<model>` as a rule; the convention's is the model alone. */
function writeModel(out: AttributeWriter, { modelId, providerId, variant }: SpanModel): void {
  const model = modelId !== undefined ? bareModel(modelId, providerId) : undefined;
  out.setAny(ATTR_GEN_AI_PROVIDER_NAME, providerId);
  out.setAny(ATTR_GEN_AI_REQUEST_MODEL, model);
  if (modelId !== model) out.setAny(ATTR_CRASH_SAFE_FILE_MODEL_ID, modelId);
  out.setAny(ATTR_CRASH_SAFE_FILE_VARIANT, variant);
}

/** The model without its provider. */
export const bareModel = (modelId: string, providerId: string | undefined): string =>
  providerId !== undefined && modelId.startsWith(`${providerId}/`)
    ? modelId.slice(providerId.length + 1)
    : modelId;

/** The conventions count cached tokens as input, and reasoning as output. A sum beyond all numbers is none: 0. */
function writeTokens(out: AttributeWriter, tokens: TokenUsage): void {
  const { input, output, reasoning, cacheRead, cacheWrite } = tokens;
  // Sums of what is no whole number, or very large, do not give their parts back.
  if (!isExact(tokens)) out.setAny(ATTR_CRASH_SAFE_FILE_TOKENS, tokens);
  out.setAny(ATTR_GEN_AI_USAGE_INPUT_TOKENS, finite(input + cacheRead + cacheWrite));
  out.setAny(ATTR_GEN_AI_USAGE_OUTPUT_TOKENS, finite(output + reasoning));
  out.setAny(ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, cacheRead);
  out.setAny(ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS, cacheWrite);
  out.setAny(ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, reasoning);
}

const isExact = ({ total, ...parts }: TokenUsage): boolean =>
  Object.values(parts).every((part) => Number.isSafeInteger(part) && part >= 0) &&
  Number.isSafeInteger(total) &&
  total === parts.input + parts.output + parts.reasoning + parts.cacheRead + parts.cacheWrite;

function writeTool(out: AttributeWriter, { name, tool, input, output }: SpanRecord): void {
  out.setAny(ATTR_GEN_AI_OPERATION_NAME, "execute_tool");
  out.setAny(ATTR_GEN_AI_TOOL_NAME, name);
  out.setAny(ATTR_GEN_AI_TOOL_TYPE, "function");
  out.setAny(ATTR_GEN_AI_TOOL_CALL_ID, tool?.callId);
  out.setContent(ATTR_GEN_AI_TOOL_CALL_ARGUMENTS, input);
  // The text itself: as JSON, 5 KB of it doubled the cost of a call.
  out.setAny(ATTR_GEN_AI_TOOL_CALL_RESULT, output);
  out.setAny(ATTR_CRASH_SAFE_FILE_TOOL_DURATION, tool?.durationMs);
}

/** One message of one text part, as the conventions' JSON schema of messages has it. */
export function messageOf(role: "user" | "assistant", content: unknown, finishReason?: string): string {
  return jsonText([
    {
      role,
      parts: [{ type: "text", content }],
      ...(finishReason !== undefined && { finish_reason: finishReason }),
    },
  ]);
}

/** Whether what reads conventions takes a text for JSON. */
export const looksLikeJson = (text: string): boolean => /^\s*[[{]/.test(text);

function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch {
    return JSON.stringify(toJsonValue(value)) ?? "null";
  }
}

function isAttribute(value: unknown): value is AttributeValue {
  if (Array.isArray(value)) {
    const type = typeof value[0];
    if (value.length === 0 || value.length > maxListItems) return false;
    return value.every((one) => typeof one === type && isPrimitive(one));
  }
  return isPrimitive(value);
}

/** What OTLP carries as it is: text in UTF-8, integers in 64 bits. A collector refuses the whole batch for others. */
function isPrimitive(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number")
    return Number.isInteger(value) ? Math.abs(value) < 2 ** 63 : Number.isFinite(value);
  return typeof value === "boolean";
}
