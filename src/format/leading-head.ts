/**
 * The head of a document, read from the beginning of its text, in any layout. Pure: a text in, a union out; it never
 * throws, also on a text that is truncated, is not JSON, or is from another program.
 */
import type { DocumentHead } from "./document.js";
import { parseJson } from "./json-value.js";

/**
 * - `head`: the text begins like a document of version 2, up to the beginning of its spans
 * - `foreign`: the text is from another program
 * - `cut`: the text is too short to decide. `inId`: it ends within the `id` of an object of version 2, and a
 *   session id may have any length
 */
export type LeadingHead =
  | { readonly type: "head"; readonly head: DocumentHead }
  | { readonly type: "foreign" }
  | { readonly type: "cut"; readonly inId: boolean };

/** Reads the head of a document from the beginning of its text. */
export function decodeLeadingHead(text: string): LeadingHead {
  const { members, end, cutKey } = leadingMembers(text);
  const [version, id, traceId, sessionId, startedAt, spans] = [
    ...["version", "id", "traceId", "sessionId", "startedAt", "spans"],
  ].map((name) => members.get(name));
  if (version !== undefined && version !== 2) return { type: "foreign" };
  const isText = [traceId, sessionId, startedAt].every((value) => typeof value === "string");
  if (version === 2 && isText && Array.isArray(spans)) {
    const head = { id: typeof id === "string" ? id : undefined, traceId, sessionId, startedAt };
    return { type: "head", head: head as DocumentHead };
  }
  if (end !== "cut") return { type: "foreign" };
  return { type: "cut", inId: version === 2 && cutKey === "id" };
}

/**
 * The ids in a text that is a JSON object, or that begins like one and has spans, of any shape. `undefined` for any
 * other text.
 */
export function leadingIds(text: string): Pick<Record<string, unknown>, "id" | "sessionId"> | undefined {
  const { members, end } = leadingMembers(text);
  if (end === "broken" || (end === "cut" && !members.has("spans"))) return undefined;
  return { id: members.get("id"), sessionId: members.get("sessionId") };
}

interface LeadingMembers {
  /** An object or array is empty here, and present once it has begun. */
  readonly members: ReadonlyMap<string, unknown>;
  /** `broken`: the text is not a JSON object. */
  readonly end: "closed" | "cut" | "broken";
  /** The key of the member whose value is cut off. */
  readonly cutKey?: string;
}

/** The members of the object at the beginning of a text. */
function leadingMembers(text: string): LeadingMembers {
  const members = new Map<string, unknown>();
  // Some editors begin a file with a byte-order mark.
  let at = afterSpace(text, text.startsWith("\ufeff") ? 1 : 0);
  for (let separator = "{"; text[at] === separator; separator = ",") {
    at = afterSpace(text, at + 1);
    if (separator === "{" && text[at] === "}") break;
    const keyEnd = valueEnd(text, at);
    const colon = keyEnd === undefined ? text.length : afterSpace(text, keyEnd);
    const from = afterSpace(text, colon + 1);
    if (keyEnd === undefined || from >= text.length) return { members, end: brokenOrCut(text, at) };
    const key = parseJson(text.slice(at, keyEnd));
    if (typeof key !== "string" || text[colon] !== ":") return { members, end: "broken" };
    const container = containers[text[from] as string];
    if (container) members.set(key, container);
    const to = valueEnd(text, from);
    if (to === undefined) return { members, end: "cut", cutKey: key };
    if (!container) {
      const value = parseJson(text.slice(from, to));
      if (value === undefined) return { members, end: "broken" };
      members.set(key, value);
    }
    at = afterSpace(text, to);
  }
  if (at >= text.length) return { members, end: "cut" };
  return { members, end: text[at] === "}" ? "closed" : "broken" };
}

const containers: Readonly<Record<string, unknown>> = { "[": [], "{": {} };

/** For a key without an end: a truncated string is `cut`; any other text is `broken`. */
const brokenOrCut = (text: string, at: number): "broken" | "cut" =>
  at >= text.length || text[at] === '"' ? "cut" : "broken";

function afterSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text[at] as string)) at++;
  return at;
}

/** The offset after the value that begins at `from`; `undefined` for a truncated value. */
function valueEnd(text: string, from: number): number | undefined {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"') {
      const end = stringEnd(text, at);
      if (end === undefined || depth === 0) return end;
      at = end - 1;
    } else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") {
      if (depth <= 1) return depth === 0 ? at : at + 1;
      depth--;
    } else if (depth === 0 && ":, \t\r\n".includes(character)) return at;
  }
  return undefined;
}

function stringEnd(text: string, from: number): number | undefined {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at + 1;
  }
  return undefined;
}
