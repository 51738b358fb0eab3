/**
 * The spans of a long session, in memory without their long texts: 200 MB of spans took 750 MB, and take 250 MB. The last spans stay whole,
 * and the others are read again, one by one, where a command shows all of a span.
 */
import { decodeLine } from "../format/document.js";
import type { TraceSpan } from "../format/trace-file.js";
import { validSpan } from "../format/validate.js";
import { Descriptor } from "../platform/descriptor.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { runSync } from "../platform/gensync.js";
import type { LinePlace } from "../recovery/read-trace.js";
import { readRange } from "../storage/lines.js";
import { cutDeepValues } from "./deep-values.js";

/** Bytes of lines whose spans stay whole: most sessions are shorter. */
const wholeBytes = 16 << 20;
/** Characters that stay of a text: more than a row, a step or a message of a view shows. */
const keptCharacters = 600;
/** Members that stay of a list or an object, and levels of them. */
const keptMembers = 60;
const keptLevels = 8;

export class LongSession {
  readonly #wholeBytes: number;
  readonly #change: (span: TraceSpan) => TraceSpan;
  /** Spans that are whole, the oldest first. */
  #whole: { readonly span: TraceSpan; readonly place: LinePlace }[] = [];
  #bytes = 0;
  /** Places of the spans that were cut. */
  readonly #places = new Map<string, LinePlace>();

  /**
   * @param bytes bytes of lines whose spans stay whole
   * @param change what a command shows of a span
   */
  constructor(bytes = wholeBytes, change: (span: TraceSpan) => TraceSpan = (span) => span) {
    this.#wholeBytes = bytes;
    this.#change = change;
  }

  /** Takes a span that was just read, and returns what is shown of it. It may cut that, or a span before it. */
  take(given: TraceSpan, place: LinePlace | undefined): TraceSpan {
    // Before a text is cut: the first half of a secret does not look like one.
    cutDeepValues([given]);
    const span = this.#change(validSpan(given));
    if (place) this.#keep(span, place);
    return span;
  }

  #keep(span: TraceSpan, place: LinePlace): void {
    this.#whole.push({ span, place });
    this.#bytes += place.bytes;
    if (this.#bytes < 2 * this.#wholeBytes) return;
    // In batches: to take the first of a long array away costs its length.
    let count = 0;
    for (; this.#bytes > this.#wholeBytes; count++) {
      const oldest = this.#whole[count] as { span: TraceSpan; place: LinePlace };
      this.#bytes -= oldest.place.bytes;
      if (oldest.place.bytes <= keptCharacters) continue;
      cutTexts(oldest.span);
      this.#places.set(keyOf(oldest.span), oldest.place);
    }
    this.#whole = this.#whole.slice(count);
  }

  /** All that is shown of the span. Where its line is gone, the span as it is: its texts show that they were cut. */
  whole(span: TraceSpan): TraceSpan {
    const place = this.#places.get(keyOf(span));
    if (!place) return span;
    // A log becomes the document at the end of its session, with the same bytes.
    const paths = [place.path, place.path.replace(/(\.json)\.[^/]+\.open$/, "$1")];
    for (const path of paths) {
      const found = lineAt(path, place);
      if (found?.spanId !== span.spanId || !Object.is(found.startTime, span.startTime)) continue;
      cutDeepValues([found]);
      // Trace and parent as in the session, which may be another one than that of the line.
      const { parentSpanId, traceId } = span;
      return { ...this.#change(found), parentSpanId, ...(traceId !== undefined && { traceId }) };
    }
    return span;
  }
}

const keyOf = ({ spanId, traceId = "", startTime }: TraceSpan): string => `${traceId} ${spanId} ${startTime}`;

function lineAt(path: string, { offset, bytes }: LinePlace): TraceSpan | undefined {
  let file: Descriptor | undefined;
  try {
    file = new Descriptor(nodeFileSystem, nodeFileSystem.sync.open(path, "read"));
    const decoded = decodeLine(runSync(nodeFileSystem, readRange(file.fd, offset, offset + bytes)), offset);
    return decoded.type === "span" ? validSpan(decoded.span) : undefined;
  } catch {
    // Another file has the name by now, or none.
    return undefined;
  } finally {
    file?.releaseNow();
  }
}

/** Cuts the long texts of a span, which was just parsed and belongs to this session alone. */
function cutTexts(span: TraceSpan): void {
  for (const key of ["input", "output", "attributes", "statusMessage"] as const)
    if (span[key] !== undefined) Object.assign(span, { [key]: beginningOf(span[key], keptLevels) });
}

function beginningOf(value: unknown, levels: number): unknown {
  if (typeof value === "string") return beginningOfText(value);
  if (typeof value !== "object" || value === null) return value;
  if (levels === 0) return "…";
  if (Array.isArray(value)) return value.slice(0, keptMembers).map((item) => beginningOf(item, levels - 1));
  const members = Object.entries(value).slice(0, keptMembers);
  return Object.fromEntries(members.map(([key, member]) => [key, beginningOf(member, levels - 1)]));
}

function beginningOfText(text: string): string {
  if (text.length <= keptCharacters) return text;
  const start = text.slice(0, keptCharacters);
  // Two inputs that begin alike are no loop: the sum keeps them apart.
  const mark = `… [${text.length - keptCharacters} more characters, sum ${sumOf(text).toString(36)}]`;
  // A part of a text keeps all of it in memory: this makes a text of its own.
  return JSON.parse(JSON.stringify(start + mark)) as string;
}

/** FNV-1a. */
function sumOf(text: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193);
  return sum >>> 0;
}
