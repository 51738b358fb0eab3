/**
 * The journal of a session: JSON lines about what is open. A writer appends to it next to its append log, and recovery
 * replays it after a crash.
 *
 * - `{"owner":{…},"awaits":"tools"}` the writer of the journal, and what its turn waits for; the last such line holds
 * - `{"session":{…}}` the session as a whole; the last such line holds
 * - `{"span":{…}}` an open span when it started or changed; the last line of a span holds. A span with an `endTime`
 *   has ended, and its line may still be missing in the append log
 * - `{"owner":null,"of":{…},"attributes":{…}}` attributes that were merged into an open span, or into the session span,
 *   since its last line: the cost of a call does not grow with the attributes that are there. Release 0.1.0 takes the line
 *   for one of an owner, and reads on
 */

import { encodeIntoScratch, isSpan, type SpanJson } from "./document.js";
import { isRecord, jsonText, mergeOwn } from "./json-value.js";
import { hasLongText, longJson } from "./long-json.js";
import type { HookVerdict } from "./session-end.js";
import { type SpanIds, SpanMap, traceIdOf } from "./span-map.js";
import type { SessionMetadata, TraceSpan } from "./trace-file.js";
import type { Awaited } from "./under-way.js";
import { validMetadata } from "./validate.js";

/** The session as its journal holds it. */
export interface JournaledSession {
  readonly id: string;
  readonly traceId: string;
  readonly startedAt: string;
  readonly root: TraceSpan;
  readonly metadata: SessionMetadata;
  /** A span opened the session, and no call has: without any span there is nothing to keep. Absent in journals of 0.1.0. */
  readonly bySpan?: true | undefined;
  /** When the document was ended that this writer resumed. */
  readonly resumed?: string | undefined;
  /** The writer began another run then: loops of tool calls are found within one run. */
  readonly newRun?: true | undefined;
  /**
   * When the document was ended that this writer found when it went on: another process had taken it for dead. Times do
   * not show the order, since that process may have another clock.
   */
  readonly outlived?: string | undefined;
  /** Spans that were recorded here and have moved to another session: they count there only. */
  readonly moved?: readonly MovedSpan[] | undefined;
  /** The session to which all spans of this writer have moved. */
  readonly movedTo?: string | undefined;
  /** The last verdict of a process hook on the session. */
  readonly fenced?: HookVerdict | undefined;
  /** Tokens of writers of this process that process hooks have ended: the session went on with this writer. */
  readonly earlier?: readonly string[] | undefined;
}

/**
 * A span that is in the session `to`: it has moved there, or spans of this session are below it by their ids. Here those
 * stand under the session span (`parent-places.ts`). With this session as `to`: the span came after those below it.
 */
export interface MovedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly to: string;
  /** The parent of the span in that session; absent in a record of a span that was not here. */
  readonly parentSpanId?: string | null | undefined;
}

/** A replayed journal. */
export interface JournalState {
  /** The token of the writer, which a recovery that takes the file over does not find in the file's name. */
  owner: string | undefined;
  /** Epoch milliseconds of the writer's last record, where the time of the file is another one. */
  lastWrite: number | undefined;
  /** What the writer's turn waits for, pending spans left out; `undefined` in a journal of 0.1.0. */
  awaited: Awaited | undefined;
  session: JournaledSession | undefined;
  /** In order of start; ended spans in order of their ends. */
  readonly spans: SpanMap<TraceSpan>;
  /** Whole lines that are not valid. */
  corruptLines: number;
  /** Bytes of a torn last line. */
  tornBytes: number;
}

/**
 * A reader of 0.1.0 ignores other members of an owner's line, and takes a line of another kind for corrupt. `lastWrite`: epoch
 * milliseconds of the writer's last record, in a journal that a recovery made of records of that writer.
 */
export const encodeOwner = (token: string, awaits: Awaited, lastWrite?: number): Buffer =>
  Buffer.from(`${JSON.stringify({ owner: { token, pid: process.pid, lastWrite }, awaits })}\n`);

/** Never throws: metadata from another program's document may be nested deeper than `JSON.stringify` can write. */
export function encodeSession(session: JournaledSession): Buffer {
  const json = hasLongText(session) ? longJson({ session }) : (jsonText({ session }) as string);
  return encodeIntoScratch("", json, "\n", (bytes) => Buffer.from(bytes));
}

/**
 * Passes the journal line of a span that started or changed to `take`, in the scratch buffer: the bytes are valid until
 * `take` returns. Its argument is the span's JSON, since callers keep the JSON to see whether the span changed.
 */
export const encodeJournalSpanIntoScratch = <T>(json: SpanJson, take: (bytes: Buffer) => T): T =>
  encodeIntoScratch('{"span":', json, "}\n", take);

