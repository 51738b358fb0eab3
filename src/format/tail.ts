/**
 * The tail of a document, built from what a session has recorded so far. Pure functions.
 */

import { isoTime } from "../platform/epoch-time.js";
import { type DocumentHead, type DocumentTail, isRoot } from "./document.js";
import type { MovedSpan } from "./journal.js";
import { finite, isRecord } from "./json-value.js";
import { type LostWriters, lostOf } from "./lost-writers.js";
import type { SessionEnd, Verdict } from "./session-end.js";
import { layoutOf, rootOutput, startedBy, summarize } from "./summary.js";
import type { Totals } from "./totals.js";
import type { SessionMetadata, SessionSummary, TraceSpan } from "./trace-file.js";
import { type AwaitedByWriter, isUnderWay } from "./under-way.js";

/** A session at one moment. */
export interface SessionSnapshot {
  readonly head: DocumentHead;
  readonly root: TraceSpan;
  /** How the session span ends; absent while it is open. */
  readonly rootEnd?: SessionEnd | undefined;
  /** Spans without lines, ended or open. */
  readonly spans: readonly TraceSpan[];
  /** Totals of the lines. */
  readonly totals: Totals;
  readonly metadata: SessionMetadata;
  /** How the session has ended. */
  readonly verdict: Verdict;
  /** What its writers wait for; writers that have ended or died wait for nothing. */
  readonly awaits: AwaitedByWriter;
  /** What ended a writer of the session that was under way, while the session went on. */
  readonly lostWriter?: string | undefined;
  /** What ended writers, for the writers after them. */
  readonly lost?: LostWriters;
  /** Spans that the session has given to other sessions. */
  readonly moved?: readonly MovedSpan[];
  /** The end of a writer beside writers that may live: the session goes on. */
  readonly left?: SessionEnd | undefined;
  /** The moment, in epoch milliseconds. */
  readonly nowMillis: number;
  /** Whether recovery ended the session, not the program. */
  readonly isRecovered?: boolean;
}

/** The tail of a session's document. */
export function buildTail(session: SessionSnapshot): DocumentTail {
  const { head, root, rootEnd, left, spans, metadata, verdict, isRecovered } = session;
  const { provisional } = rootEnd ?? left ?? {};
  const startedMillis = Date.parse(head.startedAt) || 0;
  // The clock of another writer, or of this one before it was set back, may be ahead: no session ends before it starts.
  const nowMillis = Math.max(session.nowMillis, startedMillis);
  const ended = spans.filter((span) => span.endTime !== undefined);
  const open = spans.filter((span) => span.endTime === undefined);
  const totals = ended.length > 0 ? session.totals.with(ended) : session.totals;
  const lastActivity = Math.max(startedMillis, Math.min(lastTimeOf(totals, open), nowMillis));
  const endedMillis = rootEnd?.isImplicit ? lastActivity : nowMillis;
  const started = startedBy(open);
  const state = {
    ...statusOf(session, open.length > 0),
    error: verdict.error,
    duration: endedMillis - startedMillis,
    lastActivityAt: isoTime(lastActivity),
    detector: (verdict.end ?? left)?.detector ?? session.lostWriter,
    ...(isRecovered && { reconstructed: true as const }),
  };
  const summary = summarize(totals, state, started);
  const output = rootOutput(summary);
  const closed = rootEnd ? { ...root, endTime: endedMillis, ...endMembers(rootEnd) } : root;
  return {
    spans: [...parentsFirst(ended), ...open, output === undefined ? closed : { ...closed, output }],
    metadata,
    summary,
    endedAt: isoTime(endedMillis),
    layout: {
      ...layoutOf(totals),
      ...(started && { started }),
      ...(isRecovered && { recovered: true as const }),
      ...awaitsOf(session),
      ...movedOf(session),
      ...(verdict.end && verdict.pendingError !== undefined && { pendingError: verdict.pendingError }),
      ...lostOf(session.lost ?? new Map()),
      ...(left && { left: isoTime(nowMillis) }),
      ...(endedMillis !== nowMillis && { written: isoTime(nowMillis) }),
      ...(provisional !== undefined && { provisional }),
    },
  };
}

