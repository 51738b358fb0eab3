/**
 * What a model was given and answered, in one shape for all instrumentations: a text, or messages
 * `{ role, content: [parts] }`. Parts have the shapes of the GenAI conventions: `text` and `reasoning` with `content`,
 * `tool_call` with `id`, `name`, `arguments`, `tool_call_response` with `id`, `response`. A member that is not known here
 * stays.
 */
import { isRecord } from "../format/json-value.js";
import { decode } from "./content.js";

type Members = Readonly<Record<string, unknown>>;
type Part = Record<string, unknown>;

/** Words of instrumentations for the roles of the conventions. */
const roles: Readonly<Record<string, string>> = {
  model: "assistant",
  ai: "assistant",
  human: "user",
  function: "tool",
};

/** Classes of LangChain's messages in their serialised form. */
const langChainRoles: Readonly<Record<string, string>> = {
  SystemMessage: "system",
  HumanMessage: "user",
  AIMessage: "assistant",
  AIMessageChunk: "assistant",
  ToolMessage: "tool",
  FunctionMessage: "tool",
};

/** The content of a generation in the one shape. `role`: of content that is no message. */
export function generationContent(value: unknown, role: "user" | "assistant"): unknown {
  if (value === undefined || typeof value === "string") return value;
  const list = Array.isArray(value) ? value : [value];
  return messagesIn(list.map((one) => withRole(one, role))) ?? [{ role, content: [json(value)] }];
}

/** The messages of a list of messages, or of one message; `undefined` for any other value. */
export function messagesIn(value: unknown): Part[] | undefined {
  const list = Array.isArray(value) ? value : [value];
  // LangChain has a list of prompts, with one prompt as a rule.
  if (list.length === 1 && Array.isArray(list[0])) return messagesIn(list[0]);
  return list.length > 0 && list.every(isMessage) ? list.map(messageOf) : undefined;
}

/** A message without a role, as some instrumentations flatten it. */
const withRole = (value: unknown, role: string): unknown =>
  isRecord(value) && roleOf(value) === undefined && bodies.some((name) => value[name] !== undefined)
    ? { role, ...value }
    : value;

const bodies: readonly string[] = ["content", "contents", "parts", "tool_calls"];

/** The Responses API of OpenAI has calls and results beside messages. */
const itemRoles: Readonly<Record<string, string>> = {
  function_call: "assistant",
  reasoning: "assistant",
  function_call_output: "tool",
  function_call_result: "tool",
};

const roleOf = (value: unknown): unknown => {
  if (!isRecord(value)) return undefined;
  if (typeof value.role === "string") return value.role;
  if (typeof value.type === "string") return itemRoles[value.type];
  return undefined;
};

/** A message of LangChain without the frame of its serialised form; `undefined` for any other value. */
export function langChainMessage(value: Members): Members | undefined {
  if (value.lc !== 1 || !Array.isArray(value.id) || !isRecord(value.kwargs)) return undefined;
  const role = langChainRoles[String(value.id.at(-1))];
  return role === undefined ? undefined : { role, ...value.kwargs };
}

const isMessage = (value: unknown): value is Members =>
  roleOf(value) !== undefined || (isRecord(value) && langChainMessage(value) !== undefined);

function messageOf(given: Members): Part {
  const serialised = langChainMessage(given);
  if (serialised !== undefined) return messageOf(serialised);
  if (typeof given.role !== "string") return { role: roleOf(given), content: [partOf(given)] };
  if (isConventional(given)) return renamed(given);
  const { role, content, contents, parts, tool_calls, toolCalls, function_call, ...others } = given;
  const found = [contents, parts, content].flatMap(partsOf);
  // Some instrumentations have a call among the contents and among the calls.
  const known = new Set<unknown>(found.map(({ type, id }) => type === "tool_call" && id));
  for (const call of [tool_calls, toolCalls, function_call].flat()) {
    if (call === undefined || call === null) continue;
    const part = isRecord(call) ? callOf(call) : partOf(call);
    if (part.id === undefined || !known.has(part.id)) found.push(part);
  }
  const name = roles[role] ?? role;
  const id = take(others, "tool_call_id", "toolCallId");
  if (id === undefined) return { role: name, content: found, ...others };
  const response = found.length === 1 && found[0]?.type === "text" ? found[0].content : found;
  return { role: name, content: [{ type: "tool_call_response", id, response }], ...others };
}

/** A message of the conventions: its parts stay as they are, and its members in their order. */
const isConventional = ({ parts, content }: Members): boolean =>
  content === undefined &&
  Array.isArray(parts) &&
  parts.every((part) => isRecord(part) && typeof part.type === "string");

