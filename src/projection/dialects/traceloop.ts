/**
 * Traceloop (OpenLLMetry): `traceloop.*` around workflows, tasks, agents and tools, and the model calls of
 * its instrumentations before they used the GenAI keys (`llm.request.type`, `gen_ai.prompt.0.content`).
 */
import type { Dialect, SpanView } from "../dialect.js";

const SPAN_KIND = "traceloop.span.kind";
const REQUEST_TYPE = "llm.request.type";
const WORKFLOW_NAME = "traceloop.workflow.name";

export const traceloop: Dialect = {
  name: "traceloop",
  matches: (view) => view.has(SPAN_KIND) || view.has(REQUEST_TYPE) || view.has(WORKFLOW_NAME),
  read(view: SpanView) {
    view.hint("userId", "traceloop.association.properties.user_id");
    const kind = view.text(SPAN_KIND);
    if (kind !== undefined) readEntity(view, kind);
    else if (view.has(REQUEST_TYPE)) readModelCall(view);
  },
};

function readEntity(view: SpanView, kind: string): void {
  view.fields.kind ??= kind === "tool" ? "tool" : "span";
  if (view.fields.kind === "tool") view.takeText("toolName", "traceloop.entity.name");
  if (kind === "workflow" || kind === "agent") view.fields.role = "conversation";
  view.takeContent("input", "json", "traceloop.entity.input");
  view.takeContent("output", "json", "traceloop.entity.output");
}

function readModelCall(view: SpanView): void {
  const type = view.text(REQUEST_TYPE);
  const isConversation = type === "chat" || type === "completion";
  view.fields.kind ??= isConversation ? "generation" : type === "embedding" ? "embedding" : "span";
  if (isConversation) view.fields.role = "conversation";
  // The finish reason is only in the output, where it stays, too.
  view.hint("finishReason", "gen_ai.completion.0.finish_reason");
  view.takeFlattened("input", "gen_ai.prompt");
  view.takeFlattened("output", "gen_ai.completion");
  view.takeNumber("inputTokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens");
  view.takeNumber("outputTokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens");
  view.restates("total", "llm.usage.total_tokens");
}
