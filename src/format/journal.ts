/**
 * The side log: JSON lines telling what is open. Appended to beside the open document, replayed after a crash.
 *
 * - `{"owner":{…}}` who writes it, for people
 * - `{"session":{…}}` the session as a whole; the last one counts
 * - `{"span":{…}}` an open span when it started or changed; the last one of an id counts. One with an
 *   `endTime` has ended, and its line in the document may yet come.
 */

import { isSpan } from "./document.js";
import { toJsonValue } from "./json-value.js";
import { passBytes } from "./passing-bytes.js";
import type { SessionMetadata, TraceSpan } from "./trace-file.js";
import { soundMetadata } from "./validate.js";

/** What the log says of the session. */
export interface SessionRecord {
  readonly id: string;
  readonly traceId: string;
  readonly startedAt: string;
  readonly root: TraceSpan;
  readonly metadata: SessionMetadata;
  /** `endedAt` of the document that had ended and that this writer went on with. */
  readonly resumed?: string | undefined;
}

/** A replayed log. */
export interface LiveState {
  session: SessionRecord | undefined;
  /** Spans by id, in order of start; those that have ended in order of their ends. */
  readonly spans: Map<string, TraceSpan>;
  /** Lines that were neither records nor the torn end. */
  corruptLines: number;
  /** Bytes of a last record that was cut off. */
  tornBytes: number;
}

export const encodeOwner = (token: string): Buffer =>
  Buffer.from(`${JSON.stringify({ owner: { token, pid: process.pid } })}\n`);

/** Never throws: of a document of others it may be nested deeper than JSON can be written. */
export function encodeSession(session: SessionRecord): Buffer {
  let text: string;
  try {
    text = JSON.stringify({ session });
  } catch {
    text = JSON.stringify({ session: toJsonValue(session) });
  }
  return Buffer.from(`${text}\n`);
}

/**
 * Gives `take` a start or a change, as bytes that are valid until `take` returns. Takes the span's text, since callers
 * keep the text to see whether the span changed.
 */
export const passLiveSpan = <T>(spanText: string, take: (bytes: Buffer) => T): T =>
  passBytes('{"span":', spanText, "}\n", take);

/** The same in a buffer of its own. */
export const encodeLiveSpan = (spanText: string): Buffer =>
  passLiveSpan(spanText, (bytes) => Buffer.from(bytes));

/** Replays a log. Takes any bytes; a torn last line, a NUL tail or rot costs only itself. */
export function replayLiveLog(bytes: Buffer): LiveState {
  const state: LiveState = { session: undefined, spans: new Map(), corruptLines: 0, tornBytes: 0 };
  let from = 0;
  while (from < bytes.length) {
    const end = bytes.indexOf(0x0a, from);
    const line = bytes.subarray(from, end < 0 ? bytes.length : end);
    from = end < 0 ? bytes.length : end + 1;
    if (replayLine(state, line)) continue;
    if (end >= 0) state.corruptLines++;
    else state.tornBytes = line.length;
  }
  return state;
}

function replayLine(state: LiveState, line: Buffer): boolean {
  let record: { owner?: unknown; session?: unknown; span?: unknown } | null;
  try {
    record = JSON.parse(line.toString("utf8"));
  } catch {
    return false;
  }
  if (typeof record !== "object" || record === null) return false;
  if (isSpan(record.span)) {
    const { spanId, endTime } = record.span;
    // What has ended stands in order of its end.
    if (endTime !== undefined && state.spans.get(spanId)?.endTime === undefined) state.spans.delete(spanId);
    state.spans.set(spanId, record.span);
  } else if (isSessionRecord(record.session)) {
    state.session = { ...record.session, metadata: soundMetadata(record.session.metadata) };
  } else return "owner" in record;
  return true;
}

function isSessionRecord(value: unknown): value is SessionRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, traceId, startedAt, root, metadata } = value as Partial<SessionRecord>;
  return (
    typeof id === "string" &&
    typeof traceId === "string" &&
    typeof startedAt === "string" &&
    isSpan(root) &&
    typeof metadata === "object" &&
    metadata !== null
  );
}