const renamed = (message: Members): Part =>
  Object.fromEntries(
    Object.entries(message).map(([name, value]) => [
      name === "parts" ? "content" : name,
      name === "role" ? (roles[String(value)] ?? value) : value,
    ]),
  );

/** Messages in the shape of the conventions: the inverse for messages of the conventions. Any other value stays. */
export function conventionalMessages(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((message: unknown) =>
    isRecord(message) && typeof message.role === "string" && Array.isArray(message.content)
      ? Object.fromEntries(
          Object.entries(message).map(([name, member]) => [name === "content" ? "parts" : name, member]),
        )
      : message,
  );
}

function partsOf(content: unknown): Part[] {
  if (content === undefined || content === null || content === "") return [];
  return (Array.isArray(content) ? content : [content]).map(partOf);
}

function partOf(part: unknown): Part {
  if (typeof part === "string") return { type: "text", content: part };
  if (!isRecord(part)) return { type: "json", content: part };
  return typeof part.type === "string" ? typedPart(part.type, part) : (untypedPart(part) ?? json(part));
}

const json = (content: unknown): Part => ({ type: "json", content });

function typedPart(type: string, part: Members): Part {
  switch (type) {
    case "text":
    case "input_text":
    case "output_text":
      return textPart("text", part, "text");
    case "reasoning":
    case "thinking":
      return textPart("reasoning", part, "text", "thinking", "reasoning");
    case "tool-call":
    case "tool_use":
    case "tool_call":
    case "function":
    case "function_call":
      return callOf(part);
    case "tool-result":
    case "tool_result":
    case "tool_call_response":
    case "function_call_output":
    case "function_call_result":
      return responseOf(part);
    default:
      return { ...part };
  }
}

/** Members of parts without a type (Genkit, Gemini, Bedrock), and how the part is read. */
const untypedParts: Readonly<Record<string, (members: Members) => Part>> = {
  toolRequest: callOf,
  functionCall: callOf,
  toolUse: callOf,
  toolResponse: responseOf,
  functionResponse: responseOf,
  toolResult: responseOf,
};

function untypedPart(part: Members): Part | undefined {
  if (typeof part.text === "string") return textPart("text", part, "text");
  if (typeof part.reasoning === "string") return textPart("reasoning", part, "reasoning");
  if (isRecord(part.function)) return callOf(part);
  for (const [name, read] of Object.entries(untypedParts)) {
    const { [name]: members, ...others } = part;
    if (isRecord(members)) return { ...read(members), ...others };
  }
  return undefined;
}

/** Renames the member that has the text to `content`. */
function textPart(type: string, part: Members, ...names: string[]): Part {
  const others = { ...part };
  delete others.type;
  const text = typeof others.content === "string" ? undefined : take(others, ...names);
  return { type, ...(text !== undefined && { content: text }), ...others };
}

function callOf(given: Members): Part {
  const { type: _type, function: called, ...outer } = given;
  const others: Part = { ...outer, ...(isRecord(called) && called) };
  const id = takeCallId(others);
  const name = take(others, "name", "toolName");
  const asked = take(others, "arguments", "input", "args");
  return {
    type: "tool_call",
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    ...(asked !== undefined && { arguments: typeof asked === "string" ? decode(asked, "structure") : asked }),
    ...others,
  };
}

function responseOf(given: Members): Part {
  const { type: _type, ...others }: Part = given;
  const id = takeCallId(others);
  const name = take(others, "name", "toolName");
  const response = take(others, "response", "output", "result", "content");
  return {
    type: "tool_call_response",
    ...(id !== undefined && { id }),
    ...(name !== undefined && { name }),
    ...(response !== undefined && { response: plainOutput(response) }),
    ...others,
  };
}

/** The id that a call and its result have in common. The Responses API of OpenAI has an id of the item besides. */
function takeCallId(members: Part): unknown {
  const id = take(members, "call_id", "callId", "toolCallId", "toolUseId", "tool_use_id", "id", "ref");
  const item = take(members, "id");
  if (item !== undefined) members.item_id = item;
  return id;
}

/** The AI SDK has `{ type: "text", value }` for a text, and the same for JSON. Results of another type keep it. */
const plainOutput = (output: unknown): unknown =>
  isRecord(output) && (output.type === "text" || output.type === "json") && "value" in output
    ? output.value
    : output;

/** Removes the first of the members that is there, and returns its value. */
function take(members: Part, ...names: string[]): unknown {
  for (const name of names) {
    const value = members[name];
    if (value === undefined || value === null) continue;
    delete members[name];
    return value;
  }
  return undefined;
}
