/**
 * Converts any value of an attribute to a plain JSON value: a value that cannot be read loses only itself, and not its
 * span.
 */
import { base64, bytesOf } from "./binary.js";

const MAX_DEPTH = 32;
const MAX_NODES = 10_000;
/** The longest array of primitives that is kept whole, an embedding vector for example. */
const MAX_PLAIN_ELEMENTS = 100_000;
const MAX_REASON_CHARS = 200;

const TOO_DEEP = `[truncated: deeper than ${MAX_DEPTH} levels]`;
const TOO_MANY = `[truncated: more than ${MAX_NODES} values]`;

/**
 * Whether `JSON.stringify` writes the value as it is: null, string, boolean, number (`null` in JSON if not finite), or an
 * array of those. Never throws.
 *
 * The result is valid at this moment only: an array that is a Proxy may change. Copy a value of a caller with
 * {@link toJsonValue} if it outlives the call.
 */
export function isPlainAttribute(value: unknown): boolean {
  if (isPlainPrimitive(value)) return true;
  try {
    if (!isListOfFewerThan(value, MAX_PLAIN_ELEMENTS)) return false;
    for (let index = 0; index < value.length; index++) if (!isPlainPrimitive(value[index])) return false;
    return true;
  } catch {
    return false;
  }
}

/**
 * Converts any value to a plain JSON value, on which `JSON.stringify` never fails. Never throws. The result shares no
 * object with the input.
 *
 * BigInt becomes a decimal string, bytes base64, Date ISO 8601, NaN and Infinity null, Map an object (or pairs, if a key
 * is not a string), Set an array, Error its name, message, stack and cause. `toJSON` is called once. A marker replaces
 * what JSON cannot represent: `[circular]`, `[unreadable: <message>]`, `[truncated: …]` (32 levels, 10,000 values),
 * `[function name]`.
 */
export function toJsonValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return primitive(value);
  try {
    const plain = plainCopy(value);
    if (plain !== undefined) return plain;
  } catch {
    // The general path below marks the part that cannot be read.
  }
  return visit(value, { nodes: 0, ancestors: [] }, true);
}

/** `JSON.stringify` that never throws: a value that it throws on is converted with {@link toJsonValue} first. */
export function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return JSON.stringify(toJsonValue(value));
  }
}

/** `JSON.parse` that never throws: `undefined` for a text that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `[unreadable: <message>]`, for a value whose reading threw `error`. */
export function unreadable(error: unknown): string {
  let reason = "unknown";
  try {
    const message = error instanceof Error ? error.message : error;
    reason = String(message).slice(0, MAX_REASON_CHARS);
  } catch {
    // Reading the error throws, too.
  }
  return `[unreadable: ${reason}]`;
}

/** Whether a JSON value is an object, and not an array. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The number; 0 for a value that is not a finite number. */
export const finite = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) ? value : 0;

/** Sets an own member, also one named `__proto__`, and never the prototype. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

/** Sets each member of `changes` on `target`; a value of `changes` wins. */
export function mergeOwn(target: Record<string, unknown>, changes: Readonly<Record<string, unknown>>): void {
  for (const key of Object.keys(changes)) setOwn(target, key, changes[key]);
}

interface Walk {
  nodes: number;
  /** The objects from the root to the present one. An object may repeat, but not within itself. */
  readonly ancestors: object[];
}

function isPlainPrimitive(value: unknown): boolean {
  return (
    typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null
  );
}

function isListOfFewerThan(value: unknown, limit: number): value is unknown[] {
  return (
    Array.isArray(value) &&
    value.length < limit &&
    typeof (value as { toJSON?: unknown }).toJSON !== "function"
  );
}

/** A copy of an array of primitives, whose elements are read once; `undefined` for any other value. */
function plainCopy(value: unknown): unknown[] | undefined {
  if (!isListOfFewerThan(value, MAX_PLAIN_ELEMENTS)) return undefined;
  const copy: unknown[] = [];
  const { length } = value;
  for (let index = 0; index < length; index++) {
    const element: unknown = value[index];
    if (!isPlainPrimitive(element)) return undefined;
    copy.push(primitive(element));
  }
  return copy;
}

