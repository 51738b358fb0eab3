/**
 * The unnamed log: spans of one process whose session is not known yet, as JSON lines. The log is provisional: each span
 * moves from the log to the session that is found for the span. Pure functions.
 *
 * - `{"owner":{…}}` the process that writes the log, and where its spans go if nothing names a session
 * - `{"trace":{…}}` what the spans of a trace add to the metadata of their session; the last such line of a trace holds
 * - `{"span":{…}}` a span when it started, changed or ended; the last line of a span holds. The parent is `null` where
 *   the span is to stand under the session span
 * - `{"named":{"trace":…,"to":…}}` a span of the trace names this session: the session of spans that nothing else decides
 * - `{"moved":{"trace":…,"to":…,"spans":[…]}}` these spans belong to this session; written before they go there
 * - `{"settled":{"trace":…,"spans":[…]}}` these spans are in the files of their session, or are to be in no document
 */

import { firstTimeOf, isoTime } from "../platform/epoch-time.js";
import { sessionSpan } from "./beginnings.js";
import { isSpan } from "./document.js";
import { sessionSpanId } from "./file-names.js";
import type { JournaledSession } from "./journal.js";
import { isRecord, parseJson } from "./json-value.js";
import { underSession } from "./parent-places.js";
import type { SessionMetadata, TraceSpan } from "./trace-file.js";
import { markByPolicy, sessionByPolicy, titleOf, type UnnamedPolicy } from "./unnamed-policy.js";
import { validMetadata } from "./validate.js";

const line = (record: object): Buffer => Buffer.from(`${JSON.stringify(record)}\n`);

export const encodeUnnamedOwner = (
  token: string,
  { withoutSession, processSession }: UnnamedPolicy,
): Buffer => line({ owner: { token, pid: process.pid, withoutSession, processSession } });

export const encodeUnnamedTrace = (id: string, metadata: Partial<SessionMetadata>): Buffer =>
  line({ trace: { id, metadata } });

export const encodeNamed = (trace: string, to: string): Buffer => line({ named: { trace, to } });

export const encodeMoved = (trace: string, to: string, spans: readonly string[]): Buffer =>
  line({ moved: { trace, to, spans } });

export const encodeSettled = (trace: string, spans: readonly string[]): Buffer =>
  line({ settled: { trace, spans } });

/** A trace of an unnamed log. */
interface LoggedTrace {
  readonly id: string;
  metadata: SessionMetadata;
  /** The session that a span of the trace named first. */
  named: string | undefined;
  /** Spans that are not settled, by id. */
  readonly spans: Map<string, TraceSpan>;
  /** Sessions of spans that were moved, settled ones included. */
  readonly homes: Map<string, string>;
}

/** The spans of an unnamed log that belong to one session. */
export interface UnnamedSession {
  readonly session: JournaledSession;
  readonly spans: readonly TraceSpan[];
}

/** What an unnamed log holds, by session. */
export interface SplitLog {
  readonly sessions: readonly UnnamedSession[];
  /** Whole lines that are not valid. */
  readonly corruptLines: number;
  /** Bytes of a torn last line. */
  readonly tornBytes: number;
}

/** Splits an unnamed log by session. Never throws: a torn last line or a corrupt line loses only itself. */
export function splitUnnamedLog(bytes: Buffer): SplitLog {
  const traces = new Map<string, LoggedTrace>();
  let policy: UnnamedPolicy = { withoutSession: "trace", processSession: "" };
  let [corruptLines, tornBytes] = [0, 0];
  const traceOf = (id: string): LoggedTrace => {
    let trace = traces.get(id);
    if (!trace) {
      trace = { id, metadata: {}, named: undefined, spans: new Map(), homes: new Map() };
      traces.set(id, trace);
    }
    return trace;
  };
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0x0a, from);
    const text = bytes.subarray(from, end < 0 ? bytes.length : end);
    from = end < 0 ? bytes.length : end + 1;
    const record = parseJson(text.toString("utf8"));
    if (isRecord(record) && isRecord(record.owner)) policy = policyOf(record.owner, policy);
    else if (isRecord(record) && replayRecord(record, traceOf)) continue;
    else if (end >= 0) corruptLines++;
    else tornBytes = text.length;
  }
  return { sessions: bySession([...traces.values()], policy), corruptLines, tornBytes };
}

