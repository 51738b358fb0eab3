/**
 * How sessions end, and which of several ends counts. Pure functions.
 */

import { finite } from "./json-value.js";
import type { SessionStatus, SessionSummary, TraceSpan } from "./trace-file.js";

/** How a session ends. */
export interface SessionEnd {
  readonly status: Exclude<SessionStatus, "running">;
  /** For `summary.error`. */
  readonly error?: string | undefined;
  /** For the `statusMessage` of the session span; absent when no caller gave a reason. */
  readonly rootMessage?: string | undefined;
}

/** The error of a crash without a reason from the caller. */
export const unexplainedCrash = "Process exited before trace completed";

/** The end of a session that the crash fence ends. */
export const crashEnd = (reason: string | undefined): SessionEnd => ({
  status: "crashed",
  error: reason || unexplainedCrash,
  rootMessage: reason || undefined,
});

/** The end of a session that a caller ends: in good order, or with an error. */
export const callerEnd = (error: string | undefined): SessionEnd =>
  error ? { status: "error", error, rootMessage: error } : { status: "completed" };

/** Of two statuses, the one of higher rank counts. */
export const statusRank: Record<SessionStatus, number> = { running: 0, completed: 1, error: 2, crashed: 3 };

/** The worse of two ends; the first of two ends that are equally bad. */
export function worseEnd(
  first: SessionEnd | undefined,
  second: SessionEnd | undefined,
): SessionEnd | undefined {
  if (!first || !second) return first ?? second;
  return statusRank[second.status] > statusRank[first.status] ? second : first;
}

/**
 * The end that a document records; `undefined` while the session runs. The error in a running document is the end of
 * one of several writers: that error becomes the status when the last writer ends.
 */
export function recordedEnd({ status, error }: SessionSummary): SessionEnd | undefined {
  if (status !== "running") return { status, error };
  return error ? { status: "error", error } : undefined;
}

/**
 * Status and error of a document. `end` is how this writer ends the session, if it does; `inherited` is the worst end
 * of another writer. An inherited crash is final at once, an inherited error waits for the end of the last writer.
 */
export function statusOf(
  end: SessionEnd | undefined,
  inherited: SessionEnd | undefined,
): { status: SessionStatus; error: string | undefined } {
  const worst = worseEnd(end, inherited);
  const isOver = end !== undefined || worst?.status === "crashed";
  return { status: worst && isOver ? worst.status : "running", error: worst?.error ?? end?.error };
}

/** An open span whose session ends: a crash interrupts the span, any other end ends it as well. */
export const endWithSession = (span: TraceSpan, end: SessionEnd, nowMillis: number): TraceSpan =>
  end.status === "crashed" ? interrupt(span, nowMillis, end.error ?? "") : { ...span, endTime: nowMillis };

/** An open span that ended without a call of the program. */
export function interrupt(span: TraceSpan, endTime: number, statusMessage: string): TraceSpan {
  // Recovery takes the end from file times, which kernels keep in ticks of up to 10 ms.
  return {
    ...span,
    endTime: Math.max(endTime, finite(span.startTime)),
    status: "error",
    statusMessage,
    interrupted: true,
  };
}
