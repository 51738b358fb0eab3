/**
 * From an exact span to OpenTelemetry attributes: keys of the GenAI conventions where they exist, else
 * `crash_safe_file.*`. `dialects/own-tracer.ts` is the inverse.
 */
import type { Attributes, AttributeValue } from "@opentelemetry/api";
import { finite, jsonText } from "../format/json-value.js";
import { hasLongText, longJson } from "../format/long-json.js";
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
import type { ExactSpan } from "./exact-span.js";

/** Keys that the tracer writes. A caller's attribute with such a key gets another key. */
const ownKey = /^(crash_safe_file\.|gen_ai\.|session\.id$|otel\.|error\.type$|__proto__$|$)/;

/** `error.type` of a failed span: callers give an error message, and no error type. */
export const unnamedError = "_OTHER";

/** A longer list becomes JSON text: checking each element of it takes too long. */
const maxListItems = 10_000;

/** Collects attributes, and the keys of those that are JSON text. */
class AttributeWriter {
  readonly attributes: Attributes;
  readonly #jsonKeys: string[];

  /** `first`: attributes that {@link setExactTime} has written. */
  constructor(first: Attributes = {}) {
    this.attributes = first;
    const jsonKeys = first[ATTR_CRASH_SAFE_FILE_JSON_KEYS];
    this.#jsonKeys = Array.isArray(jsonKeys) ? (jsonKeys as string[]) : [];
  }

  /** Sets any value: as it is if an attribute can hold it, else as JSON text. */
  setAny(key: string, value: unknown): void {
    if (isAttribute(value)) this.attributes[key] = value;
    else if (value !== undefined) this.#setJson(key, value);
  }

  /** Sets a caller's attributes. Those with a key of the tracer get another key. */
  setCallers(attributes: Readonly<Record<string, unknown>>): void {
    for (const [key, value] of Object.entries(attributes)) {
      this.setAny(ownKey.test(key) ? `${ATTR_CRASH_SAFE_FILE_ATTRIBUTE}${key}` : key, value);
    }
  }

  /** Sets content that the conventions want as JSON text. A text that looks like JSON is encoded as JSON, too. */
  setContent(key: string, value: unknown): void {
    // Backends parse texts that look like an object or a list. Other JSON, a number for example, would stay a text.
    if (typeof value === "object" && value !== null) this.attributes[key] = attributeJson(value);
    else if (typeof value === "string" && !looksLikeJson(value)) this.setAny(key, value);
    else if (value !== undefined) this.#setJson(key, value);
  }

