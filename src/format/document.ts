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
 * Without its tail it is an open document, and still grows. Pure: bytes in, a union out; nothing here throws
 * on bytes it is given.
 */
import { isUtf8 } from "node:buffer";
import { toJsonValue } from "./json-value.js";
import { passBytes } from "./passing-bytes.js";
import type { SessionMetadata, SessionSummary, TraceFile, TraceLayout, TraceSpan } from "./trace-file.js";
import { isRecord, soundMetadata, soundSummary } from "./validate.js";

/** What the head line says. */
export interface DocumentHead {
  /** The raw session id; documents of other writers may lack it. */
  readonly id: string | undefined;
  readonly traceId: string;
  readonly sessionId: string;
  readonly startedAt: string;
}

/** What the tail line says. */
export interface DocumentTail {
  /** Open or interrupted spans, and the session span last. */
  readonly spans: readonly TraceSpan[];
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

export function encodeHead({ id, traceId, sessionId, startedAt }: DocumentHead): Buffer {
  const head = JSON.stringify({ version: 2, id, traceId, sessionId, startedAt });
  return Buffer.from(`${head.slice(0, -1)},"spans":[\n`);
}

/**
 * One span as text. `spanId` and `interrupted` come first, so that a merge can tell a line by its first bytes;
 * `traceId` comes last, so that a line can go without it. Never throws: a value that JSON cannot carry costs that value.
 */
export function encodeSpan(span: TraceSpan): string {
  const ordered = isInOrder(span) ? span : inOrder(span);
  try {
    return JSON.stringify(ordered);
  } catch {
    return JSON.stringify(toJsonValue(ordered));
  }
}

function inOrder({ spanId, interrupted, traceId, ...rest }: TraceSpan): TraceSpan {
  const ordered: TraceSpan = interrupted ? { spanId, interrupted, ...rest } : { spanId, ...rest };
  if (traceId !== undefined) ordered.traceId = traceId;
  return ordered;
}

/** As records are made: the copy that puts a span in order is a twentieth of what recording it costs. */
function isInOrder(span: TraceSpan): boolean {
  const keys = Object.keys(span);
  return keys[0] === "spanId" && keys.at(-1) === "traceId" && !("interrupted" in span);
}

/**
 * Gives `take` the line of a span's text in a document of that trace, as bytes that are valid until `take` returns. The
 * first line of a document leaves out the comma.
 */
export function passLine<T>(spanText: string, traceId: string, take: (line: Buffer) => T): T {
  const trace = `,"traceId":"${traceId}"}`;
  return spanText.endsWith(trace)
    ? passBytes(",", spanText.slice(0, -trace.length), "}\n", take)
    : passBytes(",", spanText, "\n", take);
}

/** The span as it stands in a document of that trace: its own trace is named only where it differs. */
export function inTrace(span: TraceSpan, traceId: string): TraceSpan {
  // An empty one: of a document of other writers that names none.
  if (span.traceId !== traceId && span.traceId !== "") return span;
  const { traceId: _, ...rest } = span;
  return rest;
}

/** The last line. `tailStart` is the offset at which it will stand. */
export function encodeTail(tail: DocumentTail, tailStart: number, isFirst: boolean): Buffer {
  const spans = tail.spans.map(encodeSpan).join(",");
  const separator = isFirst || spans === "" ? "" : ",";
  const { metadata, summary, endedAt } = tail;
  const layout = { ...tail.layout, tailStart };
  let rest: string;
  try {
    rest = JSON.stringify({ metadata, summary, endedAt, layout });
  } catch {
    rest = JSON.stringify({ metadata: toJsonValue(metadata), summary, endedAt, layout });
  }
  return Buffer.from(`${separator}${spans}],${rest.slice(1)}\n`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a value read from a file can stand as a span. */
export function isSpan(value: unknown): value is TraceSpan {
  return isRecord(value) && typeof value.spanId === "string" && value.spanId !== "";
}

/** Whether a span is the session's own, which stands in a tail and has no line. */
export const isRoot = (span: TraceSpan): boolean => span.parentSpanId === null && span.kind === "session";

/** Reads the head line, with or without its newline. */
export function decodeHead(line: Buffer): DocumentHead | undefined {
  const text = line.toString("utf8").trimEnd();
  if (!isUtf8(line) || !text.endsWith(',"spans":[')) return undefined;
  const head = parse(`${text}]}`);
  if (!isRecord(head) || head.version !== 2) return undefined;
  const { id, traceId, sessionId, startedAt } = head;
  if (typeof traceId !== "string" || typeof sessionId !== "string" || typeof startedAt !== "string")
    return undefined;
  return { id: typeof id === "string" ? id : undefined, traceId, sessionId, startedAt };
}

const tailEnd = /"tailStart":(\d+)\}\}\n?$/;

/**
 * Where the tail begins, read off the last bytes of a document: `undefined` if they are not the end of a
 * document of ours.
 */
export function tailStartIn(lastBytes: Buffer): number | undefined {
  const match = tailEnd.exec(lastBytes.subarray(-64).toString("latin1"));
  return match ? Number(match[1]) : undefined;
}

/** Reads one whole line (without its newline) that begins at `offset`. */
export function decodeLine(line: Buffer, offset: number): DecodedLine {
  if (tailStartIn(line) === offset) {
    const tail = decodeTail(line);
    if (tail) return { type: "tail", tail };
  }
  // A document must be UTF-8 throughout: for one bad byte in it, strict readers refuse all of it.
  const span = isUtf8(line) ? parse(withoutComma(line).toString("utf8")) : undefined;
  return isSpan(span) && !isRoot(span) ? { type: "span", span } : { type: "corrupt" };
}

/** Reads a tail line. */
export function decodeTail(line: Buffer): DocumentTail | undefined {
  if (!isUtf8(line)) return undefined;
  const value = parse(`{"spans":[${withoutComma(line).toString("utf8")}`);
  if (!isRecord(value) || !Array.isArray(value.spans) || !isRecord(value.summary)) return undefined;
  const { metadata, summary, endedAt, layout } = value as unknown as TraceFile;
  const { tailStart: _, ...shape } = layout ?? { v: 1, tailStart: 0 };
  return {
    spans: value.spans.filter(isSpan),
    metadata: soundMetadata(metadata),
    summary: soundSummary(summary),
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

/** What a merge needs to know of a span's line. */
export interface LineKey {
  readonly spanId: string;
  readonly interrupted: boolean;
}

// ASCII only, since the bytes are not decoded: an id in other letters is read with its whole line.
const linePrefix = /^,?\{"spanId":"([ !#-[\]-~]{1,256})"(,"interrupted":true)?[,}]/;

/** Reads a line's key off its first bytes, as `encodeSpan` wrote them; `undefined` for lines of other writers. */
export function lineKey(line: Buffer): LineKey | undefined {
  const match = linePrefix.exec(line.subarray(0, 320).toString("latin1"));
  return match ? { spanId: match[1] as string, interrupted: match[2] !== undefined } : undefined;
}

/** Reads a document however it is laid out: pretty-printed, edited, or written by the tracer before ours. */
export function decodeDocument(text: string): TraceFile | undefined {
  // Some editors begin a file with a byte-order mark, which JSON.parse refuses.
  const value = parse(text.startsWith("\ufeff") ? text.slice(1) : text);
  if (!isRecord(value) || !Array.isArray(value.spans)) return undefined;
  const document = value as unknown as TraceFile;
  const spans = value.spans.filter(isSpan);
  const root = spans.find(isRoot);
  const startedAt = typeof document.startedAt === "string" ? document.startedAt : isoTime(root?.startTime);
  return {
    ...document,
    version: 2,
    traceId: typeof document.traceId === "string" ? document.traceId : "",
    sessionId: typeof document.sessionId === "string" ? document.sessionId : "",
    startedAt,
    endedAt: typeof document.endedAt === "string" ? document.endedAt : startedAt,
    metadata: isRecord(document.metadata) ? document.metadata : {},
    summary: (isRecord(document.summary) ? document.summary : {}) as unknown as SessionSummary,
    spans,
  };
}

/** ISO 8601 of epoch milliseconds; the epoch itself for a time that is none. */
export function isoTime(millis: number | undefined): string {
  // Of a document of others it may be anything, which a date throws at.
  const date = new Date(typeof millis === "number" ? millis : 0);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}