/**
 * The spans in this order, but for a span that comes before its parent: that span follows its parent, so that readers which
 * do not sort show a tree in order.
 */
export function parentsFirst(spans: readonly TraceSpan[]): readonly TraceSpan[] {
  const listed = new Set(spans.map(({ spanId }) => spanId));
  const placed = new Set<string>();
  const waiting = new Map<string, TraceSpan[]>();
  const ordered: TraceSpan[] = [];
  for (const span of spans) {
    const { parentSpanId: parent } = span;
    if (parent !== null && listed.has(parent) && !placed.has(parent)) {
      waiting.set(parent, [...(waiting.get(parent) ?? []), span]);
      continue;
    }
    const next = [span];
    for (let one = next.pop(); one; one = next.pop()) {
      ordered.push(one);
      placed.add(one.spanId);
      next.push(...(waiting.get(one.spanId) ?? []).reverse());
      waiting.delete(one.spanId);
    }
  }
  // Spans that are each other's parents, in a damaged file.
  return [...ordered, ...[...waiting.values()].flat()];
}

/** The latest start or end of a span. A span may state any time: one in the future counts as now. */
const lastTimeOf = ({ lastEnd }: Totals, open: readonly TraceSpan[]): number =>
  open.reduce((latest, { startTime }) => Math.max(latest, finite(startTime)), lastEnd);

function statusOf(
  { verdict, awaits }: SessionSnapshot,
  hasOpenSpans: boolean,
): Pick<SessionSummary, "status" | "idle"> {
  if (verdict.end) return { status: verdict.end.status };
  return isUnderWay(hasOpenSpans, awaits.values())
    ? { status: "running" }
    : { status: "completed", idle: true };
}

/** `layout.awaits`: only while the session goes on. */
function awaitsOf({ verdict, awaits }: SessionSnapshot): Pick<DocumentTail["layout"], "awaits"> {
  const waiting = [...awaits].filter(([, awaited]) => awaited !== "user");
  return verdict.end || waiting.length === 0 ? {} : { awaits: Object.fromEntries(waiting) as never };
}

/** Spans in `layout.moved` of a document. */
const maxMoved = 100;

/** `layout.moved`. A span that was never here is of no concern to an earlier document. */
function movedOf({ head, moved = [] }: SessionSnapshot): Pick<DocumentTail["layout"], "moved"> {
  const given = moved.filter(({ to, parentSpanId }) => to !== head.id && parentSpanId !== undefined);
  const listed = given.slice(-maxMoved).map(({ traceId, spanId }) => ({ traceId, spanId }));
  return listed.length === 0 ? {} : { moved: listed };
}

/** Reads `layout.moved` of a document. Another program may have written any value. */
export function readMoved(layout: DocumentTail["layout"] | undefined): MovedSpan[] {
  const listed: unknown = layout?.moved;
  if (!Array.isArray(listed)) return [];
  return listed
    .filter((one) => isRecord(one) && typeof one.traceId === "string" && typeof one.spanId === "string")
    .map(({ traceId, spanId }): MovedSpan => ({ traceId, spanId, to: "", parentSpanId: null }));
}

/** Members of the session span that record how the session ended. */
const endMembers = ({ status, rootMessage }: SessionEnd): Partial<TraceSpan> => ({
  ...(status === "crashed" && { interrupted: true as const }),
  ...(rootMessage && { status: "error", statusMessage: rootMessage }),
});

/**
 * Spans of a tail that have ended. Their writer may still change them, and gives them their lines later.
 */
export const pendingSpans = (tail: DocumentTail | undefined): TraceSpan[] =>
  (tail?.spans ?? []).filter((span) => span.endTime !== undefined && !isRoot(span));

/** When the document of an ended session was ended, ISO 8601: `endedAt` may be the last activity. */
export const endMark = ({ endedAt, layout: { written } }: DocumentTail): string =>
  typeof written === "string" ? written : endedAt;
