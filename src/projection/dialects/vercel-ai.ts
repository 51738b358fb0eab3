/** Vercel AI SDK up to major 6: the `ai.*` keys of `experimental_telemetry`. */
import type { Dialect, SpanView } from "../dialect.js";

const OPERATION_ID = "ai.operationId";
const RESPONSE_TEXT = "ai.response.text";
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
    view.fields.kind ??= MODEL_CALL.test(operation) ? "generation" : "span";
    if (!operation.startsWith("ai.embed")) view.fields.role = "conversation";
    view.hint("requestedModel", "ai.model.id");
    view.takeText("modelId", "ai.response.model", "ai.model.id");
    view.takeText("providerId", "ai.model.provider");
    view.takeContent("input", "structure", "ai.prompt.messages", "ai.prompt");
    view.takeContent("input", "json", "ai.values", "ai.value");
    readOutput(view);
    if (view.fields.kind === "generation") readGeneration(view);
  },
};

function readOutput(view: SpanView): void {
  if (view.has(RESPONSE_TOOL_CALLS)) {
    view.takeMembers("output", {
      text: [RESPONSE_TEXT, "plain"],
      toolCalls: [RESPONSE_TOOL_CALLS, "json"],
    });
    return;
  }
  view.takeContent("output", "json", "ai.response.object");
  view.takeContent("output", "plain", RESPONSE_TEXT);
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
