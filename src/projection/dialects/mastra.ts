/** Mastra (`@mastra/otel-bridge`, `@mastra/otel-exporter`): `mastra.*` beside the GenAI keys. */
import type { Dialect, SpanView } from "../dialect.js";

const SPAN_TYPE = "mastra.span.type";

export const mastra: Dialect = {
  name: "mastra",
  matches: (view) => view.has(SPAN_TYPE),
  /** The kind, the model and the counts are GenAI keys. Of the spans of one model call, one alone has the operation `chat`. */
  read(view: SpanView) {
    const type = view.text(SPAN_TYPE);
    view.hint("userId", "mastra.metadata.userId");
    view.takeContent("input", "structure", `mastra.${type}.input`);
    view.takeContent("output", "structure", `mastra.${type}.output`);
    const tags = view.json("mastra.tags");
    if (Array.isArray(tags)) view.fields.tags ??= tags.filter((tag) => typeof tag === "string");
  },
};
