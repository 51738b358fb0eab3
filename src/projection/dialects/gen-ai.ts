/**
 * The OpenTelemetry GenAI semantic conventions, older key names included. AI SDK 7 (`@ai-sdk/otel`) and
 * current Traceloop instrumentations write these.
 */

import { isRecord, setOwn } from "../../format/json-value.js";
import {
  ATTR_GEN_AI_AGENT_NAME,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
  ATTR_GEN_AI_PROVIDER_NAME,
  ATTR_GEN_AI_REQUEST_MODEL,
  ATTR_GEN_AI_RESPONSE_FINISH_REASONS,
  ATTR_GEN_AI_RESPONSE_MODEL,
  ATTR_GEN_AI_TOOL_CALL_ARGUMENTS,
  ATTR_GEN_AI_TOOL_CALL_ID,
  ATTR_GEN_AI_TOOL_CALL_RESULT,
  ATTR_GEN_AI_TOOL_NAME,
  ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
  ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
  ATTR_GEN_AI_USAGE_INPUT_TOKENS,
  ATTR_GEN_AI_USAGE_OUTPUT_TOKENS,
  ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
} from "../../otel/semantic-conventions.js";
import { decode } from "../content.js";
import type { Dialect, SpanFields, SpanView } from "../dialect.js";

/** `gen_ai.provider.name` before it was renamed. */
const OLD_SYSTEM = "gen_ai.system";
/** The scope of `@ai-sdk/otel`. */
const AI_SDK_SCOPE = "gen_ai";
/** `@ai-sdk/otel` sets this key, also with a tracer of the application. */
const AI_SDK_TOOL_DURATION = "gen_ai.execute_tool.duration";

export const genAi: Dialect = {
  name: "gen-ai",
  matches: (view) =>
    view.has(ATTR_GEN_AI_OPERATION_NAME) ||
    view.has(ATTR_GEN_AI_REQUEST_MODEL) ||
    view.has(ATTR_GEN_AI_PROVIDER_NAME) ||
    view.has(OLD_SYSTEM) ||
    view.has(ATTR_GEN_AI_TOOL_NAME) ||
    view.has(ATTR_GEN_AI_AGENT_NAME),

  read(view: SpanView) {
    const { fields } = view;
    const operation = view.text(ATTR_GEN_AI_OPERATION_NAME);
    const kind = fields.kind ?? kindOf(view, operation);
    if (kind !== undefined) fields.kind = kind;
    view.hint("requestedModel", ATTR_GEN_AI_REQUEST_MODEL);
    view.hint("agent", ATTR_GEN_AI_AGENT_NAME);
    if (fields.kind === "tool") {
      // A tool calls no model, whatever its instrumentation has set.
      readTool(view);
      return;
    }
    view.takeText("modelId", ATTR_GEN_AI_RESPONSE_MODEL, ATTR_GEN_AI_REQUEST_MODEL);
    // A provider without a model is that of a framework: the span has called no model.
    if (fields.kind === "generation" || fields.modelId !== undefined)
      view.takeText("providerId", ATTR_GEN_AI_PROVIDER_NAME, OLD_SYSTEM);
    readEvents(view);
    view.takeContent("input", "structure", ATTR_GEN_AI_INPUT_MESSAGES);
    view.takeContent("output", "structure", ATTR_GEN_AI_OUTPUT_MESSAGES);
    if (fields.kind === "generation" || fields.kind === "embedding") readGeneration(view);
    if (operation === "invoke_agent" || fields.kind === "generation") fields.role = "conversation";
  },
};

function kindOf(view: SpanView, operation: string | undefined): SpanFields["kind"] {
  switch (operation) {
    case "chat":
    case "text_completion":
    case "generate_content":
      return "generation";
    case "embeddings":
      // In AI SDK 7, `embed` and the model call in it have the same operation. Only the model call has token counts.
      return view.scope === AI_SDK_SCOPE && !view.has(ATTR_GEN_AI_USAGE_INPUT_TOKENS) ? "span" : "embedding";
    case "execute_tool":
      return "tool";
    case undefined:
      if (view.has(ATTR_GEN_AI_TOOL_CALL_ID)) return "tool";
      return view.has(ATTR_GEN_AI_USAGE_OUTPUT_TOKENS) ? "generation" : undefined;
    default:
      // `invoke_agent` has the sums of the generations below it: as a generation it would count them twice.
      return "span";
  }
}

