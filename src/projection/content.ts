/** Prompts, answers, arguments and results, as instrumentations write them into attributes. */
import { mayHaveRuns, StandIns } from "../format/base64-runs.js";
import { isRecord, setOwn, toJsonValue } from "../format/json-value.js";
import { bytesAsBase64, resolved } from "../format/long-json.js";

/** What a string under a key is. A value that is not a string is kept as it is. */
export type Encoding =
  /** Text, whatever it looks like. */
  | "plain"
  /** A JSON object or array by convention; any other text stays. */
  | "structure"
  /** JSON throughout, quoted strings included. */
  | "json"
  /** Text, unless it is an object or array in compact JSON: writing that again gives the same text. */
  | "result";

/** Deeper JSON stays a string: `JSON.stringify` is recursive and must not run out of stack. */
const MAX_PARSED_DEPTH = 200;
/** A longer result stays text: the structure is not worth the time to parse it. */
const MAX_RESULT_CHARS = 1_000_000;
/** A number that a double may round. */
const LONG_NUMBER = /[[:,\s]-?\d{16}/;
/** `llm.input_messages.0.message.tool_calls.0.tool_call.function.arguments` has 8 after the prefix. */
const MAX_PATH_SEGMENTS = 16;

/** Decodes the value of a content key. Never throws. JSON that does not parse, or not without a loss, stays a string. */
export function decode(value: unknown, encoding: Encoding): unknown {
  if (Array.isArray(value) && encoding === "json") {
    return (toJsonValue(value) as unknown[]).map((element) => decode(element, encoding));
  }
  if (typeof value !== "string") return toJsonValue(value);
  if (!mayBeJson(value, encoding)) return value;
  try {
    const standIns = mayHaveRuns(value) ? new StandIns() : undefined;
    const text = standIns?.ofJson(value) ?? value;
    const parsed: unknown = JSON.parse(text);
    const found: Found = { isDeep: false, isRounded: false, hasBytes: false };
    look(parsed, MAX_PARSED_DEPTH, found);
    if (found.isDeep) return value;
    // The result of a tool that printed a JSON file is the exact text, not the value.
    const mustBeExact = encoding === "result" || (found.isRounded && LONG_NUMBER.test(text));
    if (mustBeExact && JSON.stringify(parsed) !== text) return value;
    const content = standIns ? resolved(parsed, standIns) : parsed;
    return found.hasBytes ? bytesAsBase64(content) : content;
  } catch {
    return value;
  }
}

function mayBeJson(text: string, encoding: Encoding): boolean {
  switch (encoding) {
    case "plain":
      return false;
    case "json":
      return true;
    case "result":
      return text.length <= MAX_RESULT_CHARS && looksStructured(text);
    case "structure":
      return looksStructured(text);
  }
}

function looksStructured(text: string): boolean {
  const first = text.trimStart()[0];
  return first === "{" || first === "[";
}

/** What a parsed value may have. Looking at the value takes a fifth of the time of searching its text. */
interface Found {
  /** Values below the levels that are looked at. */
  isDeep: boolean;
  /** A number that a double may have rounded. */
  isRounded: boolean;
  /** An object in the form in which JSON has bytes. */
  hasBytes: boolean;
}

function look(value: unknown, levels: number, found: Found): void {
  if (typeof value === "number") found.isRounded ||= !Number.isSafeInteger(value);
  if (typeof value !== "object" || value === null) return;
  if (levels === 0) {
    found.isDeep = true;
  } else if (Array.isArray(value)) {
    for (const member of value) look(member, levels - 1, found);
  } else {
    for (const key in value) look((value as Record<string, unknown>)[key], levels - 1, found);
    found.hasBytes ||= "0" in value || (value as { readonly type?: unknown }).type === "Buffer";
  }
}

interface Branch {
  readonly children: Map<string, Branch>;
  leaf?: unknown;
}

/** Element names that OpenInference puts after an index: `0.message.role`, `0.tool_call.id`, `0.embedding.vector`. */
const ELEMENT_NAMES: ReadonlySet<string> = new Set(["message", "message_content", "tool_call", "embedding"]);
const JSON_LEAVES: ReadonlySet<string> = new Set(["arguments", "function_call_arguments_json"]);
const INDEX = /^\d{1,9}$/;

/**
 * Removes the attributes whose key starts with `prefix` and an index, and returns them as an array in the order of the
 * indexes: `0.message.role: "user"` becomes `[{ role: "user" }]`. A key that contradicts another key stays.
 */
export function unflatten(attributes: Map<string, unknown>, prefix: string): unknown[] {
  const root: Branch = { children: new Map() };
  for (const [key, value] of attributes) {
    if (!key.startsWith(prefix)) continue;
    const segments = key.slice(prefix.length).split(".", MAX_PATH_SEGMENTS + 1);
    if (segments.length > MAX_PATH_SEGMENTS || !INDEX.test(segments[0] ?? "")) continue;
    const path = segments.filter(
      (segment, at) =>
        !(ELEMENT_NAMES.has(segment) && at < segments.length - 1 && INDEX.test(segments[at - 1] ?? "")),
    );
    const encoding = JSON_LEAVES.has(path.at(-1) ?? "") ? "structure" : "plain";
    if (plant(root, path, decode(value, encoding))) attributes.delete(key);
  }
  return root.children.size > 0 ? inOrder(root) : [];
}

function plant(root: Branch, path: string[], leaf: unknown): boolean {
  let branch = root;
  for (const segment of path) {
    if (branch.leaf !== undefined) return false;
    let child = branch.children.get(segment);
    if (child === undefined) {
      child = { children: new Map() };
      branch.children.set(segment, child);
    }
    branch = child;
  }
  if (branch.leaf !== undefined || branch.children.size > 0) return false;
  branch.leaf = leaf ?? null;
  return true;
}

function grow(branch: Branch): unknown {
  if (branch.children.size === 0) return branch.leaf;
  if ([...branch.children.keys()].every((key) => INDEX.test(key))) return inOrder(branch);
  const members: Record<string, unknown> = {};
  for (const [key, child] of branch.children) setOwn(members, key, grow(child));
  return members;
}

function inOrder(branch: Branch): unknown[] {
  return [...branch.children].sort(([a], [b]) => Number(a) - Number(b)).map(([, child]) => grow(child));
}

/**
 * The user's first text in a prompt. `input` is the text itself, a list of messages in a common shape (`content` or
 * `parts`; text or a list of text parts), or an object with one of those.
 */
export function userText(input: unknown): string | undefined {
  if (typeof input === "string") return input;
  if (typeof input !== "object" || input === null) return undefined;
  if (Array.isArray(input)) {
    const message: unknown = input.find((entry) => isRecord(entry) && entry.role === "user");
    return isRecord(message) ? partText(message.content ?? message.contents ?? message.parts) : undefined;
  }
  const { prompt, messages, args } = input as Record<string, unknown>;
  if (Array.isArray(args) && typeof args[0] === "string") return args[0];
  return userText(typeof prompt === "string" || Array.isArray(prompt) ? prompt : messages);
}

function partText(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  for (const part of content) {
    if (typeof part === "string") return part;
    if (!isRecord(part)) continue;
    if (typeof part.text === "string") return part.text;
    if (part.type === "text" && typeof part.content === "string") return part.content;
  }
  return undefined;
}
