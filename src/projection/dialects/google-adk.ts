/** Google's Agent Development Kit: `gcp.vertex.agent.*` beside the GenAI keys. */
import type { Dialect, SpanView } from "../dialect.js";

const SCOPE = "gcp.vertex.agent";
const REQUEST = "gcp.vertex.agent.llm_request";
const RESPONSE = "gcp.vertex.agent.llm_response";

export const googleAdk: Dialect = {
  name: "google-adk",
  matches: (view) => view.scope === SCOPE || view.has(REQUEST),
  read(view: SpanView) {
    const { fields } = view;
    // A call that failed has a name and no attribute.
    const isModelCall = view.name === "call_llm";
    if (isModelCall) fields.kind ??= "generation";
    if (fields.kind === "generation") {
      fields.role = "conversation";
      readRequest(view);
      readResponse(view);
      return;
    }
    if (view.name.startsWith("execute_tool ")) {
      fields.kind ??= "tool";
      if (!view.has("gen_ai.tool.name")) fields.toolName ??= view.name.slice("execute_tool ".length);
    }
    view.takeContent("input", "structure", "gcp.vertex.agent.tool_call_args");
    view.takeContent("output", "structure", "gcp.vertex.agent.tool_response");
  },
};

function readRequest(view: SpanView): void {
  const request = view.members(REQUEST);
  if (request?.contents === undefined || view.fields.input !== undefined) return;
  const { contents, ...others } = request;
  view.fields.input = contents;
  if (others.model === view.text("gen_ai.request.model")) delete others.model;
  view.keepMembers(REQUEST, others);
}

function readResponse(view: SpanView): void {
  const response = view.members(RESPONSE);
  if (response?.content === undefined || view.fields.output !== undefined) return;
  const { content, ...others } = response;
  view.fields.output = content;
  const usage = others.usageMetadata as Record<string, unknown> | undefined;
  const { cachedContentTokenCount: cached, thoughtsTokenCount: thoughts } = usage ?? {};
  if (typeof cached === "number") view.fields.cacheReadTokens ??= cached;
  if (typeof thoughts === "number") {
    view.fields.reasoningTokens ??= thoughts;
    // Gemini does not count thoughts as output.
    const output = view.attributes.get("gen_ai.usage.output_tokens");
    view.fields.outputTokens ??= (typeof output === "number" ? output : 0) + thoughts;
  }
  view.keepMembers(RESPONSE, others);
}