function readTool(view: SpanView): void {
  // AI SDK 7 encodes every result as JSON, a text as a quoted string. Other instrumentations write texts as they are.
  const isAiSdk = view.scope === AI_SDK_SCOPE || view.has(AI_SDK_TOOL_DURATION);
  view.takeText("toolName", ATTR_GEN_AI_TOOL_NAME);
  view.takeText("toolCallId", ATTR_GEN_AI_TOOL_CALL_ID);
  view.takeContent("input", "structure", ATTR_GEN_AI_TOOL_CALL_ARGUMENTS);
  view.takeContent("output", isAiSdk ? "json" : "result", ATTR_GEN_AI_TOOL_CALL_RESULT);
}

function readGeneration(view: SpanView): void {
  view.takeFirstText("finishReason", ATTR_GEN_AI_RESPONSE_FINISH_REASONS);
  // Anthropic's own SDK has the reason under a key of its own.
  view.takeText("finishReason", "anthropic.message.stop_reason");
  view.takeNumber("inputTokens", ATTR_GEN_AI_USAGE_INPUT_TOKENS, "gen_ai.usage.prompt_tokens");
  view.takeNumber("outputTokens", ATTR_GEN_AI_USAGE_OUTPUT_TOKENS, "gen_ai.usage.completion_tokens");
  view.takeNumber(
    "cacheReadTokens",
    ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens",
  );
  view.takeNumber(
    "cacheWriteTokens",
    ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
    // The name in the conventions 0.1.0.
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
  );
  view.takeNumber(
    "reasoningTokens",
    ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
    "gen_ai.usage.reasoning_tokens",
  );
  view.restates("total", "gen_ai.usage.total_tokens");
}

/** Roles of the events that had one message each. */
const messageEvents: Readonly<Record<string, string>> = {
  "gen_ai.system.message": "system",
  "gen_ai.user.message": "user",
  "gen_ai.assistant.message": "assistant",
  "gen_ai.tool.message": "tool",
};

/**
 * Content in events of the span, as the conventions had it before attributes: one event per message, one per prompt and
 * completion, or one with all details.
 */
function readEvents(view: SpanView): void {
  const { events } = view;
  if (events.length === 0) return;
  const input: unknown[] = [];
  const output: unknown[] = [];
  for (const event of events) {
    const { name, attributes = {} } = event;
    if (name === "gen_ai.client.inference.operation.details") moveDetails(view, event, attributes);
    else if (name === "gen_ai.content.prompt") input.push(...listOf(attributes["gen_ai.prompt"]));
    else if (name === "gen_ai.content.completion") output.push(...listOf(attributes["gen_ai.completion"]));
    else if (name === "gen_ai.choice") output.push(messageIn(attributes, "assistant"));
    else if (messageEvents[name] !== undefined) input.push(messageIn(attributes, messageEvents[name]));
    else continue;
    if (name !== "gen_ai.client.inference.operation.details")
      view.taken.set(event, new Set(Object.keys(attributes).filter((key) => key !== OLD_SYSTEM)));
  }
  if (input.length > 0 && !view.has(ATTR_GEN_AI_INPUT_MESSAGES)) view.fields.input ??= input;
  if (output.length > 0 && !view.has(ATTR_GEN_AI_OUTPUT_MESSAGES)) view.fields.output ??= output;
}

/** Attributes of the details event that the span itself does not have. */
function moveDetails(view: SpanView, event: object, attributes: Readonly<Record<string, unknown>>): void {
  const moved = new Set<string>();
  for (const [key, value] of Object.entries(attributes)) {
    if (view.has(key)) continue;
    view.attributes.set(key, value);
    moved.add(key);
  }
  view.taken.set(event, moved);
}

function listOf(value: unknown): unknown[] {
  const content = decode(value, "structure");
  return Array.isArray(content) ? content : [content];
}

/** A message whose members are attributes: `content`, `role`, `tool_calls`, `id`; of a choice `message`, `finish_reason`. */
function messageIn(attributes: Readonly<Record<string, unknown>>, role: string): unknown {
  const members: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(attributes))
    if (key !== OLD_SYSTEM) setOwn(members, key.replace(/^gen_ai\.event\./, ""), decode(value, "structure"));
  const { message, id, index: _, ...others } = members;
  const callId = role === "tool" && id !== undefined ? { tool_call_id: id } : id !== undefined ? { id } : {};
  const inner = isRecord(message) ? message : message !== undefined ? { content: message } : {};
  return { role, ...callId, ...inner, ...others };
}
