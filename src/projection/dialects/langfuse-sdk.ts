/** Langfuse's own SDK: `langfuse.observation.*`. */
import { isRecord } from "../../format/json-value.js";
import type { Dialect, SpanFields, SpanView } from "../dialect.js";

const TYPE = "langfuse.observation.type";
const LEVEL = "langfuse.observation.level";
const MESSAGE = "langfuse.observation.status_message";
const USAGE = "langfuse.observation.usage_details";
const COST = "langfuse.observation.cost_details";

const kinds: Readonly<Record<string, SpanFields["kind"]>> = {
  generation: "generation",
  embedding: "embedding",
  tool: "tool",
};

export const langfuseSdk: Dialect = {
  name: "langfuse-sdk",
  matches: (view) => view.has(TYPE) || view.has(LEVEL),
  read(view: SpanView) {
    const { fields } = view;
    const type = view.text(TYPE) ?? "span";
    fields.kind ??= kinds[type] ?? "span";
    if (type === "generation" || type === "agent" || type === "chain") fields.role = "conversation";
    if (type === "agent") fields.agent ??= view.name;
    if (fields.kind !== "tool") view.takeText("modelId", "langfuse.observation.model.name");
    view.takeContent("input", "structure", "langfuse.observation.input");
    view.takeContent("output", "structure", "langfuse.observation.output");
    // A level below ERROR has a message, too. OpenTelemetry has none for a status that is not ERROR: the attribute stays.
    if (view.text(LEVEL) === "ERROR") {
      fields.isError = true;
      view.hint("statusMessage", MESSAGE);
    }
    const tags = view.attributes.get("langfuse.trace.tags");
    if (Array.isArray(tags)) fields.tags ??= tags.filter((tag) => typeof tag === "string");
    if (view.isPart) return;
    if (fields.kind !== "tool") readUsage(view);
    readCost(view);
  },
};

/** Counts by names that programs choose: `input`, `input_cached_tokens`, `cache_read_input_tokens`, `output_reasoning_tokens`. */
function readUsage(view: SpanView): void {
  const usage = view.members(USAGE);
  if (usage === undefined) return;
  const sums = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
  const parts = { input: 0, output: 0 };
  for (const [name, value] of Object.entries(usage)) {
    if (typeof value !== "number" || name === "total") continue;
    const part = partOf(name);
    if (part === undefined) return;
    sums[part] += value;
    if (part === "cacheRead" || part === "cacheWrite") parts.input += value;
    if (part === "reasoning") parts.output += value;
  }
  // The counts are disjoint by convention. Programs that pass on those of a provider include the parts in the whole.
  const whole = sums.input + sums.output;
  const isDisjoint = typeof usage.total !== "number" || usage.total !== whole;
  const { fields } = view;
  fields.inputTokens ??= sums.input + (isDisjoint ? parts.input : 0);
  fields.outputTokens ??= sums.output + (isDisjoint ? parts.output : 0);
  fields.cacheReadTokens ??= sums.cacheRead;
  fields.cacheWriteTokens ??= sums.cacheWrite;
  fields.reasoningTokens ??= sums.reasoning;
  // Details by other names, such as `input_audio_tokens`, are in a sum only.
  const all = fields.inputTokens + fields.outputTokens;
  const isPlain = Object.keys(usage).every((name) => plainNames.has(name));
  if (isPlain && (usage.total === undefined || usage.total === all)) view.attributes.delete(USAGE);
}

const plainNames: ReadonlySet<string> = new Set([
  "input",
  "output",
  "total",
  "input_cached_tokens",
  "output_reasoning_tokens",
  "cache_read_input_tokens",
  "cache_creation_input_tokens",
]);

function partOf(name: string): "input" | "output" | "cacheRead" | "cacheWrite" | "reasoning" | undefined {
  if (/cache/i.test(name)) return /creation|write/i.test(name) ? "cacheWrite" : "cacheRead";
  if (/reasoning|thoughts/i.test(name)) return "reasoning";
  if (/^(input|prompt)/i.test(name)) return "input";
  return /^(output|completion)/i.test(name) ? "output" : undefined;
}

function readCost(view: SpanView): void {
  const cost = view.members(COST);
  if (!isRecord(cost)) return;
  const { total, ...parts } = cost;
  const sum = Object.values(parts).reduce<number>((all, one) => all + (typeof one === "number" ? one : 0), 0);
  const value = typeof total === "number" ? total : sum;
  view.fields.cost ??= value;
  if (Object.keys(parts).length === 0 && view.fields.cost === value) view.attributes.delete(COST);
}