  finish(): Attributes {
    if (this.#jsonKeys.length === 0) return this.attributes;
    return { [ATTR_CRASH_SAFE_FILE_JSON_KEYS]: this.#jsonKeys, ...this.attributes };
  }

  #setJson(key: string, value: unknown): void {
    this.attributes[key] = attributeJson(value);
    this.#jsonKeys.push(key);
  }
}

/** A caller's attributes as OpenTelemetry can hold them. */
export function callerAttributes(attributes: Readonly<Record<string, unknown>>): Attributes {
  const out = new AttributeWriter();
  out.setCallers(attributes);
  return out.finish();
}

/**
 * The attributes of a span: all that its span has, but for what the session adds. Where a provider keeps only so
 * many, the caller's go first, which come last. `first`: those that come before all.
 */
export function exactAttributes(span: ExactSpan, first: Attributes = {}): Attributes {
  const out = new AttributeWriter(first);
  const { statusMessage } = span;
  out.setAny(ATTR_CRASH_SAFE_FILE_KIND, span.kind);
  if (span.status === "error") out.setAny(ATTR_ERROR_TYPE, unnamedError);
  if (span.interrupted) out.setAny(ATTR_CRASH_SAFE_FILE_INTERRUPTED, true);
  // OTLP does not tell an empty message from none.
  if (statusMessage !== undefined && (statusMessage === "" || !statusMessage.isWellFormed()))
    out.setAny(ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE, statusMessage);
  switch (span.kind) {
    case "generation":
      writeGeneration(out, span);
      break;
    case "embedding":
      writeEmbedding(out, span);
      break;
    case "tool":
      writeTool(out, span);
      break;
    case "user-message":
      if (span.input !== undefined) out.setAny(ATTR_GEN_AI_INPUT_MESSAGES, messageJson("user", span.input));
      break;
    default:
      if (!span.name.isWellFormed()) out.setAny(ATTR_CRASH_SAFE_FILE_NAME, span.name);
      out.setAny(ATTR_CRASH_SAFE_FILE_INPUT, span.input);
      out.setAny(ATTR_CRASH_SAFE_FILE_OUTPUT, span.output);
      out.setAny(ATTR_CRASH_SAFE_FILE_COST, span.cost);
  }
  out.setCallers(span.attributes ?? {});
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
  attributes[key] = attributeJson(epochMillis);
  const jsonKeys = attributes[ATTR_CRASH_SAFE_FILE_JSON_KEYS];
  attributes[ATTR_CRASH_SAFE_FILE_JSON_KEYS] = [...(Array.isArray(jsonKeys) ? jsonKeys : []), key];
}

function writeGeneration(out: AttributeWriter, span: ExactSpan): void {
  const { finishReason, input, output, tokens } = span;
  out.setAny(ATTR_GEN_AI_OPERATION_NAME, "chat");
  out.setAny(ATTR_CRASH_SAFE_FILE_NAME, span.name);
  writeModel(out, span.model ?? {});
  if (input !== undefined) out.setAny(ATTR_GEN_AI_INPUT_MESSAGES, messageJson("user", input));
  if (output !== undefined) {
    out.setAny(ATTR_GEN_AI_OUTPUT_MESSAGES, messageJson("assistant", output, finishReason));
  }
  if (finishReason !== undefined) out.setAny(ATTR_GEN_AI_RESPONSE_FINISH_REASONS, [finishReason]);
  out.setAny(ATTR_CRASH_SAFE_FILE_COST, span.cost);
  if (tokens) writeTokens(out, tokens);
}

/** The session tracer records no embedding: its input and output are for the caller, as the instrumentation had them. */
function writeEmbedding(out: AttributeWriter, { model, cost, tokens }: ExactSpan): void {
  out.setAny(ATTR_GEN_AI_OPERATION_NAME, "embeddings");
  writeModel(out, model ?? {});
  out.setAny(ATTR_CRASH_SAFE_FILE_COST, cost);
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

/** The model id without its provider. */
export const bareModel = (modelId: string, providerId: string | undefined): string =>
  providerId !== undefined && modelId.startsWith(`${providerId}/`)
    ? modelId.slice(providerId.length + 1)
    : modelId;

/** The conventions count cached tokens as input, and reasoning tokens as output. A sum that is not finite becomes 0. */
function writeTokens(out: AttributeWriter, tokens: TokenUsage): void {
  const { input, output, reasoning, cacheRead, cacheWrite } = tokens;
  // Sums of fractions, or of very large numbers, do not determine their parts.
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

function writeTool(out: AttributeWriter, { name, tool, input, output }: ExactSpan): void {
  out.setAny(ATTR_GEN_AI_OPERATION_NAME, "execute_tool");
  out.setAny(ATTR_GEN_AI_TOOL_NAME, name);
  out.setAny(ATTR_GEN_AI_TOOL_TYPE, "function");
  out.setAny(ATTR_GEN_AI_TOOL_CALL_ID, tool?.callId);
  out.setContent(ATTR_GEN_AI_TOOL_CALL_ARGUMENTS, input);
  // A text stays as it is: to encode 5 KB as JSON doubled the time of a call.
  out.setAny(ATTR_GEN_AI_TOOL_CALL_RESULT, output);
  out.setAny(ATTR_CRASH_SAFE_FILE_TOOL_DURATION, tool?.durationMs);
}

/** The JSON of one message with one text part, after the JSON schema of the conventions. */
export function messageJson(role: "user" | "assistant", content: unknown, finishReason?: string): string {
  return attributeJson([
    {
      role,
      parts: [{ type: "text", content }],
      ...(finishReason !== undefined && { finish_reason: finishReason }),
    },
  ]);
}

/** Whether backends parse a text as JSON. */
export const looksLikeJson = (text: string): boolean => /^\s*[[{]/.test(text);

const attributeJson = (value: unknown): string =>
  hasLongText(value) ? String(longJson(value)) : (jsonText(value) ?? "null");

function isAttribute(value: unknown): value is AttributeValue {
  if (Array.isArray(value)) {
    const type = typeof value[0];
    if (value.length === 0 || value.length > maxListItems) return false;
    return value.every((one) => typeof one === type && isPrimitive(one));
  }
  return isPrimitive(value);
}

/** Whether OTLP can hold the value: text in UTF-8, integers in 64 bits. A collector refuses the whole batch otherwise. */
function isPrimitive(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number")
    return Number.isInteger(value) ? Math.abs(value) < 2 ** 63 : Number.isFinite(value);
  return typeof value === "boolean";
}
