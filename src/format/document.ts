/**
 * The trace document as bytes: a head line, one line per ended span, one tail line.
 *
 * ```
 * {"version":2,"id":…,"traceId":…,"sessionId":…,"startedAt":…,"spans":[
 * {"spanId":…}
 * ,{"spanId":…}
 * ,{"spanId":"open"…}],"metadata":{…},"summary":{…},"endedAt":…,"layout":{"v":1,"tailStart":N}}
 * ```
 *
 * Without the tail line it is an append log, which grows. Decoding is pure: bytes in, a union out; it never throws.
 */

import { isUtf8 } from "node:buffer";
import { isoTime } from "../platform/epoch-time.js";
import { isRecord, jsonText, parseJson, toJsonValue } from "./json-value.js";
import { hasLongText, type LongJson, longJson } from "./long-json.js";
import { isMarkedUnnamed, splitOrigins, withOrigins } from "./origins.js";
import type { SessionMetadata, SessionSummary, TraceFile, TraceLayout, TraceSpan } from "./trace-file.js";
import { validMetadata, validSummary } from "./validate.js";

/** What the head line holds. */
export interface DocumentHead {
  /** The raw session id; documents of other programs may lack it. */
  readonly id: string | undefined;
  readonly traceId: string;
  readonly sessionId: string;
  readonly startedAt: string;
}

/** What the tail line holds. */
export interface DocumentTail {
  /** Open or interrupted spans, then the session span. */
  readonly spans: readonly TraceSpan[];
  /** With the origins of spans (`origins.ts`). */
  readonly metadata: SessionMetadata;
  readonly summary: SessionSummary;
  readonly endedAt: string;
  readonly layout: Omit<TraceLayout, "tailStart">;
}

/** A line of a document. */
export type DecodedLine =
  | { readonly type: "span"; readonly span: TraceSpan }
  | { readonly type: "tail"; readonly tail: DocumentTail }
  | { readonly type: "corrupt" };

const newline = 0x0a;
const comma = 0x2c;
const quote = 0x22;
const closingBrace = 0x7d;
const backslash = 0x5c;

export function encodeHead({ id, traceId, sessionId, startedAt }: DocumentHead): Buffer {
  const head = JSON.stringify({ version: 2, id, traceId, sessionId, startedAt });
  return Buffer.from(`${head.slice(0, -1)},"spans":[\n`);
}

/** One span as JSON; in pieces, if it holds long base64. */
export type SpanJson = string | LongJson;

/**
 * One span as JSON. `spanId` and `interrupted` come first, and `traceId` last: a merge identifies a line by its first and
 * last bytes, and a line can leave the trace id out. A trace id that cannot be read from the last bytes comes first: then
 * the line is parsed. Never throws: a value that JSON cannot represent loses only itself.
 */
export function spanJson(span: TraceSpan): SpanJson {
  const ordered = isInOrder(span) ? span : inOrder(span);
  return hasLongText(ordered) ? longJson(ordered) : (jsonText(ordered) as string);
}

/** As {@link spanJson}, as one text. */
export const encodeSpan = (span: TraceSpan): string => String(spanJson(span));

/** Whether two spans have the same JSON. */
export const isSameJson = (a: SpanJson, b: SpanJson): boolean =>
  typeof a === "string" || typeof b === "string" ? a === b : a.isSameAs(b);

function inOrder({ spanId, interrupted, traceId, ...rest }: TraceSpan): TraceSpan {
  const ordered: TraceSpan = interrupted ? { spanId, interrupted, ...rest } : { spanId, ...rest };
  if (traceId === undefined) return ordered;
  return isPlain(traceId) ? Object.assign(ordered, { traceId }) : { traceId, ...ordered };
}

/** Spans are usually made in this order. The copy in another order takes a twentieth of the time to record a span. */
function isInOrder(span: TraceSpan): boolean {
  const keys = Object.keys(span);
  return (
    keys[0] === "spanId" &&
    keys.at(-1) === "traceId" &&
    !("interrupted" in span) &&
    isPlain(span.traceId as string)
  );
}

/**
 * Passes the line of a span to `take`, in the scratch buffer: the bytes are valid until `take` returns. `json` is that of
 * the span, `traceId` the document's. The line begins with a comma, which the first line of a document leaves out.
 */
