/** Vercel AI SDK up to major 6: the `ai.*` keys of `experimental_telemetry`. */
import { isRecord } from "../../format/json-value.js";
import type { Dialect, SpanView } from "../dialect.js";

const OPERATION_ID = "ai.operationId";
const RESPONSE_TEXT = "ai.response.text";
const REASONING = "ai.response.reasoning";
const RESPONSE_TOOL_CALLS = "ai.response.toolCalls";
const METADATA_USER_ID = "ai.telemetry.metadata.userId";

/** `ai.generateText.doGenerate` is the call to the model; its parent `ai.generateText` has the sums of all steps. */
const MODEL_CALL = /\.do(?:Generate|Stream|Embed)$/;

export const vercelAi: Dialect = {
  name: "vercel-ai",
  matches: (view) => view.has(OPERATION_ID),
  read(view: SpanView) {
    const operation = view.text(OPERATION_ID) ?? "";
    view.hint("userId", METADATA_USER_ID);
    if (operation === "ai.toolCall") {
      view.fields.kind ??= "tool";
      view.takeText("toolName", "ai.toolCall.name");
      view.takeText("toolCallId", "ai.toolCall.id");
      view.takeContent("input", "json", "ai.toolCall.args");
      view.takeContent("output", "json", "ai.toolCall.result");
      return;
    }
    const isModelCall = MODEL_CALL.test(operation);
    const isEmbedding = operation.startsWith("ai.embed");
    view.fields.kind ??= !isModelCall ? "span" : isEmbedding ? "embedding" : "generation";
    if (!isEmbedding) view.fields.role = "conversation";
    view.hint("requestedModel", "ai.model.id");
    view.takeText("modelId", "ai.response.model", "ai.model.id");
    view.takeText("providerId", "ai.model.provider");
    view.takeContent("input", "structure", "ai.prompt.messages", "ai.prompt");
    view.takeContent("input", "json", "ai.values", "ai.value");
    if (isEmbedding) view.takeContent("output", "json", "ai.embeddings", "ai.embedding");
    else readOutput(view);
    if (isModelCall) readGeneration(view);
  },
};

/** A text, or one message with the reasoning, the text and the calls of tools. */
function readOutput(view: SpanView): void {
  const calls = view.json(RESPONSE_TOOL_CALLS);
  const reasoning = view.text(REASONING);
  if (!Array.isArray(calls) && reasoning === undefined) {
    // The model wrote a text; the object is what the program gets.
    const encoding = view.fields.kind === "generation" ? "plain" : "json";
    view.takeContent("output", encoding, "ai.response.object");
    view.takeContent("output", "plain", RESPONSE_TEXT);
    return;
  }
  const text = view.text(RESPONSE_TEXT);
  if (view.fields.output !== undefined) return;
  const content = [
    ...(reasoning !== undefined ? [{ type: "reasoning", text: reasoning }] : []),
    ...(text !== undefined ? [{ type: "text", text }] : []),
    ...(Array.isArray(calls)
      ? calls.map((call) => (isRecord(call) ? { type: "tool-call", ...call } : call))
      : []),
  ];
  view.fields.output = [{ role: "assistant", content }];
  view.attributes.delete(REASONING);
  view.attributes.delete(RESPONSE_TEXT);
  if (Array.isArray(calls)) view.attributes.delete(RESPONSE_TOOL_CALLS);
}

function readGeneration(view: SpanView): void {
  view.takeText("finishReason", "ai.response.finishReason");
  view.takeNumber("inputTokens", "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens");
  view.takeNumber("outputTokens", "ai.usage.outputTokens", "ai.usage.completionTokens");
  view.takeNumber(
    "cacheReadTokens",
    "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.usage.cachedInputTokens",
  );
  view.takeNumber("cacheWriteTokens", "ai.usage.inputTokenDetails.cacheWriteTokens");
  view.takeNumber(
    "reasoningTokens",
    "ai.usage.outputTokenDetails.reasoningTokens",
    "ai.usage.reasoningTokens",
  );
  view.restates("input", "ai.usage.inputTokenDetails.noCacheTokens");
  view.restates("output", "ai.usage.outputTokenDetails.textTokens");
  view.restates("total", "ai.usage.totalTokens");
}
