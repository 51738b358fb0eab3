/**
 * JSON of values with bytes and long base64, which are images and documents in prompts and results. `JSON.stringify` and
 * `JSON.parse` take up to 20 times as long for them as making the base64.
 */
import { longChars, StandIns } from "./base64-runs.js";
import { base64, bytesOf, isPlainObject } from "./binary.js";
import { jsonText, setOwn, toJsonValue } from "./json-value.js";

/** Deeper values are handled as `JSON.stringify` does. */
const maxDepth = 32;

/**
 * The value that `JSON.stringify` writes, as plain data: getters and `toJSON` have run, and serializing the result runs no
 * code. A value that `JSON.stringify` throws on is converted with {@link toJsonValue}.
 */
export function inertJson(value: unknown): unknown {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null)
    return value;
  try {
    return jsonCopy(value);
  } catch {
    return toJsonValue(value);
  }
}

/**
 * As `JSON.parse(JSON.stringify(value))`, but bytes become base64, and long base64 is not read character by character.
 *
 * @throws what `JSON.stringify` throws
 */
export function jsonCopy(value: unknown): unknown {
  const standIns = new StandIns();
  const text = JSON.stringify(withStandIns(value, standIns, 0));
  if (text === undefined) return undefined;
  const copy: unknown = JSON.parse(text);
  return resolved(copy, standIns);
}

/** JSON that holds long runs of base64, in pieces: joining them copies each character, and a file needs no joined text. */
export class LongJson {
  /** Every second piece is base64, from the second on. */
  readonly #pieces: readonly string[];
  /** In UTF-8. */
  readonly byteLength: number;

  constructor(pieces: readonly string[]) {
    this.#pieces = pieces;
    const sizeOf = (piece: string, at: number) => (at % 2 === 1 ? piece.length : Buffer.byteLength(piece));
    this.byteLength = pieces.reduce((sum, piece, at) => sum + sizeOf(piece, at), 0);
  }

  /** Writes the text in UTF-8; returns the number of bytes. */
  write(bytes: Buffer, offset: number): number {
    let size = offset;
    for (const [at, piece] of this.#pieces.entries())
      size += bytes.write(piece, size, at % 2 === 1 ? "latin1" : "utf8");
    return size - offset;
  }

  isSameAs({ byteLength, pieces }: LongJson): boolean {
    return (
      this.byteLength === byteLength &&
      this.#pieces.length === pieces.length &&
      this.#pieces.every((piece, at) => piece === pieces[at])
    );
  }

  get pieces(): readonly string[] {
    return this.#pieces;
  }

  /** The JSON without `end`, and with `instead`; the same object if it does not end so. */
  replaceEnd(end: string, instead: string): LongJson {
    const last = this.#pieces.at(-1) as string;
    if (!last.endsWith(end)) return this;
    return new LongJson([...this.#pieces.slice(0, -1), last.slice(0, -end.length) + instead]);
  }

  toString(): string {
    return this.#pieces.join("");
  }
}

/** The JSON of a value: a text, if it holds no long run of base64. Never throws. */
export function longJson(value: unknown): string | LongJson {
  try {
    const standIns = new StandIns();
    const text = JSON.stringify(withStandIns(value, standIns, 0)) ?? "";
    return standIns.size === 0 ? text : new LongJson(standIns.pieces(text));
  } catch {
    return jsonText(value) ?? "";
  }
}

/** The size of a value in JSON, in bytes; infinite for a value that cannot be JSON. Never throws. */
export function jsonBytes(value: unknown): number {
  try {
    const standIns = new StandIns();
    const text = JSON.stringify(withStandIns(value, standIns, 0)) ?? "";
    return standIns.size === 0 ? Buffer.byteLength(text) : new LongJson(standIns.pieces(text)).byteLength;
  } catch {
    // Circular, or longer than a string can be.
    return Number.POSITIVE_INFINITY;
  }
}

/** Whether a value has a text that may hold a long run of base64. */
export function hasLongText(value: unknown, depth = 0): boolean {
  if (typeof value === "string") return value.length >= longChars;
  if (typeof value !== "object" || value === null || depth > maxDepth) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (hasLongText(value[index], depth + 1)) return true;
    return false;
  }
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    // No call for a text or a number: a span has 25 of them, and a call for each took 1 µs.
    if (typeof member === "string") {
      if (member.length >= longChars) return true;
    } else if (typeof member === "object" && hasLongText(member, depth + 1)) return true;
  }
  return false;
}

/** The number of characters in the texts of a value. */
export function textLength(value: unknown, depth = 0): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null || depth > maxDepth) return 0;
  const bytes = bytesOf(value);
  if (bytes) return bytes.byteLength;
  let length = 0;
  for (const key in value) length += textLength((value as Record<string, unknown>)[key], depth + 1);
  return length;
}

/** A copy of the value with stand-ins for bytes and for long runs of base64; the same object if it has none. */
function withStandIns(value: unknown, standIns: StandIns, depth: number): unknown {
  if (typeof value === "string") return standIns.of(value);
  if (typeof value !== "object" || value === null || depth > maxDepth) return value;
  const bytes = bytesOf(value);
  if (bytes) return standIns.add(base64(bytes));
  let copy: unknown[] | Record<string, unknown> | undefined;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const element: unknown = value[index];
      const shown = withStandIns(element, standIns, depth + 1);
      if (shown === element) continue;
      copy ??= value.slice();
      (copy as unknown[])[index] = shown;
    }
    return copy ?? value;
  }
  if (!isPlainObject(value)) return value;
  for (const key of Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    const shown = withStandIns(member, standIns, depth + 1);
    if (shown === member) continue;
    copy ??= { ...value };
    setOwn(copy as Record<string, unknown>, key, shown);
  }
  return copy ?? value;
}

/** Replaces bytes by base64 in a value that `JSON.parse` made. */
export function bytesAsBase64(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const bytes = bytesOf(value);
  if (bytes) return base64(bytes);
  return replaceMembers(value, bytesAsBase64);
}

/** Replaces stand-ins in a value that `JSON.parse` made. */
export function resolved(value: unknown, standIns: StandIns): unknown {
  if (standIns.size === 0) return value;
  if (typeof value === "string") return standIns.resolve(value);
  if (typeof value !== "object" || value === null) return value;
  return replaceMembers(value, (member) => resolved(member, standIns));
}

/** Changes the value itself. */
function replaceMembers(value: object, replace: (member: unknown) => unknown): object {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = replace(value[index]);
    return value;
  }
  for (const [key, member] of Object.entries(value)) {
    const shown = replace(member);
    if (shown !== member) setOwn(value as Record<string, unknown>, key, shown);
  }
  return value;
}