export function encodeLineIntoScratch<T>(json: SpanJson, traceId: string, take: (line: Buffer) => T): T {
  const trace = `,"traceId":"${traceId}"}`;
  if (typeof json !== "string") return encodeIntoScratch(",", json.replaceEnd(trace, "}"), "\n", take);
  return json.endsWith(trace)
    ? encodeIntoScratch(",", json.slice(0, -trace.length), "}\n", take)
    : encodeIntoScratch(",", json, "\n", take);
}

/**
 * The scratch buffer: text on its way to a file is encoded into it. For a span of 5 KB, a new buffer and two copies of
 * the text took 4 µs per record.
 */
const scratch = Buffer.allocUnsafeSlow(256 * 1024);
let isLent = false;

/**
 * Passes the three texts, joined and in UTF-8, to `take` and returns its result. The bytes are valid until `take`
 * returns: `take` copies what it keeps. A call inside `take` gets a buffer of its own.
 */
export function encodeIntoScratch<T>(
  before: string,
  text: SpanJson,
  after: string,
  take: (bytes: Buffer) => T,
): T {
  if (typeof text !== "string") return take(joined([before, text, after]));
  // One UTF-16 unit takes three bytes at most.
  if (isLent || (before.length + text.length + after.length) * 3 > scratch.length)
    return take(Buffer.from(before + text + after));
  let size = scratch.write(before, 0);
  size += scratch.write(text, size);
  size += scratch.write(after, size);
  isLent = true;
  try {
    return take(scratch.subarray(0, size));
  } finally {
    isLent = false;
  }
}

function joined(texts: readonly SpanJson[]): Buffer {
  const sizeOf = (text: SpanJson) => (typeof text === "string" ? Buffer.byteLength(text) : text.byteLength);
  const bytes = Buffer.allocUnsafe(texts.reduce((sum, text) => sum + sizeOf(text), 0));
  let size = 0;
  for (const text of texts)
    size += typeof text === "string" ? bytes.write(text, size) : text.write(bytes, size);
  return bytes;
}

/** The tail line. `tailStart` is the offset of the line in the document. */
export function encodeTail(tail: DocumentTail, tailStart: number, isFirst: boolean): Buffer {
  const separator = isFirst || tail.spans.length === 0 ? "" : ",";
  const { summary, endedAt } = tail;
  const { metadata, resources, scopes } = splitOrigins(tail.metadata);
  // The last members: `endMarksIn` reads them from the end of a file.
  const { unnamed: _, provisional, ...shape } = tail.layout;
  const unnamed = isMarkedUnnamed(tail.metadata) || undefined;
  const layout = { ...shape, unnamed, provisional, tailStart };
  let rest: string;
  try {
    rest = JSON.stringify({ metadata, resources, scopes, summary, endedAt, layout });
  } catch {
    const plain = toJsonValue({ metadata, resources, scopes }) as object;
    rest = JSON.stringify({ ...plain, summary, endedAt, layout });
  }
  const spans = tail.spans.map(spanJson);
  const end = `],${rest.slice(1)}\n`;
  if (spans.every((span) => typeof span === "string"))
    return Buffer.from(`${separator}${spans.join(",")}${end}`);
  return joined([separator, ...spans.flatMap((span, index) => (index === 0 ? [span] : [",", span])), end]);
}

/** Whether a value that was read from a file is a span. */
export function isSpan(value: unknown): value is TraceSpan {
  return isRecord(value) && typeof value.spanId === "string" && value.spanId !== "";
}

/** Whether a span is the session span, which is in the tail and never has a line. */
export const isRoot = (span: TraceSpan): boolean => span.parentSpanId === null && span.kind === "session";

/** Reads the head line, with or without its newline. */
export function decodeHead(line: Buffer): DocumentHead | undefined {
  const text = line.toString("utf8").trimEnd();
  if (!isUtf8(line) || !text.endsWith(',"spans":[')) return undefined;
  const head = parseJson(`${text}]}`);
  if (!isRecord(head) || head.version !== 2) return undefined;
  const { id, traceId, sessionId, startedAt } = head;
  if (typeof traceId !== "string" || typeof sessionId !== "string" || typeof startedAt !== "string")
    return undefined;
  return { id: typeof id === "string" ? id : undefined, traceId, sessionId, startedAt };
}

