/**
 * The attributes of a span as its instrumentation set them, where the document has them in another form. A document gives
 * all instrumentations one shape, so that a replay could not send what the instrumentation had sent. The text of a
 * request refers to the texts of the span (JSON Pointer, RFC 6901): content is in the document once.
 */

import { longChars } from "../format/base64-runs.js";
import { isRecord, jsonText, setOwn } from "../format/json-value.js";
import type { OriginalAttributes, OriginalPart, OriginalValue, TraceSpan } from "../format/trace-file.js";
import {
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_TOOL_CALL_ARGUMENTS,
  ATTR_GEN_AI_TOOL_CALL_ID,
  ATTR_GEN_AI_TOOL_CALL_RESULT,
  ATTR_GEN_AI_TOOL_NAME,
} from "../otel/semantic-conventions.js";
import type { GivenAttributes } from "./read-span.js";

/** A shorter text is shorter than a reference to it. */
const shortest = 8;
/** Characters by which texts are found. A shorter attribute is no part of another one. */
const startChars = 24;
/** A longer text is not searched: the span keeps no originals. */
const longest = 8_000_000;
/** JSON in texts of JSON. */
const maxNesting = 3;
const maxDepth = 64;

/** Names of members that hold a word, not a text. */
const words: ReadonlySet<string> = new Set(["role", "type"]);

/** A text of the document. */
interface KnownText {
  readonly text: string;
  readonly pointer: string;
  /** The text in JSON, once it was needed. */
  quoted?: string;
}

/** Texts and lists of the span of the document, and what refers to them. */
class Places {
  /** JSON pointers, in the order of their first use. */
  readonly used: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** By the beginning of their JSON: hashing long texts took half of the time. */
  readonly #texts = new Map<string, KnownText[]>();
  readonly #lists = new Map<string, string>();
  /** Attributes that are JSON objects, by their beginning. */
  readonly #objects = new Map<string, KnownText[]>();
  readonly #span: TraceSpan;
  #isRead = false;

  constructor(span: TraceSpan) {
    this.#span = span;
  }