/** The journal line of a span that started or changed, in a buffer of its own. */
export const encodeJournalSpan = (json: SpanJson): Buffer =>
  encodeJournalSpanIntoScratch(json, (bytes) => Buffer.from(bytes));

/** The journal line of attributes that were merged into a span. `of`: without a trace id for the session span. */
export const encodeAttributes = (
  { spanId, traceId }: SpanIds,
  attributes: Readonly<Record<string, unknown>>,
): Buffer => Buffer.from(`${jsonText({ owner: null, of: { spanId, traceId }, attributes })}\n`);

/** A journal without records, to be replayed into. */
export const emptyJournal = (): JournalState => ({
  owner: undefined,
  lastWrite: undefined,
  awaited: undefined,
  session: undefined,
  spans: new SpanMap(),
  corruptLines: 0,
  tornBytes: 0,
});

/** Replays a journal. Never throws: a torn last line, NUL bytes at the end or a corrupt line lose only themselves. */
export function replayJournal(bytes: Buffer): JournalState {
  const state = emptyJournal();
  let from = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
    replayWhole(state, bytes.subarray(from, end));
    from = end + 1;
  }
  replayTorn(state, bytes.subarray(from));
  return state;
}

/** Replays a line that had a newline. */
export function replayWhole(state: JournalState, line: Buffer): void {
  if (!replayLine(state, line)) state.corruptLines++;
}

/** Replays what follows the last newline. */
export function replayTorn(state: JournalState, line: Buffer): void {
  if (line.length > 0 && !replayLine(state, line)) state.tornBytes = line.length;
}

function replayLine(state: JournalState, line: Buffer): boolean {
  let record: {
    owner?: unknown;
    awaits?: unknown;
    session?: unknown;
    span?: unknown;
    of?: unknown;
    attributes?: unknown;
  } | null;
  try {
    record = JSON.parse(line.toString("utf8"));
  } catch {
    return false;
  }
  if (typeof record !== "object" || record === null) return false;
  if (isSpan(record.span)) {
    const { spanId, endTime } = record.span;
    const ids = { spanId, traceId: traceIdOf(record.span, state.session?.traceId ?? "") };
    // An ended span moves to the end of the map.
    if (endTime !== undefined && state.spans.get(ids)?.endTime === undefined) state.spans.delete(ids);
    state.spans.set(ids, record.span);
  } else if (isJournaledSession(record.session)) {
    const { metadata, moved, movedTo, fenced, earlier, ...session } = record.session;
    state.session = {
      ...session,
      metadata: validMetadata(metadata),
      moved: Array.isArray(moved) ? moved.filter(isMovedSpan) : undefined,
      movedTo: typeof movedTo === "string" ? movedTo : undefined,
      ...(isVerdict(fenced) && { fenced }),
      ...(Array.isArray(earlier) && { earlier: earlier.filter((token) => typeof token === "string") }),
    };
  } else if (isSpan(record.of) && isRecord(record.attributes)) {
    const { spanId, traceId } = record.of;
    const { session, spans } = state;
    const isOfSession = traceId === undefined && session?.root.spanId === spanId;
    const ids = { spanId, traceId: traceIdOf(record.of, session?.traceId ?? "") };
    const span = isOfSession ? session.root : spans.get(ids);
    // The span was parsed here, and no other code has it yet. Attributes of a corrupt line may be of any type.
    if (span) {
      if (!isRecord(span.attributes)) span.attributes = {};
      mergeOwn(span.attributes, record.attributes);
    }
  } else if ("owner" in record) {
    const { owner, awaits } = record;
    if (isRecord(owner) && typeof owner.token === "string") state.owner = owner.token;
    if (isRecord(owner) && Number.isFinite(owner.lastWrite)) state.lastWrite = owner.lastWrite as number;
    if (awaits === "user" || awaits === "model" || awaits === "tools") state.awaited = awaits;
  } else return false;
  return true;
}

const isMovedSpan = (value: unknown): value is MovedSpan =>
  isRecord(value) && typeof value.spanId === "string" && typeof value.to === "string";

function isJournaledSession(value: unknown): value is JournaledSession {
  if (typeof value !== "object" || value === null) return false;
  const { id, traceId, startedAt, root, metadata } = value as Partial<JournaledSession>;
  return (
    typeof id === "string" &&
    typeof traceId === "string" &&
    typeof startedAt === "string" &&
    isSpan(root) &&
    typeof metadata === "object" &&
    metadata !== null
  );
}

function isVerdict(value: unknown): value is HookVerdict {
  if (!isRecord(value) || typeof value.reason !== "string" || typeof value.at !== "number") return false;
  return value.end === undefined || (isRecord(value.end) && isEndStatus(value.end.status));
}

const isEndStatus = (status: unknown): boolean => status === "completed" || status === "crashed";
