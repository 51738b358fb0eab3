/**
 * Limits of the size of one span in a file. A text that is too long is cut, and ends in a marker with the number of missing
 * bytes.
 *
 * The limits apply after redaction, because a redactor cannot recognise half a secret, and before serialisation, because
 * a text of some hundred megabytes cannot become JSON.
 */
import { longChars, partsOf } from "../format/base64-runs.js";
import { setOwn, toJsonValue } from "../format/json-value.js";
import { jsonBytes } from "../format/long-json.js";
import type { TraceSpan } from "../format/trace-file.js";

/** In bytes; 0: no limit. */
export interface Limits {
  readonly maxValueBytes: number;
  readonly maxSpanBytes: number;
}

/** Upper bounds in JSON: bytes of an escaped UTF-16 unit, and bytes of a member without its text, or of a number. */
const bytesPer = { unit: 6, member: 32 };

/** Deeper values are not measured and not cut. */
const maxDepth = 64;

/** To make a span fit, texts are cut to this length at least: a span that is still too large has too many texts. */
const shortest = 256;

const contentFields = ["input", "output", "attributes"] as const;

/** The span within the limits; the same object if it is. Never throws, and never changes its argument. */
export function limitSpan({ maxValueBytes, maxSpanBytes }: Limits, span: TraceSpan): TraceSpan {
  const maxText = maxValueBytes || Number.POSITIVE_INFINITY;
  const maxRecord = maxSpanBytes || Number.POSITIVE_INFINITY;
  const most = Math.min(maxText, maxRecord);
  try {
    if (most === Number.POSITIVE_INFINITY || atMost(span, most, 0) <= most) return span;
    let left = cutTexts(span, maxText, []);
    // Making the JSON of some megabytes costs as much as recording them, so an estimate comes first.
    if (atMost(left, maxRecord, 0) <= maxRecord) return left;
    let bytes = jsonBytes(left);
    if (bytes === Number.POSITIVE_INFINITY) {
      // Not serialisable: a redactor may have returned a circular object.
      left = toJsonValue(left) as TraceSpan;
      bytes = jsonBytes(left);
    }
    // Values other than texts stay, and the estimate ignores them: each round comes closer.
    for (let round = 0; bytes > maxRecord && round < 6; round++) {
      left = cutTexts(left, Math.max(shortest, levelOf(left, maxRecord / bytes)), []);
      bytes = jsonBytes(left);
    }
    return bytes > maxRecord ? withoutLargest(cutTexts(left, shortest, []), maxRecord) : left;
  } catch {
    // A value of a redactor that cannot be read is replaced when the span is serialised.
    return span;
  }
}

/** As {@link limitSpan}, for a value of a session and the limit of values only. */
export function limitValue<T>({ maxValueBytes }: Limits, value: T): T {
  try {
    if (maxValueBytes === 0 || atMost(value, maxValueBytes, 0) <= maxValueBytes) return value;
    return cutTexts(value, maxValueBytes, []);
  } catch {
    return value;
  }
}

/** The length to which all texts must be cut so that `share` of their bytes remains. */
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

/** An upper bound of the bytes of a value in JSON. Counting stops beyond `most`. */
function atMost(value: unknown, most: number, depth: number): number {
  if (typeof value === "string") return textAtMost(value, most) + bytesPer.member;
  if (typeof value !== "object" || value === null) return bytesPer.member;
  if (depth > maxDepth) return Number.POSITIVE_INFINITY;
  let bytes = bytesPer.member;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && bytes <= most; index++)
      bytes += atMost(value[index], most, depth + 1);
    return bytes;
  }
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    bytes += key.length * bytesPer.unit + bytesPer.member;
    // No call for a short text or a number, as most members of a span are.
    if (typeof member === "string")
      bytes += member.length < longChars ? member.length * bytesPer.unit : textAtMost(member, most);
    else if (typeof member === "object") bytes += atMost(member, most, depth + 1);
    if (bytes > most) break;
  }
  return bytes;
}

/** As {@link atMost}, for a text: long runs of base64 have one byte per character. */
function textAtMost(text: string, most: number): number {
  if (text.length < longChars || text.length > most) return text.length * bytesPer.unit;
  let bytes = 0;
  for (const part of partsOf(text)) bytes += part.text.length * (part.isBase64 ? 1 : bytesPer.unit);
  return bytes;
}

/**
 * The value with every text cut to `max` bytes; the same object if no text is longer. `ancestors` are the objects that
 * contain the value, because a redactor may return a circular one.
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

/** The text in at most `max` bytes of UTF-8, cut between characters. */
function cutText(text: string, max: number): string {
  if (text.length * 3 <= max) return text;
  const bytes = Buffer.byteLength(text);
  if (bytes <= max) return text;
  // The text may be cut already: one marker counts the bytes of both cuts.
  const earlier = /\u2026\[(\d{1,15}) bytes cut\]$/.exec(text.slice(-40));
  const own = bytes - (earlier ? Buffer.byteLength(earlier[0]) : 0);
  const missing = Number(earlier?.[1] ?? 0);
  const left = Math.min(own, max - Buffer.byteLength(markerOf(bytes + missing)));
  // A copy, because a slice would keep the whole text in memory for as long as its beginning. The marker is copied behind it:
  // two joined texts are copied by the first pass over them, which takes 20 times as long (`test/exporter/long-values.test.ts`).
  if (bytes === text.length) {
    // ASCII, such as base64. The marker has a character of two bytes, so that all characters of the text have two.
    const marker = markerOf(own - left + missing);
    const cut = Buffer.allocUnsafe((left + marker.length) * 2);
    cut.write(text.slice(0, left), "utf16le");
    cut.write(marker, left * 2, "utf16le");
    return cut.toString("utf16le");
  }
  const cut = Buffer.allocUnsafe(max);
  const { written } = new TextEncoder().encodeInto(text.slice(0, left), cut.subarray(0, left));
  const size = written + cut.write(markerOf(own - written + missing), written);
  return cut.toString("utf8", 0, size);
}

/** For a span that is not large because of its texts: replaces its largest fields by a marker until it fits. */
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
