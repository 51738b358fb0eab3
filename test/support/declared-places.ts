/**
 * Where the document has each attribute of a captured span: a table from keys to paths. A key that the table lacks stays
 * under `attributes`.
 */
import type { TraceSpan } from "../../src/format/trace-file.js";
import { normalFinishReason } from "../../src/projection/finish-reasons.js";

/** A member of a span of the document, such as `["tool", "callId"]`. */
export type Path = readonly string[];

interface Place {
  readonly keys: RegExp;
  /** Only for spans of these kinds. */
  readonly kinds?: readonly TraceSpan["kind"][];
  readonly at: Path;
  /**
   * `same`: the value itself, or the first of a list. `leaves`: each text and number of the value, in any structure; what
   * has no place there stays under the key. `count`: a count of tokens, which the document splits into disjoint parts.
   * `reason`: normalised, with the original beside it.
   */
  readonly as: "same" | "leaves" | "count" | "reason";
}

const tokens = (keys: RegExp): Place => ({ keys, at: ["tokens"], as: "count" });

const finishReasons =
  /^(ai\.response\.finishReason|llm\.finish_reason|gen_ai\.response\.finish_reasons|anthropic\.message\.stop_reason)$/;

const places: readonly Place[] = [
  {
    keys: /^(ai\.response\.model|ai\.model\.id|gen_ai\.(response|request)\.model)$/,
    at: ["model", "modelId"],
    as: "same",
  },
  {
    keys: /^(llm(\.response|\.request)?\.model_name|embedding\.model_name)$/,
    at: ["model", "modelId"],
    as: "same",
  },
  { keys: /^langfuse\.observation\.model\.name$/, at: ["model", "modelId"], as: "same" },
  { keys: /^genkit:name$/, kinds: ["generation", "embedding"], at: ["model", "modelId"], as: "same" },
  {
    keys: /^(ai\.model\.provider|gen_ai\.system|gen_ai\.provider\.name|llm\.provider|llm\.system)$/,
    at: ["model", "providerId"],
    as: "same",
  },
  {
    keys: /^(ai\.toolCall\.name|gen_ai\.tool\.name|tool\.name|traceloop\.entity\.name|genkit:name)$/,
    kinds: ["tool"],
    at: ["name"],
    as: "same",
  },
  { keys: /^(ai\.toolCall\.id|gen_ai\.tool\.call\.id)$/, at: ["tool", "callId"], as: "same" },
  { keys: finishReasons, at: ["finishReason"], as: "reason" },
  { keys: finishReasons, at: ["attributes", "gen_ai.response.finish_reasons"], as: "reason" },
  { keys: /^(ai\.prompt|ai\.prompt\.messages|ai\.values?|ai\.toolCall\.args)$/, at: ["input"], as: "leaves" },
  {
    keys: /^(input\.value|llm\.input_messages\..*|embedding\.embeddings\.\d+\.embedding\.text)$/,
    at: ["input"],
    as: "leaves",
  },
  {
    keys: /^(gen_ai\.input\.messages|gen_ai\.tool\.call\.arguments|gen_ai\.prompt(\..*)?)$/,
    at: ["input"],
    as: "leaves",
  },
  { keys: /^(traceloop\.entity|langfuse\.observation|mastra\.\w+)\.input$/, at: ["input"], as: "leaves" },
  { keys: /^(genkit:input|gcp\.vertex\.agent\.(llm_request|tool_call_args))$/, at: ["input"], as: "leaves" },
  {
    keys: /^ai\.(response\.(text|reasoning|toolCalls|object)|embeddings?|toolCall\.result)$/,
    at: ["output"],
    as: "leaves",
  },
  {
    keys: /^(output\.value|llm\.output_messages\..*|embedding\.embeddings\..*)$/,
    at: ["output"],
    as: "leaves",
  },
  {
    keys: /^(gen_ai\.output\.messages|gen_ai\.tool\.call\.result|gen_ai\.completion(\..*)?)$/,
    at: ["output"],
    as: "leaves",
  },
  { keys: /^(traceloop\.entity|langfuse\.observation|mastra\.\w+)\.output$/, at: ["output"], as: "leaves" },
  {
    keys: /^(genkit:output|gcp\.vertex\.agent\.(llm_response|tool_response))$/,
    at: ["output"],
    as: "leaves",
  },
  tokens(/^ai\.usage\./),
  tokens(/^(gen_ai|llm)\.usage\./),
  tokens(/^llm\.token_count\./),
  tokens(/^langfuse\.observation\.usage_details$/),
];

/** Attributes that are dropped, and the attribute that has the same content. */
export const twins: readonly { readonly keys: RegExp; readonly twin: string; readonly isMoved?: true }[] = [
  // The MIME type says how the value is read, and goes when no part of the value is left under its key.
  { keys: /^input\.mime_type$/, twin: "input.value", isMoved: true },
  { keys: /^output\.mime_type$/, twin: "output.value", isMoved: true },
  { keys: /^langsmith\.metadata\.usage_metadata$/, twin: "langsmith.usage_metadata" },
];