function primitive(value: unknown): unknown {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? value : null;
    case "bigint":
    case "symbol":
      return String(value);
    case "function":
      return functionName(value);
    default:
      return value;
  }
}

function functionName(value: { name?: unknown }): string {
  try {
    return `[function ${String(value.name || "anonymous")}]`;
  } catch (error) {
    return unreadable(error);
  }
}

function visit(value: unknown, walk: Walk, honourToJson: boolean): unknown {
  if (++walk.nodes > MAX_NODES) return TOO_MANY;
  if (typeof value !== "object" || value === null) return primitive(value);
  if (walk.ancestors.includes(value)) return "[circular]";
  if (walk.ancestors.length >= MAX_DEPTH) return TOO_DEEP;
  walk.ancestors.push(value);
  try {
    return convert(value, walk, honourToJson);
  } catch (error) {
    return unreadable(error);
  } finally {
    walk.ancestors.pop();
  }
}

function convert(value: object, walk: Walk, honourToJson: boolean): unknown {
  if (Array.isArray(value)) return elements(value, walk);
  const bytes = bytesOf(value);
  if (bytes) return base64(bytes);
  if (ArrayBuffer.isView(value)) return view(value, walk);
  if (value instanceof Date) {
    const time = Date.prototype.getTime.call(value);
    return Number.isNaN(time) ? null : new Date(time).toISOString();
  }
  if (value instanceof Error) return errorMembers(value, walk);
  if (value instanceof Map) return mapMembers(value, walk);
  if (value instanceof Set) return elements([...value], walk);
  if (value instanceof String || value instanceof Number || value instanceof Boolean) {
    return primitive(value.valueOf());
  }
  if (honourToJson) {
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      const replaced: unknown = toJSON.call(value, "");
      if (replaced === value) return members(value, walk);
      return typeof replaced === "object" ? visit(replaced, walk, false) : primitive(replaced);
    }
  }
  return members(value, walk);
}

function elements(source: ArrayLike<unknown>, walk: Walk): unknown[] {
  const result: unknown[] = [];
  for (let index = 0; index < source.length && walk.nodes <= MAX_NODES; index++) {
    // Like in `JSON.stringify`, `null` keeps the positions of the other elements.
    result.push(readMember(source, index, walk) ?? null);
  }
  return result;
}

function view(value: ArrayBufferView, walk: Walk): unknown {
  const numbers = Array.from(value as unknown as ArrayLike<unknown>);
  return plainCopy(numbers) ?? elements(numbers, walk);
}

function errorMembers(error: Error, walk: Walk): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of ["name", "message", "stack", "cause"]) {
    const member = readMember(error, key, walk);
    if (member !== undefined) result[key] = member;
  }
  return result;
}

function mapMembers(map: ReadonlyMap<unknown, unknown>, walk: Walk): unknown {
  const result: Record<string, unknown> = {};
  for (const [key, value] of map) {
    if (typeof key !== "string") return elements([...map], walk);
    setOwn(result, key, visit(value, walk, true));
    if (walk.nodes > MAX_NODES) break;
  }
  return result;
}

function members(value: object, walk: Walk): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const member = readMember(value, key, walk);
    if (member !== undefined) setOwn(result, key, member);
    if (walk.nodes > MAX_NODES) break;
  }
  return result;
}

/** The member as a JSON value; `undefined` if it is absent. */
function readMember(source: object, key: string | number, walk: Walk): unknown {
  let member: unknown;
  try {
    member = (source as Record<string | number, unknown>)[key];
  } catch (error) {
    member = unreadable(error);
  }
  return visit(member, walk, true);
}

/** Whether two values are the same, or objects with the same JSON. */
export const isSameValue = (known: unknown, value: unknown): boolean =>
  known === value ||
  (typeof known === "object" && typeof value === "object" && jsonText(known) === jsonText(value));