const tailEnd = /"tailStart":(\d+)\}\}\n?$/;

/**
 * The offset of the tail, read from the last bytes of a document. `undefined` if they are not the end of a document that
 * this package wrote.
 */
export function tailStartIn(lastBytes: Buffer): number | undefined {
  const match = tailEnd.exec(lastBytes.subarray(-64).toString("latin1"));
  return match ? Number(match[1]) : undefined;
}

const marksEnd =
  /("left":"[^"]*",)?(?:"written":"[^"]*",)?("unnamed":true,)?(?:"provisional":"([^"\\]+)",)?"tailStart":\d+\}\}\n?$/;

/** What the last bytes of a document say of its session. */
export interface EndMarks {
  /** No program named the session. */
  readonly isUnnamed: boolean;
  /** A writer ended the session beside others: it goes on. */
  readonly isLeft: boolean;
  /** The token of the writer that may take the end of the session back. */
  readonly provisional: string | undefined;
}

/** Reads the marks from the last bytes of a document. The caller passes 256 bytes or more. */
export function endMarksIn(lastBytes: Buffer): EndMarks {
  const [, left, unnamed, provisional] = marksEnd.exec(lastBytes.subarray(-256).toString("latin1")) ?? [];
  return { isUnnamed: unnamed !== undefined, isLeft: left !== undefined, provisional };
}

/** Reads one whole line, without its newline, that begins at `offset`. */
export function decodeLine(line: Buffer, offset: number): DecodedLine {
  if (tailStartIn(line) === offset) {
    const tail = decodeTail(line);
    if (tail) return { type: "tail", tail };
  }
  // Strict readers refuse a whole document for one byte that is not UTF-8.
  const span = isUtf8(line) ? parseJson(withoutComma(line).toString("utf8")) : undefined;
  return isSpan(span) && !isRoot(span) ? { type: "span", span } : { type: "corrupt" };
}

/** Reads a tail line. */
export function decodeTail(line: Buffer): DocumentTail | undefined {
  if (!isUtf8(line)) return undefined;
  const value = parseJson(`{"spans":[${withoutComma(line).toString("utf8")}`);
  if (!isRecord(value) || !Array.isArray(value.spans) || !isRecord(value.summary)) return undefined;
  const { metadata, summary, endedAt, layout } = value as unknown as TraceFile;
  const { tailStart: _, ...shape } = layout ?? { v: 1, tailStart: 0 };
  return {
    spans: value.spans.filter(isSpan),
    metadata: withOrigins(validMetadata(metadata), value),
    summary: validSummary(summary),
    endedAt: typeof endedAt === "string" ? endedAt : "",
    layout: shape,
  };
}

/** The line's text without its separator and newline. */
export function withoutComma(line: Buffer): Buffer {
  const from = line[0] === comma ? 1 : 0;
  const to = line.at(-1) === newline ? line.length - 1 : line.length;
  return line.subarray(from, to);
}

/** What a merge reads of a span's line. */
export interface LineKey {
  readonly spanId: string;
  /** Absent where the line leaves out the trace id of its document. */
  readonly traceId: string | undefined;
  readonly interrupted: boolean;
}

