/**
 * The tail of a document, built from what a session has recorded so far. Pure functions.
 */

import { type DocumentHead, type DocumentTail, isoTime, isRoot } from "./document.js";
import type { SessionEnd } from "./session-end.js";
import { layoutOf, rootOutput, summarize } from "./summary.js";
import type { Totals } from "./totals.js";
import type { SessionMetadata, SessionStatus, TraceSpan } from "./trace-file.js";

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
  readonly status: SessionStatus;
  readonly error: string | undefined;
  /** The moment, in epoch milliseconds. */
  readonly nowMillis: number;
  /** Whether recovery ended the session, not the program. */
  readonly isRecovered?: boolean;
}

/** The tail of a session's document. */
export function buildTail(session: SessionSnapshot): DocumentTail {
  const { head, root, rootEnd, spans, metadata, status, error, nowMillis, isRecovered } = session;
  const ended = spans.filter((span) => span.endTime !== undefined);
  const open = spans.filter((span) => span.endTime === undefined);
  const totals = ended.length > 0 ? session.totals.with(ended) : session.totals;
  const summary = summarize(totals, {
    status,
    error,
    duration: nowMillis - Date.parse(head.startedAt),
    idle: status === "running" && !open.some((span) => span.kind === "generation"),
  });
  const output = rootOutput(summary);
  const closed = rootEnd ? { ...root, endTime: nowMillis, ...endMembers(rootEnd) } : root;
  return {
    spans: [...ended, ...open, output === undefined ? closed : { ...closed, output }],
    metadata,
    summary,
    endedAt: isoTime(nowMillis),
    layout: { ...layoutOf(totals), ...(isRecovered && { recovered: true as const }) },
  };
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
