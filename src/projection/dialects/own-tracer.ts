/**
 * Spans of this package's session tracer that come without their records, from another process for example: the inverse
 * of `to-attributes.ts`. No other dialect reads these spans.
 */

import type { TokenUsage } from "../../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_ATTRIBUTE,
  ATTR_CRASH_SAFE_FILE_COST,
  ATTR_CRASH_SAFE_FILE_END_TIME,
  ATTR_CRASH_SAFE_FILE_INPUT,
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_JSON_KEYS,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_MODEL_ID,
  ATTR_CRASH_SAFE_FILE_NAME,
  ATTR_CRASH_SAFE_FILE_OUTPUT,
  ATTR_CRASH_SAFE_FILE_OWUI_MODEL,
  ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID,
  ATTR_CRASH_SAFE_FILE_PROMPT,
  ATTR_CRASH_SAFE_FILE_START_TIME,
  ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE,
  ATTR_CRASH_SAFE_FILE_TAGS,
  ATTR_CRASH_SAFE_FILE_TITLE,
  ATTR_CRASH_SAFE_FILE_TOKENS,
  ATTR_CRASH_SAFE_FILE_TOOL_DURATION,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_CRASH_SAFE_FILE_VARIANT,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_CONVERSATION_ID,
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
  ATTR_SESSION_ID,
  SESSION_SCOPE,
} from "../../otel/semantic-conventions.js";
import type { Dialect, SharedFields, SpanView, TracerFields } from "../dialect.js";
import { looksLikeJson, unnamedError } from "../to-attributes.js";

type Kind = NonNullable<SharedFields["kind"]>;
const KINDS: ReadonlySet<string> = new Set<Kind>(["generation", "tool", "user-message", "text", "span"]);

export const ownTracer: Dialect<TracerFields> = {
  name: "own-tracer",
  matches: (view) => view.scope === SESSION_SCOPE && view.has(ATTR_CRASH_SAFE_FILE_KIND),
  read(view: SpanView<TracerFields>) {
    const { attributes, fields } = view;
    parseJsonKeys(view);
    const kind = view.text(ATTR_CRASH_SAFE_FILE_KIND);
    if (kind !== undefined && KINDS.has(kind)) fields.kind = kind as Kind;
    if (attributes.get(ATTR_CRASH_SAFE_FILE_INTERRUPTED) === true) fields.interrupted = true;
    view.takeText("name", ATTR_CRASH_SAFE_FILE_NAME, ATTR_GEN_AI_TOOL_NAME);
    const message = attributes.get(ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE);
    if (typeof message === "string") fields.statusMessage = message;
    attributes.delete(ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE);
    // The tracer writes this value only. Another value describes the error of another instrumentation.
    fields.isError = attributes.get(ATTR_ERROR_TYPE) === unnamedError;
    if (fields.isError) attributes.delete(ATTR_ERROR_TYPE);
    view.takeAnyNumber("startTime", ATTR_CRASH_SAFE_FILE_START_TIME);
    view.takeAnyNumber("endTime", ATTR_CRASH_SAFE_FILE_END_TIME);
    view.takeAnyNumber("cost", ATTR_CRASH_SAFE_FILE_COST);
    view.takeText("modelId", ATTR_CRASH_SAFE_FILE_MODEL_ID, ATTR_GEN_AI_REQUEST_MODEL);
    view.takeText("providerId", ATTR_GEN_AI_PROVIDER_NAME);
    view.takeText("variant", ATTR_CRASH_SAFE_FILE_VARIANT);
    if (kind === "turn") readTurn(view);
    else if (fields.kind === "tool") readTool(view);
    else readContent(view);
    if (fields.kind === "generation") readGeneration(view);
    if (attributes.has(ATTR_CRASH_SAFE_FILE_TURN_INDEX)) fields.isTopLevel = true;
    for (const key of restated) attributes.delete(key);
    restoreCallers(view);
  },
};

/** Keys that every span has for backends that show single spans; the document has these values once. */
const restated = [
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_TURN_INDEX,
  ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID,
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_CONVERSATION_ID,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_REQUEST_MODEL,
  ATTR_GEN_AI_TOOL_TYPE,
  ATTR_SESSION_ID,
];

/**
 * Restores the names of a caller's attributes that were renamed because the tracer uses these names. All of them are
 * removed first: a restored name may be the present name of another one.
 */
function restoreCallers({ attributes, parsed }: SpanView<TracerFields>): void {
  const isMoved = ([key]: [string, unknown]) => key.startsWith(ATTR_CRASH_SAFE_FILE_ATTRIBUTE);
  const moved = [...attributes].filter(isMoved).map(([key, value]) => {
    attributes.delete(key);
    return { key: key.slice(ATTR_CRASH_SAFE_FILE_ATTRIBUTE.length), value, isParsed: parsed.delete(key) };
  });
  for (const { key, value, isParsed } of moved) {
    attributes.set(key, value);
    if (isParsed) parsed.add(key);
  }
}

