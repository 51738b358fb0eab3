/**
 * Limits of what one span may add to a file: a text that is too long ends in a marker that tells how much is missing.
 *
 * Applied after redaction, which must not be given half a secret, and before a record is serialised: of a text of
 * some hundred megabytes no JSON can be made.
 */
import { setOwn, toJsonValue } from "../format/json-value.js";
import type { TraceSpan } from "../format/trace-file.js";

/** In bytes; 0: no limit. */
export interface Limits {
  readonly maxValueBytes: number;
  readonly maxSpanBytes: number;
}

/** Most that a UTF-16 unit takes, escaped in JSON; and what a member takes beside its text, or a number in all. */
const bytesPer = { unit: 6, member: 32 };

/** Deeper values are not looked into. */
const maxDepth = 64;

/** Texts that are shorter are not cut to make a span fit: it has too many of them. */
const shortest = 256;

const contentFields = ["input", "output", "attributes"] as const;

/** A span within the limits: itself, where nothing is too long. Never throws, and leaves what it is given alone. */
export function limitSpan({ maxValueBytes, maxSpanBytes }: Limits, span: TraceSpan): TraceSpan {
  const maxText = maxValueBytes || Number.POSITIVE_INFINITY;
  const maxRecord = maxSpanBytes || Number.POSITIVE_INFINITY;
  const most = Math.min(maxText, maxRecord);
  try {
    if (most === Number.POSITIVE_INFINITY || atMost(span, most, 0) <= most) return span;
    let left = cutTexts(span, maxText, []);
    // To make the JSON of some megabytes twice costs as much as recording them.
    if (atMost(left, maxRecord, 0) <= maxRecord) return left;
    let bytes = jsonBytes(left);
    if (bytes === Number.POSITIVE_INFINITY) {
      // A circle that a redactor answered with, say.
      left = toJsonValue(left) as TraceSpan;
      bytes = jsonBytes(left);
    }
    // What is no text stays, and the estimate does not know it: it comes closer with each round.
    for (let round = 0; bytes > maxRecord && round < 6; round++) {
      left = cutTexts(left, Math.max(shortest, levelOf(left, maxRecord / bytes)), []);
      bytes = jsonBytes(left);
    }
    return bytes > maxRecord ? withoutLargest(cutTexts(left, shortest, []), maxRecord) : left;
  } catch {
    // A redactor's value that cannot be read costs itself, when it is serialised.
    return span;
  }
}

/** A value of a session within the limit of values. As {@link limitSpan}. */
export function limitValue<T>({ maxValueBytes }: Limits, value: T): T {
  try {
    if (maxValueBytes === 0 || atMost(value, maxValueBytes, 0) <= maxValueBytes) return value;
    return cutTexts(value, maxValueBytes, []);
  } catch {
    return value;
  }
}

/** The length to which texts must be cut for that share of all their bytes to be left. */
function levelOf(span: TraceSpan, share: number): number {
  const lengths = textsIn(span).map((text) => Buffer.byteLength(text));
  lengths.sort((a, b) => b - a);
  let excess = lengths.reduce((sum, length) => sum + length, 0) * (1 - share);
  for (const [index, length] of lengths.entries()) {
    const next = lengths[index + 1] ?? 0;
    const longer = index + 1;
    if (excess <= (length - next) * longer) return Math.floor(length - excess / longer);
    excess -= (length - next) * longer;
  }
  return 0;
}

function textsIn(value: unknown, texts: string[] = [], depth = 0): string[] {
  if (typeof value === "string") texts.push(value);
  else if (typeof value === "object" && value !== null && depth <= maxDepth)
    for (const member of Object.values(value)) textsIn(member, texts, depth + 1);
  return texts;
}

/** Bytes that a value takes at most in JSON; more than `most` is not counted on. */
function atMost(value: unknown, most: number, depth: number): number {
  if (typeof value === "string") return value.length * bytesPer.unit + bytesPer.member;
  if (typeof value !== "object" || value === null) return bytesPer.member;
  if (depth > maxDepth) return Number.POSITIVE_INFINITY;
  let bytes = bytesPer.member;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && bytes <= most; index++)
      bytes += atMost(value[index], most, depth + 1);
    return bytes;
  }
  for (const key in value) {
    bytes += key.length * bytesPer.unit + atMost((value as Record<string, unknown>)[key], most, depth + 1);
    if (bytes > most) break;
  }
  return bytes;
}

function jsonBytes(value: unknown): number {
  try {
    return Buffer.byteLength(JSON.stringify(value) ?? "");
  } catch {
    // Longer than any string can be.
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * The same value with no text longer than `max` bytes. What holds no longer one is not copied. `ancestors`: the objects
 * around it, since a redactor may answer with a circle.
 */
function cutTexts<T>(value: T, max: number, ancestors: object[]): T;
function cutTexts(value: unknown, max: number, ancestors: object[]): unknown {
  if (typeof value === "string") return cutText(value, max);
  if (typeof value !== "object" || value === null) return value;
  if (ancestors.length > maxDepth || ancestors.includes(value)) return value;
  ancestors.push(value);
  let copy: unknown[] | Record<string, unknown>;
  let isCut = false;
  if (Array.isArray(value)) {
    copy = value.map((element: unknown) => {
      const short = cutTexts(element, max, ancestors);
      isCut ||= short !== element;
      return short;
    });
  } else {
    copy = {};
    for (const [key, member] of Object.entries(value)) {
      const [shortKey, short] = [cutText(key, max), cutTexts(member, max, ancestors)];
      isCut ||= shortKey !== key || short !== member;
      setOwn(copy, shortKey, short);
    }
  }
  ancestors.pop();
  return isCut ? copy : value;
}

const markerOf = (bytes: number): string => `…[${bytes} bytes cut]`;

/** The text in at most `max` bytes of UTF-8, and never half a character. */
function cutText(text: string, max: number): string {
  if (text.length * 3 <= max) return text;
  const bytes = Buffer.byteLength(text);
  if (bytes <= max) return text;
  // Cut before: one marker tells of both cuts.
  const earlier = /…\[(\d{1,15}) bytes cut\]$/.exec(text.slice(-40));
  const own = bytes - (earlier ? Buffer.byteLength(earlier[0]) : 0);
  const missing = Number(earlier?.[1] ?? 0);
  // Bytes, and not a slice: that would keep all of a text in memory for as long as its beginning.
  const kept = Buffer.allocUnsafe(Math.min(own, max - Buffer.byteLength(markerOf(bytes + missing))));
  const { written } = new TextEncoder().encodeInto(text.slice(0, kept.length), kept);
  return kept.toString("utf8", 0, written) + markerOf(own - written + missing);
}

/** Texts are not what makes it large: the largest of its fields go, until it fits. */
function withoutLargest(span: TraceSpan, max: number): TraceSpan {
  let left = span;
  const bySize = [...contentFields].sort((a, b) => jsonBytes(span[b]) - jsonBytes(span[a]));
  for (const field of bySize) {
    if (jsonBytes(left) <= max) break;
    if (left[field] === undefined) continue;
    const cut = markerOf(jsonBytes(span[field]));
    left = { ...left, [field]: field === "attributes" ? { cut } : cut };
  }
  return left;
}
