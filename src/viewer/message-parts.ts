/**
 * What a model was given and answered, as parts of a conversation: plain text, and messages as the GenAI conventions, the
 * AI SDK, OpenAI and Anthropic write them. A value of another shape stays a value.
 */

export type Part =
  | { readonly type: "text" | "thinking"; readonly text: string }
  | { readonly type: "call"; readonly name: string; readonly input: unknown }
  | { readonly type: "value"; readonly value: unknown };

interface Message {
  readonly role: string;
  readonly parts: readonly Part[];
}

type Members = Readonly<Record<string, unknown>>;

const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Longer texts are no messages: they would take long to parse. */
const longestJson = 8_000_000;
/** Messages are nested a few levels deep. */
const deepest = 6;

/** A JSON text as its value; another value as it is. */
export function parsedValue(value: unknown): unknown {
  if (typeof value !== "string" || value.length > longestJson || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** The messages of an input or output; none if it holds no messages. */
export function messagesOf(given: unknown): Message[] {
  const value = parsedValue(given);
  const list = isMembers(value) && Array.isArray(value.messages) ? value.messages : value;
  if (isMembers(list) && typeof list.role === "string") return [messageOf(list)];
  if (!Array.isArray(list)) return [];
  const messages = list.filter((one): one is Members => isMembers(one) && typeof one.role === "string");
  return messages.length === list.length ? messages.map(messageOf) : [];
}

const messageOf = (message: Members): Message => ({
  role: String(message.role),
  parts: [message.parts, message.content, message.tool_calls, message.toolCalls].flatMap((one) =>
    partsIn(one, 0),
  ),
});

/** The parts of an answer. */
export function partsOf(given: unknown): Part[] {
  if (given === undefined || given === null || given === "") return [];
  const messages = messagesOf(given);
  if (messages.length > 0) return messages.flatMap(({ parts }) => parts);
  return partsIn(parsedValue(given), 0);
}

const textTypes: readonly unknown[] = ["text", "output_text", "input_text"];
const thinkingTypes: readonly unknown[] = ["thinking", "reasoning", "redacted_thinking"];
const callTypes: readonly unknown[] = ["tool_call", "tool-call", "tool_use", "function"];

function partsIn(value: unknown, depth: number): Part[] {
  if (value === undefined || value === null || value === "") return [];
  if (typeof value === "string") return [{ type: "text", text: value }];
  if (depth > deepest) return [{ type: "value", value }];
  if (Array.isArray(value)) return value.flatMap((one) => partsIn(one, depth + 1));
  if (!isMembers(value)) return [{ type: "value", value }];
  const { type } = value;
  const text = textIn(value);
  if (thinkingTypes.includes(type) && text !== undefined) return [{ type: "thinking", text }];
  if (textTypes.includes(type) && text !== undefined) return [{ type: "text", text }];
  const called = isMembers(value.function) ? value.function : value;
  const name = called.name ?? value.toolName;
  if ((callTypes.includes(type) || isMembers(value.function)) && typeof name === "string") {
    const input = called.arguments ?? called.input ?? value.args;
    return [{ type: "call", name, input: parsedValue(input) }];
  }
  if (type === undefined && typeof value.text === "string")
    return [...partsIn(value.text, depth + 1), ...partsIn(value.toolCalls ?? value.tool_calls, depth + 1)];
  return [{ type: "value", value }];
}

function textIn(part: Members): string | undefined {
  for (const key of ["text", "content", "thinking", "reasoning"])
    if (typeof part[key] === "string") return part[key];
  return undefined;
}

/** The last thing that a user wrote in what a model was given. */
export function lastUserParts(given: unknown): readonly Part[] {
  return messagesOf(given).findLast(({ role }) => role === "user")?.parts ?? [];
}