function parseJsonKeys({ attributes, parsed }: SpanView<TracerFields>): void {
  const keys = attributes.get(ATTR_CRASH_SAFE_FILE_JSON_KEYS);
  attributes.delete(ATTR_CRASH_SAFE_FILE_JSON_KEYS);
  for (const key of Array.isArray(keys) ? keys : []) {
    const text = attributes.get(key);
    if (typeof text !== "string") continue;
    try {
      attributes.set(key, JSON.parse(text));
      parsed.add(key);
    } catch {
      // A limit of the provider or a backend has cut the JSON text: what is left stays a text.
    }
  }
}

function readTurn(view: SpanView<TracerFields>): void {
  const { fields } = view;
  fields.isTurn = true;
  view.hint("agent", ATTR_GEN_AI_AGENT_NAME);
  view.hint("title", ATTR_CRASH_SAFE_FILE_TITLE);
  view.hint("prompt", ATTR_CRASH_SAFE_FILE_PROMPT);
  view.hint("owuiModel", ATTR_CRASH_SAFE_FILE_OWUI_MODEL);
  const tags = view.attributes.get(ATTR_CRASH_SAFE_FILE_TAGS);
  if (Array.isArray(tags)) fields.tags = tags.filter((tag) => typeof tag === "string");
}

function readTool(view: SpanView<TracerFields>): void {
  view.takeText("toolCallId", ATTR_GEN_AI_TOOL_CALL_ID);
  view.takeAnyNumber("toolDurationMs", ATTR_CRASH_SAFE_FILE_TOOL_DURATION);
  const { attributes, parsed, fields } = view;
  const input = attributes.get(ATTR_GEN_AI_TOOL_CALL_ARGUMENTS);
  attributes.delete(ATTR_GEN_AI_TOOL_CALL_ARGUMENTS);
  const isJson =
    typeof input === "string" && looksLikeJson(input) && !parsed.has(ATTR_GEN_AI_TOOL_CALL_ARGUMENTS);
  fields.input = isJson ? parsedOr(input) : input;
  view.takeContent("output", "plain", ATTR_GEN_AI_TOOL_CALL_RESULT);
}

/** The parsed JSON; the text itself if a limit of the provider or a backend has cut it. */
function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function readContent(view: SpanView<TracerFields>): void {
  view.takeContent("input", "plain", ATTR_CRASH_SAFE_FILE_INPUT, ATTR_GEN_AI_INPUT_MESSAGES);
  view.takeContent("output", "plain", ATTR_CRASH_SAFE_FILE_OUTPUT, ATTR_GEN_AI_OUTPUT_MESSAGES);
  if (view.fields.kind === "span") return;
  view.fields.input = onlyContent(view.fields.input);
  view.fields.output = onlyContent(view.fields.output);
}

function readGeneration(view: SpanView<TracerFields>): void {
  view.takeFirstText("finishReason", ATTR_GEN_AI_RESPONSE_FINISH_REASONS);
  view.takeAnyNumber("inputTokens", ATTR_GEN_AI_USAGE_INPUT_TOKENS);
  view.takeAnyNumber("outputTokens", ATTR_GEN_AI_USAGE_OUTPUT_TOKENS);
  view.takeAnyNumber("cacheReadTokens", ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS);
  view.takeAnyNumber("cacheWriteTokens", ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS);
  view.takeAnyNumber("reasoningTokens", ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS);
  const tokens = view.attributes.get(ATTR_CRASH_SAFE_FILE_TOKENS);
  if (view.parsed.has(ATTR_CRASH_SAFE_FILE_TOKENS) && isTokens(tokens)) view.fields.tokens = tokens;
  view.attributes.delete(ATTR_CRASH_SAFE_FILE_TOKENS);
}

const isTokens = (value: unknown): value is TokenUsage =>
  typeof value === "object" &&
  value !== null &&
  tokenParts.every((part) => typeof (value as Record<string, unknown>)[part] === "number");
const tokenParts: readonly (keyof TokenUsage)[] = [
  "input",
  "output",
  "reasoning",
  "cacheRead",
  "cacheWrite",
  "total",
];

/** The text of a list of one message with one text part; any other value as it is. */
function onlyContent(messages: unknown): unknown {
  if (typeof messages !== "string") return messages;
  try {
    const [message, ...others] = JSON.parse(messages);
    const [part, ...more] = message.parts;
    return others.length === 0 && more.length === 0 && part.type === "text" ? part.content : messages;
  } catch {
    return messages;
  }
}