const plainTraceId = /^[ !#-[\]-~]{0,256}$/;
/** Longer ids are not read from the bytes of a line: the line is parsed. */
const longestId = 256;
const spanMember = Buffer.from('{"spanId":"');
const interruptedMember = Buffer.from(',"interrupted":true');
const traceMember = Buffer.from(',"traceId":"');

/** The last trace id that was found to be plain: most spans have the trace id of the span before. */
let knownPlain: unknown;

/** Whether a trace id can be read from the last bytes of a line. */
function isPlain(traceId: unknown): boolean {
  if (traceId === knownPlain || typeof traceId !== "string") return true;
  if (!plainTraceId.test(traceId)) return false;
  knownPlain = traceId;
  return true;
}

/** The last trace id that was read from a line: most lines have that of a line before, and keep no text of their own. */
let lastTraceId = "";

/**
 * The trace id at the end of a line. JSON escapes each quote within a text: with these quotes, and no other before the last
 * brace, the member is one of the span itself.
 */
function lineTraceId(line: Buffer): string | undefined {
  const end = line[line.length - 1] === newline ? line.length - 1 : line.length;
  if (line[end - 1] !== closingBrace || line[end - 2] !== quote) return undefined;
  let from = end - 2;
  const first = Math.max(0, from - longestId);
  while (from > first && isPlainByte(line[from - 1])) from--;
  if (!hasAt(line, traceMember, from - traceMember.length)) return undefined;
  const traceId = line.toString("latin1", from, end - 2);
  if (traceId !== lastTraceId) lastTraceId = traceId;
  return lastTraceId;
}

/** ASCII without escapes of JSON: the bytes of a line are not decoded. */
const isPlainByte = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= 0x20 && byte < 0x7f && byte !== quote && byte !== backslash;

const endsMember = (byte: number | undefined): boolean => byte === comma || byte === closingBrace;

/** Whether these bytes are in the line at an offset. `Buffer.compare` takes longer for so few. */
function hasAt(line: Buffer, bytes: Buffer, offset: number): boolean {
  if (offset < 0) return false;
  for (let at = 0; at < bytes.length; at++) if (line[offset + at] !== bytes[at]) return false;
  return true;
}

/**
 * Reads a line's key from the first and last bytes that `encodeSpan` writes; `undefined` for a line of another program,
 * which is parsed. To parse each line would make a merge of a long session ten times as slow.
 */
export function lineKey(line: Buffer): LineKey | undefined {
  const begin = line[0] === comma ? 1 : 0;
  if (!hasAt(line, spanMember, begin)) return undefined;
  const from = begin + spanMember.length;
  let to = from;
  while (to <= from + longestId && isPlainByte(line[to])) to++;
  if (to === from || to > from + longestId || line[to] !== quote) return undefined;
  if (!endsMember(line[to + 1])) return undefined;
  const interrupted =
    hasAt(line, interruptedMember, to + 1) && endsMember(line[to + 1 + interruptedMember.length]);
  // A text of its own: a part of a longer text would keep all of that text in memory.
  return { spanId: line.toString("latin1", from, to), traceId: lineTraceId(line), interrupted };
}

const parentMember = /^,?\{"spanId":"[^"\\]*"(?:,"interrupted":true)?,"parentSpanId":"([^"\\]+)"/;

/** Bytes of a line that hold its first members. */
const firstBytes = 512;

/** The parent in the line of a span, which is parsed only where another program wrote it. */
export function lineParent(line: Buffer): string | undefined {
  const found = parentMember.exec(line.toString("latin1", 0, firstBytes))?.[1];
  if (found !== undefined) return found;
  const decoded = decodeLine(line, -1);
  return (decoded.type === "span" && decoded.span.parentSpanId) || undefined;
}

/** Reads a document in any layout: pretty-printed, edited, or written by the tracer before ours. */
export function decodeDocument(text: string): TraceFile | undefined {
  // Some editors begin a file with a byte-order mark, which JSON.parse refuses.
  const value = parseJson(text.startsWith("\ufeff") ? text.slice(1) : text);
  if (!isRecord(value) || !Array.isArray(value.spans)) return undefined;
  const { id, resources, scopes, layout, ...document } = value as unknown as TraceFile;
  const spans = value.spans.filter(isSpan);
  const root = spans.find(isRoot);
  const startedAt = typeof document.startedAt === "string" ? document.startedAt : isoTime(root?.startTime);
  return {
    ...document,
    version: 2,
    ...(typeof id === "string" && { id }),
    traceId: typeof document.traceId === "string" ? document.traceId : "",
    sessionId: typeof document.sessionId === "string" ? document.sessionId : "",
    startedAt,
    endedAt: typeof document.endedAt === "string" ? document.endedAt : startedAt,
    metadata: validMetadata(document.metadata),
    spans,
    summary: validSummary(document.summary),
    ...(isRecord(resources) && { resources }),
    ...(isRecord(scopes) && { scopes }),
    ...(isRecord(layout) && { layout }),
  };
}