  /** The whole value, if the document has it at one place. */
  whole(text: string): OriginalPart[] | undefined {
    const { input, output } = this.#span;
    if (text === output) return [[this.#number("/output")]];
    if (text === input) return [[this.#number("/input")]];
    if (text.length < shortest) return undefined;
    if (text[0] === "[" || text[0] === "{" || text[0] === '"') {
      if (isJsonOf(output, text)) return [this.#number("/output")];
      return isJsonOf(input, text) ? [this.#number("/input")] : undefined;
    }
    this.#read();
    const found = this.#texts.get(startOf(text))?.find((known) => known.text === text);
    return found && [[this.#number(found.pointer)]];
  }

  list(value: unknown): number | undefined {
    this.#read();
    const pointer = this.#lists.get(jsonText(value) ?? "");
    return pointer === undefined ? undefined : this.#number(pointer);
  }

  /** The place of the quoted text in `json`. */
  quoted(json: string, start: number, end: number): number | undefined {
    if (end - start < shortest + 2) return undefined;
    this.#read();
    const known = this.#texts.get(json.slice(start, Math.min(end, start + startChars)));
    if (known === undefined) return undefined;
    const token = json.slice(start, end);
    const found = known.find((one) => isQuoted(one, token));
    return found && this.#number(found.pointer);
  }

  /** The attribute that begins at a position of `json`. */
  object(json: string, start: number): { readonly part: OriginalPart; readonly length: number } | undefined {
    this.#read();
    if (this.#objects.size === 0) return undefined;
    const found = this.#objects
      .get(json.slice(start, start + startChars))
      ?.find(({ text }) => json.startsWith(text, start));
    return found && { part: [this.#number(found.pointer)], length: found.text.length };
  }

  #number(pointer: string): number {
    const known = this.#numbers.get(pointer);
    if (known !== undefined) return known;
    this.#numbers.set(pointer, this.used.length);
    return this.used.push(pointer) - 1;
  }

  /** Reads the span when a text is looked for the first time. */
  #read(): void {
    if (this.#isRead) return;
    this.#isRead = true;
    const { input, output, attributes = {} } = this.#span;
    this.#walk("input", input, "", 0);
    this.#walk("output", output, "", 0);
    for (const key in attributes) {
      const text = attributes[key];
      if (typeof text !== "string" || text.length < startChars) continue;
      const pointer = `/attributes/${escaped(key)}`;
      add(this.#texts, startOf(text), { text, pointer });
      if (text[0] === "{") add(this.#objects, text.slice(0, startChars), { text, pointer });
    }
  }

  #walk(name: string, value: unknown, above: string, depth: number): void {
    if (typeof value === "string") {
      if (value.length >= shortest && !words.has(name))
        add(this.#texts, startOf(value), { text: value, pointer: `${above}/${escaped(name)}` });
      return;
    }
    if (typeof value !== "object" || value === null || depth > maxDepth) return;
    const pointer = `${above}/${escaped(name)}`;
    if (!Array.isArray(value)) {
      for (const key in value) this.#walk(key, (value as Record<string, unknown>)[key], pointer, depth + 1);
    } else if (typeof value[0] === "number") {
      const text = value.length > shortest ? jsonText(value) : undefined;
      if (text !== undefined) this.#lists.set(text, pointer);
    } else {
      for (let at = 0; at < value.length; at++) this.#walk(String(at), value[at], pointer, depth + 1);
    }
  }
}

/** The beginning of the JSON of a text. */
const startOf = (text: string): string => JSON.stringify(text.slice(0, startChars)).slice(0, startChars);

function add(texts: Map<string, KnownText[]>, start: string, known: KnownText): void {
  const others = texts.get(start);
  if (others) others.push(known);
  else texts.set(start, [known]);
}

/** Whether a token is the JSON of the text. Most texts need no escape: comparing is faster than escaping. */
function isQuoted(known: KnownText, token: string): boolean {
  const { text } = known;
  if (text.length + 2 > token.length) return false;
  if (text.length + 2 === token.length && !token.includes("\\"))
    return text === token.slice(1, -1) && text.isWellFormed();
  known.quoted ??= JSON.stringify(text);
  return known.quoted === token;
}

/** Whether a text is the JSON of a value; long texts are compared in parts. The JSON of messages never is: the document has them in a shape of its own. */
function isJsonOf(value: unknown, text: string): boolean {
  if (typeof value === "string")
    return text[0] === '"' && text.length >= value.length + 2 && JSON.stringify(value) === text;
  if (typeof value !== "object" || value === null || text.length >= longChars) return false;
  if (
    Array.isArray(value) !== (text[0] === "[") ||
    (Array.isArray(value) && isRecord(value[0]) && "role" in value[0])
  )
    return false;
  return jsonText(value) === text;
}

const escaped = (name: string): string =>
  name.includes("~") || name.includes("/") ? name.replaceAll("~", "~0").replaceAll("/", "~1") : name;

/** Keys whose values describe the span in the document, and are no attributes of a span that is replayed. */
const isDescribed = (key: string): boolean => key.startsWith("otel.");

/**
 * What of the attributes of a span is not under `attributes` of the document as it was; `undefined` if all of it is, and no
 * other member was made of attributes. `taken`: attributes of events that became fields, by the position of the event.
 */
export function originalsOf(
  attributes: GivenAttributes,
  taken: ReadonlyMap<number, Readonly<Record<string, unknown>>>,
  span: TraceSpan,
): OriginalAttributes | undefined {
  if (span.kind === "tool" && isConventionalTool(attributes, span)) return undefined;
  const { given, left } = attributes;
  const values: Record<string, OriginalValue> = {};
  const places = new Places(span);
  let isEmpty = true;
  const set = (key: string, value: OriginalValue) => {
    setOwn(values, key, value);
    isEmpty = false;
  };
  for (const [key, value] of given ?? left) {
    if (isDescribed(key) || left.get(key) !== value) set(key, encoded(value, places));
    else if (typeof value === "number") {
      if (!Number.isFinite(value)) set(key, { number: String(value) });
    } else if (value instanceof Uint8Array) set(key, { isBytes: true });
  }
  if (given) for (const key in span.attributes) if (!given.has(key) && !isDescribed(key)) set(key, null);
  if (isEmpty && taken.size === 0 && isPlain(span)) return undefined;
  const events: Record<string, Record<string, OriginalValue>> = {};
  for (const [at, attributes] of taken) {
    const own: Record<string, OriginalValue> = {};
    for (const [key, value] of Object.entries(attributes)) setOwn(own, key, encoded(value, places));
    events[at] = own;
  }
  const { used } = places;
  return { ...(used.length > 0 && { at: used }), values, ...(taken.size > 0 && { events }) };
}

/**
 * Whether the conventions determine the attributes of a tool, which has no originals then: tools are most of an agent's spans,
 * and a session of them had a tenth more bytes.
 */
function isConventionalTool(
  { keys, values, left }: GivenAttributes,
  { name, tool, input, output }: TraceSpan,
): boolean {
  let [operation, toolName, callId, asked, result]: unknown[] = [];
  for (let at = 0; at < keys.length; at++) {
    const key = keys[at] as string;
    const value = values[at];
    if (key === ATTR_GEN_AI_OPERATION_NAME) operation = value;
    else if (key === ATTR_GEN_AI_TOOL_NAME) toolName = value;
    else if (key === ATTR_GEN_AI_TOOL_CALL_ID) callId = value;
    else if (key === ATTR_GEN_AI_TOOL_CALL_ARGUMENTS) asked = value;
    else if (key === ATTR_GEN_AI_TOOL_CALL_RESULT) result = value;
    else if (left.get(key) !== value || !isKeptAsItIs(value) || isDescribed(key)) return false;
  }
  return (
    operation === "execute_tool" &&
    toolName === name &&
    callId === tool?.callId &&
    result === output &&
    (asked === input || (typeof asked === "string" && isJsonOf(input, asked)))
  );
}

/** Whether JSON has the value as it is, and its type. */
const isKeptAsItIs = (value: unknown): boolean =>
  typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);

/** Whether the span has no member that stands for attributes: a dialect may find a kind and content in names, too. */
const isPlain = ({ kind, input, output, model, cost }: TraceSpan): boolean =>
  kind === "span" && input === undefined && output === undefined && model === undefined && cost === undefined;

function encoded(value: unknown, places: Places): OriginalValue {
  switch (typeof value) {
    case "string":
      return textOf(value, places);
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : { number: String(value) };
    default:
      break;
  }
  // Nested values, which SDK 3.x keeps.
  if (!Array.isArray(value) || value.some((one) => typeof one === "object" && one !== null)) {
    const parts = textOf(jsonText(value) ?? "null", places);
    return { json: Array.isArray(parts) ? parts : [String(parts)] };
  }
  const isLong = typeof value[0] === "number" && value.length > shortest;
  const place = isLong ? places.list(value) : undefined;
  if (place !== undefined) return { at: place };
  return { list: value.map((one) => (one === null ? null : encoded(one, places))) };
}

function textOf(text: string, places: Places): OriginalValue {
  if (text.length > longest) throw new Error("too long");
  const whole = places.whole(text);
  if (whole) return whole;
  if (text.length < shortest || !/^\s*[[{"]/.test(text.slice(0, startChars))) return text;
  const parts = partsOf(text, places, 0);
  return parts.length === 1 && typeof parts[0] === "string" ? text : parts;
}

const quote = 34;
const brace = 123;

/** JSON in parts: its texts that the document has, and what is between them. */
function partsOf(json: string, places: Places, nesting: number): OriginalPart[] {
  const parts: OriginalPart[] = [];
  let from = 0;
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code !== quote && code !== brace) continue;
    let part: OriginalPart | undefined;
    let end = at + 1;
    if (code === quote) {
      end = endOfText(json, at);
      part = places.quoted(json, at, end) ?? nested(json.slice(at, end), places, nesting);
    } else {
      const object = places.object(json, at);
      part = object?.part;
      end = at + (object?.length ?? 1);
    }
    if (part !== undefined) {
      if (at > from) parts.push(json.slice(from, at));
      parts.push(part);
      from = end;
    }
    at = end - 1;
  }
  if (from < json.length) parts.push(json.slice(from));
  return parts;
}

/** The position behind the text that begins at `start`. */
function endOfText(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end !== -1; end = json.indexOf('"', end + 1)) {
    let slashes = 0;
    while (json[end - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
  return json.length;
}

/** A text that is JSON itself: the arguments of a call. */
function nested(token: string, places: Places, nesting: number): OriginalPart | undefined {
  if (
    nesting >= maxNesting ||
    token.length <= startChars ||
    !/^"\s*(?:[[{]|\\")/.test(token.slice(0, startChars))
  )
    return undefined;
  try {
    const inner: unknown = JSON.parse(token);
    if (typeof inner !== "string" || JSON.stringify(inner) !== token) return undefined;
    const json = partsOf(inner, places, nesting + 1);
    return json.some((part) => typeof part !== "string") ? { json } : undefined;
  } catch {
    return undefined;
  }
}
