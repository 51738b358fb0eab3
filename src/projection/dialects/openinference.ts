/** OpenInference (Arize Phoenix): `openinference.span.kind`, `llm.*`, `input.value`, `output.value`. */
import type { Dialect, SpanFields, SpanView } from "../dialect.js";
import { Leaves, unlike } from "../duplicates.js";

const SPAN_KIND = "openinference.span.kind";

const kinds: Readonly<Record<string, SpanFields["kind"]>> = {
  LLM: "generation",
  EMBEDDING: "embedding",
  TOOL: "tool",
};

export const openInference: Dialect = {
  name: "openinference",
  matches: (view) => view.has(SPAN_KIND),
  read(view: SpanView) {
    const { fields } = view;
    const kind = view.text(SPAN_KIND)?.toUpperCase() ?? "";
    fields.kind ??= kinds[kind] ?? "span";
    view.hint("agent", "agent.name");
    // The node of a graph that is an agent has the agent's name.
    if (kind === "AGENT") view.hint("agent", "graph.node.id");
    if (fields.kind === "tool") {
      view.takeText("toolName", "tool.name");
      view.takeText("toolCallId", "tool_call.id", "tool.id");
    }
    if (kind === "LLM" || kind === "AGENT" || kind === "CHAIN") fields.role = "conversation";
    // The messages come first: `input.value` of an LLM span is the whole request.
    if (fields.kind === "generation") {
      removeTwins(view);
      view.takeFlattened("input", "llm.input_messages");
      view.takeFlattened("output", "llm.output_messages");
    }
    takeValue(view, "input");
    if (fields.kind === "embedding") readEmbeddings(view);
    takeValue(view, "output");
    // A provider on the span of a tool or a chain is that of the SDK: the span has called no model.
    if (fields.kind !== "generation" && fields.kind !== "embedding" && kind !== "RERANKER") return;
    view.hint("requestedModel", "llm.request.model_name", "llm.model_name");
    view.takeText("modelId", "llm.response.model_name", "llm.model_name", "llm.request.model_name");
    view.takeText("modelId", "embedding.model_name", "reranker.model_name");
    view.takeText("providerId", "llm.provider", "llm.system");
    if (fields.kind !== "span") readGeneration(view);
  },
};

/** The texts of the embeddings are in the input, too. */
function readEmbeddings(view: SpanView): void {
  const texts = [view.fields.input].flat();
  for (const [key, value] of view.attributes)
    if (/^embedding\.embeddings\.\d+\.embedding\.text$/.test(key) && texts.includes(value))
      view.attributes.delete(key);
  view.takeFlattened("output", "embedding.embeddings");
}

/** Removes from `input.value` and `output.value` what the messages and the parameters have. */
function removeTwins(view: SpanView): void {
  const fields = (["input", "output"] as const).filter(
    (field) => view.has(`${field}.value`) && view.has(`llm.${field}_messages.0.message.role`),
  );
  if (fields.length === 0) return;
  const leaves = new Leaves(view.attributes, ["input.value", "output.value", "metadata"]);
  for (const field of fields) {
    const rest = unlike(leaves, view.attributes.get(`${field}.value`));
    if (rest !== undefined) view.attributes.set(`${field}.value`, rest);
    else {
      view.attributes.delete(`${field}.value`);
      view.attributes.delete(`${field}.mime_type`);
    }
  }
}

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
