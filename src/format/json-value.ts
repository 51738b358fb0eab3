/**
 * Turns whatever came in as an attribute into a plain JSON value, so that one hostile value costs itself
 * and never the span it sits on.
 */

const MAX_DEPTH = 32;
const MAX_NODES = 10_000;
/** Longest array of primitives (an embedding vector, say) that is kept whole. */
const MAX_PLAIN_ELEMENTS = 100_000;
const MAX_REASON_CHARS = 200;

const TOO_DEEP = `[truncated: deeper than ${MAX_DEPTH} levels]`;
const TOO_MANY = `[truncated: more than ${MAX_NODES} values]`;

/**
 * `true` if `JSON.stringify` takes the value as it is: null, string, boolean, number (not finite: null in
 * JSON), or an array of those. Never throws.
 *
 * The verdict holds for now: an array that is a Proxy may answer differently next time. Copy with
 * {@link toJsonValue} what comes from strangers and outlives the call.
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
 * A plain JSON value that `JSON.stringify` cannot fail on, whatever came in. Never throws, and shares no
 * object with its input; strings are passed on by reference.
 *
 * BigInt becomes a decimal string, bytes base64, Date ISO 8601, NaN and Infinity null, Map an object (or
 * pairs, if a key is not a string), Set an array, Error its name, message, stack and cause. `toJSON` is
 * honoured once. What cannot be carried over leaves a marker in its place: `[circular]`,
 * `[unreadable: <message>]`, `[truncated: …]` (32 levels, 10,000 values), `[function name]`.
 */
export function toJsonValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return primitive(value);
  try {
    const plain = plainCopy(value);
    if (plain !== undefined) return plain;
  } catch {
    // The general path says which part cannot be read.
  }
  return visit(value, { nodes: 0, ancestors: [] }, true);
}

/**
 * What `JSON.stringify` makes of a value, as a value that runs no code when it is serialised: its getters and `toJSON`
 * have run. What JSON cannot carry at all becomes what {@link toJsonValue} makes of it.
 */
export function inertJson(value: unknown): unknown {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null)
    return value;
  try {
    const text = JSON.stringify(value);
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return toJsonValue(value);
  }
}

/** `JSON.stringify` that never throws: a value that it cannot write becomes what {@link toJsonValue} makes of it. */
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
    // Even the error is hostile.
  }
  return `[unreadable: ${reason}]`;
}

/** Whether a JSON value is an object, and not an array. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The number; 0 for a value that is not a finite number. */
export const finite = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) ? value : 0;

/** Sets an own member, `__proto__` included, without touching the prototype. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

interface Walk {
  nodes: number;
  /** The objects from the root to the one being visited: a repeated object is fine, an ancestor is a circle. */
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

/** A copy of an array of primitives, each element read once; `undefined` for anything else. */
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
  if (ArrayBuffer.isView(value)) return view(value, walk);
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString("base64");
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
    // `null` as JSON has it: an array keeps its positions.
    result.push(readMember(source, index, walk) ?? null);
  }
  return result;
}

function view(value: ArrayBufferView, walk: Walk): unknown {
  if (value instanceof Uint8Array || value instanceof DataView) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  }
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

/** The member as JSON; `undefined` if it is absent. */
function readMember(source: object, key: string | number, walk: Walk): unknown {
  let member: unknown;
  try {
    member = (source as Record<string | number, unknown>)[key];
  } catch (error) {
    member = unreadable(error);
  }
  return visit(member, walk, true);
}
