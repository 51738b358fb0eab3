/**
 * How sessions begin: one head and one session span from those of several writers. Pure functions.
 */

import type { DocumentHead } from "./document.js";
import { sessionSpanId } from "./file-names.js";
import type { TraceSpan } from "./trace-file.js";

/**
 * One head from those of all writers: the first trace id that a head names, and the earliest start. The heads come in
 * order of preference, and there is at least one.
 */
export function mergeHeads<Id extends string | undefined>(
  { id, sessionId }: { readonly id: Id; readonly sessionId: string },
  heads: readonly Pick<DocumentHead, "traceId" | "startedAt">[],
): DocumentHead & { readonly id: Id } {
  return {
    id,
    traceId: heads.find(({ traceId }) => traceId)?.traceId ?? "",
    sessionId,
    startedAt: heads.map(({ startedAt }) => startedAt).sort()[0] as string,
  };
}

/** The opening of a session. Part of the contract between copies of the package (`directory/shared-directory.ts`). */
export interface SessionStart {
  readonly id: string;
  readonly traceId: string;
  /** Epoch milliseconds. */
  readonly startTime: number;
  /** Name of the session span; the raw id by default. */
  readonly name?: string;
  readonly input?: unknown;
  /** A span opens the session, not a call. */
  readonly bySpan?: true;
}

/** The session span of a new session. */
export const sessionSpan = ({
  id,
  name = id,
  startTime,
  input,
}: Omit<SessionStart, "traceId" | "bySpan">): TraceSpan => ({
  spanId: sessionSpanId(id),
  parentSpanId: null,
  name,
  kind: "session",
  startTime,
  status: "ok",
  ...(input !== undefined && { input }),
});

/** One session span from those of all writers: the first one, with the earliest start of all. */
export function mergeSessionSpans(first: TraceSpan, others: readonly TraceSpan[]): TraceSpan {
  let { startTime } = first;
  for (const other of others) if (other.startTime < startTime) startTime = other.startTime;
  return { ...first, startTime };
}

/** The session span of a document, open again: a resumed session forgets how it ended. */
export function reopened({
  endTime: _end,
  output: _output,
  statusMessage: _message,
  interrupted: _interrupted,
  ...open
}: TraceSpan): TraceSpan {
  return { ...open, status: "ok" };
}
