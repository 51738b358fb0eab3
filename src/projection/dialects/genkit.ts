/** Genkit: `genkit:*`. Models, tools, embedders and flows are actions; the subtype says which. */
import type { Dialect, SpanFields, SpanView } from "../dialect.js";

const TYPE = "genkit:type";
const SUBTYPE = "genkit:metadata:subtype";
const NAME = "genkit:name";
const INPUT = "genkit:input";
const OUTPUT = "genkit:output";

const kinds: Readonly<Record<string, SpanFields["kind"]>> = {
  model: "generation",
  "background-model": "generation",
  embedder: "embedding",
  tool: "tool",
  "tool.v2": "tool",
};

export const genkit: Dialect = {
  name: "genkit",
  matches: (view) => view.has(TYPE),
  read(view: SpanView) {
    const { fields } = view;
    const subtype = view.text(SUBTYPE) ?? "";
    fields.kind ??= kinds[subtype] ?? "span";
    if (view.text("genkit:state") === "error") fields.isError = true;
    if (fields.kind === "tool") view.takeText("toolName", NAME);
    else if (fields.kind !== "span") readModel(view);
    if (fields.kind === "generation" || subtype === "flow") fields.role = "conversation";
    if (fields.kind === "generation") readGeneration(view);
    view.takeContent("input", "json", INPUT);
    view.takeContent("output", "json", OUTPUT);
  },
};

/** `googleai/gemini-3-pro` */
function readModel(view: SpanView): void {
  const name = view.text(NAME);
  view.takeText("modelId", NAME);
  if (name?.includes("/")) view.fields.providerId ??= name.slice(0, name.indexOf("/"));
}

function readGeneration(view: SpanView): void {
  const { fields } = view;
  const input = view.members(INPUT);
  if (input?.messages !== undefined && fields.input === undefined) {
    const { messages, ...others } = input;
    fields.input = messages;
    view.keepMembers(INPUT, others);
  }
  const output = view.members(OUTPUT);
  if (output?.message === undefined || fields.output !== undefined) return;
  const { message, finishReason, usage, ...others } = output;
  fields.output = message;
  if (typeof finishReason === "string") fields.finishReason ??= finishReason;
  else if (finishReason !== undefined) others.finishReason = finishReason;
  const left = readUsage(fields, usage as Record<string, unknown> | undefined);
  view.keepMembers(OUTPUT, { ...others, ...(left && { usage: left }) });
}

/** Returns the counts that are no field. */
function readUsage(
  fields: SpanFields,
  usage: Record<string, unknown> | undefined,
): Record<string, unknown> | undefined {
  if (typeof usage !== "object" || usage === null) return usage;
  const { inputTokens, outputTokens, totalTokens, cachedContentTokens, thoughtsTokens, ...others } = usage;
  const count = (value: unknown) => (typeof value === "number" ? value : 0);
  const [input, output, thoughts] = [count(inputTokens), count(outputTokens), count(thoughtsTokens)];
  // Gemini does not count thoughts as output; other models do.
  const isApart = count(totalTokens) === input + output + thoughts;
  fields.inputTokens ??= input;
  fields.outputTokens ??= isApart ? output + thoughts : output;
  fields.cacheReadTokens ??= count(cachedContentTokens);
  fields.reasoningTokens ??= thoughts;
  const total = fields.inputTokens + fields.outputTokens;
  if (totalTokens !== undefined && totalTokens !== total) others.totalTokens = totalTokens;
  return Object.keys(others).length > 0 ? others : undefined;
}