function policyOf(owner: Record<string, unknown>, known: UnnamedPolicy): UnnamedPolicy {
  const { withoutSession, processSession } = owner;
  if (withoutSession === "process" && typeof processSession === "string" && processSession !== "")
    return { withoutSession, processSession };
  return withoutSession === "trace" || withoutSession === "drop" ? { ...known, withoutSession } : known;
}

function replayRecord(record: Record<string, unknown>, traceOf: (id: string) => LoggedTrace): boolean {
  const { span, trace, named, moved, settled } = record;
  if (isSpan(span)) {
    if (typeof span.traceId !== "string") return false;
    const { spans } = traceOf(span.traceId);
    // In the order of their ends: an ended span moves to the end of the map.
    if (span.endTime !== undefined && spans.get(span.spanId)?.endTime === undefined)
      spans.delete(span.spanId);
    spans.set(span.spanId, span);
  } else if (isRecord(trace) && typeof trace.id === "string") {
    traceOf(trace.id).metadata = validMetadata(trace.metadata);
  } else if (isRecord(named) && typeof named.trace === "string" && typeof named.to === "string") {
    traceOf(named.trace).named ??= named.to;
  } else if (isRecord(moved) && typeof moved.trace === "string" && typeof moved.to === "string") {
    const { homes } = traceOf(moved.trace);
    for (const id of texts(moved.spans)) homes.set(id, moved.to);
  } else if (isRecord(settled) && typeof settled.trace === "string") {
    const { spans } = traceOf(settled.trace);
    for (const id of texts(settled.spans)) spans.delete(id);
  } else return false;
  return true;
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];

function bySession(traces: readonly LoggedTrace[], policy: UnnamedPolicy): UnnamedSession[] {
  const found = new Map<
    string,
    { traceId: string; metadata: Partial<SessionMetadata>; spans: TraceSpan[] }
  >();
  for (const trace of traces) {
    for (const span of trace.spans.values()) {
      const id = homeOf(trace, span, policy);
      if (id === undefined) continue;
      let target = found.get(id);
      if (!target) {
        const marked = markByPolicy(policy, id, { id: trace.id, title: titleOf(trace.spans.values()) });
        const metadata = id === trace.id ? { ...marked, ...trace.metadata } : marked;
        target = { traceId: trace.id, metadata, spans: [] };
        found.set(id, target);
      }
      target.metadata = { ...trace.metadata, ...target.metadata };
      const parent = span.parentSpanId ?? "";
      const parentSpan = trace.spans.get(parent);
      const home = parentSpan ? homeOf(trace, parentSpan, policy) : trace.homes.get(parent);
      target.spans.push(placed(span, id, home));
    }
  }
  return [...found].map(([id, { traceId, metadata, spans }]) => {
    const startTime = firstTimeOf(spans);
    const root = sessionSpan({ id, startTime });
    return { session: { id, traceId, startedAt: isoTime(startTime), root, metadata }, spans };
  });
}

/** How far a chain of parents is followed: a damaged file can have a cycle. */
const maxAncestors = 10_000;

/** The session of a span: where it was moved, else where its nearest moved ancestor is, else as its trace. */
function homeOf(trace: LoggedTrace, span: TraceSpan, policy: UnnamedPolicy): string | undefined {
  let id: string | null = span.spanId;
  for (let steps = 0; id !== null && steps < maxAncestors; steps++) {
    const home = trace.homes.get(id);
    if (home !== undefined) return home;
    id = trace.spans.get(id)?.parentSpanId ?? null;
  }
  return trace.named ?? sessionByPolicy(policy, trace.id);
}

/**
 * A provisional span as its session holds it. A parent in another session is no parent there: the span stands under the
 * session span. `parentHome`: the session of the parent, as far as it is known.
 */
function placed(span: TraceSpan, sessionId: string, parentHome: string | undefined): TraceSpan {
  const isTop = span.parentSpanId === null || (parentHome !== undefined && parentHome !== sessionId);
  return isTop ? underSession(span, sessionSpanId(sessionId)) : span;
}
