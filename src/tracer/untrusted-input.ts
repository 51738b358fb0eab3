/**
 * Reads arguments of a session tracer, which may be any values. No function throws; a value that cannot be read is lost
 * alone.
 */
import { base64, bytesOf, isPlainObject } from "../format/binary.js";
import { toJsonValue } from "../format/json-value.js";
import { jsonCopy, longJson } from "../format/long-json.js";

const unreadable = "[unreadable]";

/** A member of any value; `undefined` when there is none or it cannot be read. */
export function member(source: unknown, key: string): unknown {
  try {
    return (source as Record<string, unknown> | null | undefined)?.[key];
  } catch {
    return undefined;
  }
}

/** Any value as text. */
export function toText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return unreadable;
  }
}

/** The output of a tool as text. */
export interface ToolOutput {
  readonly text: string;
  /** Whether the text holds base64. Base64 is not cut to the length of a text: a part of an image cannot be shown. */
  readonly hasBytes: boolean;
}

/** Any output as text: bytes become base64, and an object that has no text of its own becomes JSON. */
export function outputText(value: unknown): ToolOutput {
  if (typeof value !== "object" || value === null) return { text: toText(value), hasBytes: false };
  try {
    const bytes = bytesOf(value);
    if (bytes) return { text: base64(bytes), hasBytes: true };
    const hasObjects = Array.isArray(value) && value.some((one) => typeof one === "object" && one !== null);
    const hasText = typeof value.toString === "function" && value.toString !== Object.prototype.toString;
    if (!hasObjects && hasText) return { text: toText(value), hasBytes: false };
    const json = longJson(hasObjects || isPlainObject(value) ? value : toJsonValue(value));
    return { text: String(json), hasBytes: typeof json !== "string" };
  } catch {
    return { text: toText(value), hasBytes: false };
  }
}

/** The id of a session, as a host gives it: any value as text; `unknown` for an empty one. */
export const sessionIdOf = (given: unknown): string =>
  given === undefined || given === null ? "unknown" : toText(given) || "unknown";

/** A member as text; `undefined` for a falsy one. */
export function textMember(source: unknown, key: string): string | undefined {
  const value = member(source, key);
  return value ? toText(value) : undefined;
}

/** A member that is an array, with its elements as text; `undefined` for any other member. */
export function textsMember(source: unknown, key: string): string[] | undefined {
  const list = member(source, key);
  try {
    if (!Array.isArray(list)) return undefined;
    return Array.from({ length: list.length }, (_, index) => toText(member(list, String(index))));
  } catch {
    return undefined;
  }
}

/** A finite number, or the fallback. */
export const finiteOr = (value: unknown, fallback: number): number =>
  typeof value === "number" && Number.isFinite(value) ? value : fallback;

/** A copy of a tool's input as JSON; an object with the error in place of a value that JSON cannot carry. */
export function copyInput(value: unknown): unknown {
  if (typeof value !== "object" || value === null) {
    if (typeof value === "number") return Number.isFinite(value) ? value : null;
    if (typeof value === "string" || typeof value === "boolean" || value === null || value === undefined)
      return value;
    return { _serialization_error: `a ${typeof value} cannot be JSON` };
  }
  try {
    const flat = flatCopy(value);
    if (flat) return flat;
    return jsonCopy(value);
  } catch (error) {
    return { _serialization_error: toText(member(error, "message") ?? error) };
  }
}

/** A copy of a flat object of texts, numbers and booleans, as most inputs are. Through JSON, the copy takes 2 µs. */
function flatCopy(value: object): Record<string, unknown> | undefined {
  if (Object.getPrototypeOf(value) !== Object.prototype) return undefined;
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    const isPlain = typeof member === "string" || typeof member === "boolean" || Number.isFinite(member);
    if (!isPlain || key === "__proto__" || key === "toJSON") return undefined;
    copy[key] = member;
  }
  return copy;
}

/** A copy of any value as JSON, with a marker in place of a value that JSON cannot carry. */
export const copyValue = (value: unknown): unknown => toJsonValue(value);

/** A copy of attributes without `undefined` values. A value that JSON cannot carry becomes text. */
export function copyAttributes(source: unknown): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  if (typeof source !== "object" || source === null) return attributes;
  for (const key of keysOf(source)) {
    const value = attributeValue(source, key);
    if (value === undefined) continue;
    // Defined, not assigned: a key may be `__proto__`.
    Object.defineProperty(attributes, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return attributes;
}

function keysOf(source: object): string[] {
  try {
    return Object.keys(source);
  } catch {
    return [];
  }
}

function attributeValue(source: object, key: string): unknown {
  let value: unknown;
  try {
    value = (source as Record<string, unknown>)[key];
  } catch {
    return unreadable;
  }
  if (value === undefined || value === null || typeof value === "string" || typeof value === "boolean")
    return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  try {
    const copy = jsonCopy(value);
    return copy === undefined ? toText(value) : copy;
  } catch {
    return toText(value);
  }
}

/** The first characters of a text, at most `max` with a marker at the end that has the number of cut characters. */
export function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const markerFor = (cut: number) => `… [${cut} characters cut]`;
  // The marker for the whole text is at least as long as the final marker.
  let kept = max - markerFor(text.length).length;
  // A surrogate pair is not split.
  if (/[\ud800-\udbff]/.test(text.charAt(kept - 1))) kept--;
  return `${text.slice(0, kept)}${markerFor(text.length - kept)}`;
}
