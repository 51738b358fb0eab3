/** LangSmith in its OpenTelemetry mode (`traceable`, LangChain, LangGraph): `langsmith.*`, and some GenAI keys. */
import { isRecord } from "../../format/json-value.js";
import type { Dialect, SpanFields, SpanView } from "../dialect.js";
import { messagesIn } from "../messages.js";

const RUN_TYPE = "langsmith.span.kind";
const INPUTS = "gen_ai.prompt";
const USAGE = "langsmith.usage_metadata";
const USAGE_TWIN = "langsmith.metadata.usage_metadata";
const OUTPUTS = "gen_ai.completion";

/** `gen_ai.operation.name` calls a prompt template "chat", and a retriever "embeddings". */
const kinds: Readonly<Record<string, SpanFields["kind"]>> = {
  llm: "generation",
  embedding: "embedding",
  tool: "tool",
};

export const langSmith: Dialect = {
  name: "langsmith",
  matches: (view) => view.has(RUN_TYPE) || view.has("langsmith.traceable"),
  read(view: SpanView) {
    const { fields } = view;
    const type = view.text(RUN_TYPE) ?? "chain";
    fields.kind ??= kinds[type] ?? "span";
    if (type === "llm" || type === "chain") fields.role = "conversation";
    view.hint("userId", "langsmith.metadata.user_id");
    const tags = view.text("langsmith.span.tags");
    if (tags !== undefined) fields.tags ??= tags.split(", ");
    if (view.text(USAGE) === view.text(USAGE_TWIN)) view.attributes.delete(USAGE_TWIN);
    readInputs(view);
    readOutputs(view);
    readDetails(view);
    // The SDK ignores the status ERROR that LangSmith sets after OK.
    if (view.events.some(({ name }) => name === "exception")) fields.isError = true;
  },
};

/** `{ model, messages, … }` of a model; `{ input }` where the program gave one value. */
function readInputs(view: SpanView): void {
  const inputs = view.members(INPUTS);
  if (inputs === undefined || view.fields.input !== undefined) return;
  const { messages, ...others } = inputs;
  if (view.fields.kind === "generation" && messagesIn(messages) !== undefined) {
    view.fields.input = messages;
    if (others.model === view.text("gen_ai.request.model")) delete others.model;
    view.keepMembers(INPUTS, others);
    return;
  }
  view.fields.input = onlyMember(inputs, "input") ?? inputs;
  view.attributes.delete(INPUTS);
}

/** The answer of OpenAI, of LangChain or of a function; `{ outputs }` where the function returned no object. */
function readOutputs(view: SpanView): void {
  const outputs = view.members(OUTPUTS);
  if (outputs === undefined || view.fields.output !== undefined) return;
  if (view.fields.kind === "generation") {
    const { choices, generations, messages, message, ...others } = outputs;
    const answer = messagesOfChoices(choices) ?? messagesOfChoices(generations) ?? messages ?? message;
    if (messagesIn(answer) !== undefined) {
      view.fields.output = answer;
      if (JSON.stringify(others.usage_metadata) === view.text(USAGE)) delete others.usage_metadata;
      view.keepMembers(OUTPUTS, others);
      return;
    }
  }
  view.fields.output = onlyMember(outputs, "outputs") ?? onlyMember(outputs, "output") ?? outputs;
  view.attributes.delete(OUTPUTS);
}

/** The messages of choices, each with the other members of its choice. */
function messagesOfChoices(choices: unknown): unknown {
  if (!Array.isArray(choices)) return undefined;
  return choices.flat().map((choice: unknown) => {
    if (!isRecord(choice) || !isRecord(choice.message)) return undefined;
    const { message, index: _, ...others } = choice;
    return { ...(messagesIn(message)?.[0] ?? {}), ...others };
  });
}

const onlyMember = (members: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.keys(members).length === 1 ? members[name] : undefined;

function readDetails(view: SpanView): void {
  const details = [
    [
      "gen_ai.usage.input_token_details",
      { cache_read: "cacheReadTokens", cache_creation: "cacheWriteTokens" },
    ],
    ["gen_ai.usage.output_token_details", { reasoning: "reasoningTokens" }],
  ] as const;
  if (view.fields.kind !== "generation") return;
  for (const [key, names] of details) {
    const members = view.members(key);
    if (members === undefined) continue;
    for (const [name, field] of Object.entries(names)) {
      const count = members[name];
      if (typeof count !== "number" || view.fields[field] !== undefined) continue;
      view.fields[field] = count;
      delete members[name];
    }
    view.keepMembers(key, members);
  }
}