export type Attributes = Readonly<Record<string, unknown>>;

/** The places where a span of the document may have an attribute, the default place last. */
export function placesOf(key: string, { kind }: TraceSpan): { at: Path; as: Place["as"] }[] {
  const declared = places.filter(({ keys, kinds }) => keys.test(key) && (kinds?.includes(kind) ?? true));
  return [...declared, { at: ["attributes", key], as: "same" as const }];
}

export const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((inner, name) => (inner as Attributes | undefined)?.[name], value);

/** Whether the span of the document has the attribute at the place. */
export function isAt(
  span: TraceSpan,
  key: string,
  value: unknown,
  { at, as }: { at: Path; as: Place["as"] },
): boolean {
  const found = valueAt(span, at);
  if (found === undefined) return false;
  switch (as) {
    case "same":
      return JSON.stringify(found) === JSON.stringify(value) || (Array.isArray(value) && value[0] === found);
    case "reason":
      return [parsed(value)].flat().every((reason) => isReason(span, found, reason));
    case "count":
      return isCounted(span, key, value);
    case "leaves":
      return missingLeaves(span, key, value, found).length === 0;
  }
}

/** A reason that is normalised to another word is beside the word. */
const isReason = (span: TraceSpan, found: unknown, reason: unknown): boolean =>
  Array.isArray(found)
    ? found.includes(reason) && normalFinishReason(String(found[0])) === span.finishReason
    : reason === found;

/** A whole includes its parts by some clients, and excludes them by others. */
function isCounted(span: TraceSpan, key: string, value: unknown): boolean {
  if (span.tokens === undefined) return false;
  const { input, output, reasoning, cacheRead, cacheWrite, total } = span.tokens;
  const counts = parsed(value);
  if (typeof counts === "object" && counts !== null)
    return Object.entries(counts).every(([name, count]) => isCounted(span, name, count));
  const sums: readonly [RegExp, readonly number[]][] = [
    [/cache.*(write|creation)/i, [cacheWrite]],
    [/no_?cache/i, [input]],
    [/cache/i, [cacheRead]],
    [/reasoning/i, [reasoning]],
    [/text/i, [output]],
    [/total/i, [total]],
    [/input|prompt|ai\.usage\.tokens/i, [input, input + cacheRead + cacheWrite]],
    [/output|completion/i, [output, output + reasoning]],
  ];
  return sums.find(([name]) => name.test(key))?.[1].includes(counts as number) ?? false;
}

/** Names of members that say how a message is built, in the words of each client. */
const frame: ReadonlySet<string> = new Set(["type", "role", "index", "lc"]);

/** The texts and numbers that neither the place nor another attribute of the document has. */
function missingLeaves(span: TraceSpan, key: string, value: unknown, found: unknown): unknown[] {
  const { [key]: rest, ...others } = span.attributes ?? {};
  // A part of a request is in another attribute, too: model, parameters, tools.
  if (frame.has(key.slice(key.lastIndexOf(".") + 1))) return [];
  const known = new Set([...leaves(found), ...leaves(rest)]);
  const elsewhere =
    /^(input|output)\.value$/.test(key) || typeof rest === "string" || key.startsWith("gen_ai.completion");
  if (elsewhere || /^(genkit|gcp|gen_ai.prompt)/.test(key))
    for (const leaf of [...leaves(others), ...leaves(span.model), ...leaves(span.tokens), span.finishReason])
      known.add(leaf);
  const usage = countsIn(span);
  const isKnown = (leaf: unknown) =>
    known.has(leaf) || (typeof leaf === "number" && elsewhereCounted(key) && usage.has(leaf));
  const mustBeThere = /^(input|output)\.value$/.test(key) ? leaves(found).size > 0 : true;
  return mustBeThere ? [...leaves(parsed(value))].filter((leaf) => !isKnown(leaf)) : [value];
}

const elsewhereCounted = (key: string): boolean => /^(genkit:output|gcp\.)/.test(key);

function countsIn({ tokens: counted }: TraceSpan): Set<number> {
  if (counted === undefined) return new Set();
  const { input, output, reasoning, cacheRead, cacheWrite, total } = counted;
  return new Set([
    input + cacheRead + cacheWrite,
    output + reasoning,
    reasoning,
    cacheRead,
    cacheWrite,
    total,
  ]);
}

function parsed(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*["[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function leaves(value: unknown, into = new Set<unknown>()): Set<unknown> {
  const inner = parsed(value);
  if (Array.isArray(inner)) for (const one of inner) leaves(one, into);
  else if (typeof inner === "object" && inner !== null) {
    const isFrame = "lc" in inner && "kwargs" in inner;
    for (const [name, one] of Object.entries(inner))
      if (!frame.has(name) && !(isFrame && name === "id")) leaves(one, into);
  } else if (inner !== undefined && inner !== null && inner !== "") into.add(inner);
  return into;
}

/** Whether the value has any text or number. */
export const hasContent = (value: unknown): boolean => leaves(value).size > 0;
