/**
 * Reading what callers of a session tracer give: anything, from anywhere. Nothing here throws; a value that cannot be
 * read costs itself.
 */
import { toJsonValue } from "../format/json-value.js";

const unreadable = "[unreadable]";

/** A member of whatever it is; `undefined` when there is none or it cannot be read. */
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

/** The id of a session, as a host gives it: any value as text; `unknown` for an empty one. */
export const sessionIdOf = (given: unknown): string =>
  given === undefined || given === null ? "unknown" : toText(given) || "unknown";

/** A member as text; `undefined` for a falsy one. */
export function textMember(source: unknown, key: string): string | undefined {
  const value = member(source, key);
  return value ? toText(value) : undefined;
}

/** A member that is a list, as texts; `undefined` when it is none. */
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

/** A copy of a tool's input: what cannot be JSON says so in its place. */
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
    const text = JSON.stringify(value);
    return text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    return { _serialization_error: toText(member(error, "message") ?? error) };
  }
}

/** A copy of a plain object of texts and the like, as most inputs are: through JSON it cost a tool call 2 µs. */
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

/** A copy of any value that is written: what JSON cannot carry leaves a marker in its place. */
export const copyValue = (value: unknown): unknown => toJsonValue(value);

/** A copy of a caller's attributes: `undefined` ones are left out, and what JSON cannot carry becomes text. */
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
    const text = JSON.stringify(value);
    return text === undefined ? toText(value) : JSON.parse(text);
  } catch {
    return toText(value);
  }
}

/** The text with at most `max` characters; where it was cut, a marker at its end tells how many are missing. */
export function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const markerFor = (cut: number) => `… [${cut} characters cut]`;
  // The number may grow by a digit when the marker takes its room.
  let kept = max - markerFor(text.length).length;
  // Never half of a character that takes two.
  if (/[\ud800-\udbff]/.test(text.charAt(kept - 1))) kept--;
  return `${text.slice(0, kept)}${markerFor(text.length - kept)}`;
}
