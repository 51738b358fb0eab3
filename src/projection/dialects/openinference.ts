/** OpenInference (Arize Phoenix): `openinference.span.kind`, `llm.*`, `input.value`, `output.value`. */
import type { Dialect, SpanView } from "../dialect.js";

const SPAN_KIND = "openinference.span.kind";

export const openInference: Dialect = {
  name: "openinference",
  matches: (view) => view.has(SPAN_KIND),
  read(view: SpanView) {
    const { fields } = view;
    const kind = view.text(SPAN_KIND)?.toUpperCase();
    fields.kind ??= kind === "LLM" ? "generation" : kind === "TOOL" ? "tool" : "span";
    view.hint("agent", "agent.name");
    if (fields.kind === "tool") {
      view.takeText("toolName", "tool.name");
      view.takeText("toolCallId", "tool_call.id", "tool.id");
    }
    if (kind === "LLM" || kind === "AGENT" || kind === "CHAIN") fields.role = "conversation";
    // The messages come first: `input.value` of an LLM span is the whole request.
    view.takeFlattened("input", "llm.input_messages");
    view.takeFlattened("output", "llm.output_messages");
    takeValue(view, "input");
    takeValue(view, "output");
    view.hint("requestedModel", "llm.request.model_name", "llm.model_name");
    view.takeText("modelId", "llm.response.model_name", "llm.model_name", "llm.request.model_name");
    view.takeText("modelId", "embedding.model_name", "reranker.model_name");
    view.takeText("providerId", "llm.provider", "llm.system");
    if (fields.kind === "generation") readGeneration(view);
  },
};

function takeValue(view: SpanView, field: "input" | "output"): void {
  if (view.fields[field] !== undefined || !view.has(`${field}.value`)) return;
  const mimeType = view.text(`${field}.mime_type`);
  view.takeContent(field, mimeType === "application/json" ? "structure" : "plain", `${field}.value`);
  // A string under a JSON type did not parse: the type stays as an attribute.
  if (mimeType === "text/plain" || typeof view.fields[field] !== "string") {
    view.attributes.delete(`${field}.mime_type`);
  }
}

function readGeneration(view: SpanView): void {
  view.takeText("finishReason", "llm.finish_reason");
  view.takeNumber("cost", "llm.cost.total");
  view.takeNumber("inputTokens", "llm.token_count.prompt");
  view.takeNumber("outputTokens", "llm.token_count.completion");
  view.takeNumber("cacheReadTokens", "llm.token_count.prompt_details.cache_read");
  view.takeNumber("cacheWriteTokens", "llm.token_count.prompt_details.cache_write");
  view.takeNumber("reasoningTokens", "llm.token_count.completion_details.reasoning");
  view.restates("total", "llm.token_count.total");
}
