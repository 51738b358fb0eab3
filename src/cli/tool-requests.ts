/** The tools that a model asked for in an answer. */
import { isRecord, parseJson } from "../format/json-value.js";
import type { TraceSpan } from "../format/trace-file.js";

/**
 * Names of tools that a model asked for and that were not started, as far as the output shows: `[tool calls: a, b]` of
 * the session tracer, and messages with tool calls of the GenAI conventions, the AI SDK and OpenAI.
 */
export function toolRequests({ output }: TraceSpan, begun: readonly string[]): string[] {
  const left = [...begun];
  return requestedIn(output).filter((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

function requestedIn(output: unknown): string[] {
  if (typeof output !== "string") return namesIn(output, 0);
  const [, list] = /^\[tool calls: (.*)\]$/s.exec(output) ?? [];
  if (list !== undefined) return list.split(", ").filter(Boolean);
  return /^\s*[[{]/.test(output) ? namesIn(parseJson(output), 0) : [];
}

/** Messages are nested a few levels deep; a value that is deeper is no message. */
const deepest = 8;

function namesIn(value: unknown, depth: number): string[] {
  if (depth > deepest) return [];
  if (Array.isArray(value)) return value.flatMap((item) => namesIn(item, depth + 1));
  if (!isRecord(value)) return [];
  const { type, name, toolName, function: called } = value;
  if (typeof toolName === "string" && type !== "tool-result") return [toolName];
  if ((type === "tool_call" || type === "tool-call" || type === "tool_use") && typeof name === "string")
    return [name];
  if (isRecord(called) && typeof called.name === "string") return [called.name];
  return ["parts", "content", "tool_calls", "toolCalls", "messages"].flatMap((key) =>
    namesIn(value[key], depth + 1),
  );
}
