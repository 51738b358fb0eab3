/**
 * How sessions end, and which of several ends counts. Pure functions.
 */

import { finite } from "./json-value.js";
import type { SessionStatus, SessionSummary, SpanKind, TraceFile, TraceSpan } from "./trace-file.js";

/** How a session ends. */
export interface SessionEnd {
  readonly status: Exclude<SessionStatus, "running">;
  /** For `summary.error`. */
  readonly error?: string | undefined;
  /** For the `statusMessage` of the session span; absent when no caller gave a reason. */
  readonly rootMessage?: string | undefined;
  /** What ended the process, for `summary.detector`. */
  readonly detector?: string | undefined;
  /** No caller ended this session: the end is the time of the last activity. */
  readonly isImplicit?: true;
  /** The token of the writer that takes this end back if its process lives; for `layout.provisional`. */
  readonly provisional?: string | undefined;
}

/** What a process hook found. */
export interface HookEvent {
  /** For people. */
  readonly reason: string;
  /** The name of the signal or of the exception, or `exit`; `undefined` if the hook does not name one. */
  readonly detector: string | undefined;
}

/**
 * The verdict of a process hook on a session. The process may live on: then a span that starts later, or an orderly end,
 * takes the verdict back.
 */
export interface HookVerdict extends HookEvent {
  /** Epoch milliseconds. */
  readonly at: number;
  /** How the session ended; absent once the verdict is taken back. */
  readonly end?: SessionEnd | undefined;
}

/**
 * A later hook has the same cause as an earlier one within this time: a program that drains on SIGTERM calls
 * `process.exit`. The usual grace periods are 10 s (Docker), 30 s (Kubernetes) and 90 s (systemd, `DefaultTimeoutStopSec`).
 */
const graceMillis = 90_000;

/**
 * What is known to have made the process end: the first of several events within a grace period. If the session went on after
 * it, a later signal or exception is named as well: the process may have survived the first.
 */
export function firstEvent(earlier: HookVerdict | undefined, event: HookEvent, nowMillis: number): HookEvent {
  if (!earlier || Math.abs(nowMillis - earlier.at) > graceMillis) return event;
  const { reason, detector } = earlier;
  const isAnother =
    earlier.end === undefined &&
    event.reason !== "" &&
    event.detector !== "exit" &&
    event.detector !== detector;
  return { reason: isAnother ? `${reason}; then ${lowered(event.reason)}` : reason, detector };
}

const lowered = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

/** The error of a crash without a reason from the caller. */
export const unexplainedCrash = "Process exited before trace completed";

/** The end of a session that the crash fence ends. `detector`: what a process hook saw. */
export const crashEnd = (reason: string | undefined, detector?: string): SessionEnd => ({
  status: "crashed",
  error: reason || unexplainedCrash,
  rootMessage: reason || undefined,
  ...(detector !== undefined && { detector }),
});

/** The end of a session that no caller ended: its exporter was shut down, or nothing was recorded for a long time. */
export const implicitEnd: SessionEnd = { status: "completed", isImplicit: true };

/** The end of a session that a caller ends: in good order, or with an error. */
export const callerEnd = (error: string | undefined): SessionEnd =>
  error ? { status: "error", error, rootMessage: error } : { status: "completed" };

/** How a recovered session span ends: with the error, unless a caller crashed the session without a reason. */
export const rootEndOf = (end: SessionEnd): SessionEnd => ({
  ...end,
  provisional: undefined,
  rootMessage: end.error === unexplainedCrash ? undefined : end.error,
});

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

/** Whether a document says that its session has ended. A session that is idle has not. A damaged summary has no status. */
export const isOver = ({ status, idle }: SessionSummary): boolean => statusRank[status] > 0 && idle !== true;

/**
 * The end that a document records; `undefined` while a process has the session. The error in such a document is the end
 * of one of several writers: that error becomes the status when the last writer ends.
 */
export function recordedEnd(summary: SessionSummary): SessionEnd | undefined {
  const { status, error, detector } = summary;
  if (isOver(summary) && status !== "running")
    return { status, error, ...(status === "crashed" && detector !== undefined && { detector }) };
  return error ? { status: "error", error } : undefined;
}

/**
 * The error with which a writer ended while others went on, as long as no writer has ended the session in good order since:
 * a death is no such end, so that it does not matter whether a recovery came before the next writer.
 */
export const errorLeft = ({ summary, layout }: Pick<TraceFile, "summary"> & { readonly layout: object }) =>
  isOver(summary) ? pendingError(layout) : summary.error || undefined;

function pendingError({ pendingError: error }: { readonly pendingError?: unknown }): string | undefined {
  return typeof error === "string" && error !== "" ? error : undefined;
}

/** How a session has ended, as far as its writers have. */
export interface Verdict {
  /** Absent while a writer has the session. */
  readonly end?: SessionEnd | undefined;
  /** The error of the end, or of a writer that has ended before the session. */
  readonly error?: string | undefined;
  /** The error that a session that went on would still have: see {@link errorLeft}. */
  readonly pendingError?: string | undefined;
}

/**
 * The end and the error of a document. `end` is how this writer ends the session, if it does; `inherited` is the worst
 * end of another writer. An inherited crash is final at once, an inherited error waits for the end of the last writer.
 */
export function verdictOf(end: SessionEnd | undefined, inherited: SessionEnd | undefined): Verdict {
  const worst = worseEnd(end, inherited);
  const isOver = end !== undefined || worst?.status === "crashed";
  const isGood = end !== undefined && end.status !== "crashed" && end.provisional === undefined;
  const pendingError = !isGood && inherited?.status === "error" ? inherited.error : undefined;
  return { end: isOver ? worst : undefined, error: worst?.error ?? end?.error, pendingError };
}

/** `statusMessage` of a generation or a tool that runs when its session ends. */
const cutTurn = "Interrupted: the turn was cut by the end of the session";
/** `statusMessage` of any other span that is open when its session ends. */
const notEnded = "Interrupted: the program did not end this span before its session ended";

/** Why a span is interrupted that is open when a caller ends its session. */
export const endMessage = (kind: SpanKind): string =>
  kind === "generation" || kind === "tool" ? cutTurn : notEnded;

/** An open span whose session ends: the program did not end the span, so the session interrupts it. */
export const endWithSession = (span: TraceSpan, end: SessionEnd, nowMillis: number): TraceSpan =>
  interrupt(span, nowMillis, end.status === "crashed" ? (end.error ?? "") : endMessage(span.kind));

/** The error of a session whose process died unseen, and the `statusMessage` of its session span. */
export const unclosedMessage = "The process ended without closing the session";

/** `statusMessage` of a span that was running when its process ended without an end of the session. */
export const interruptedMessage = "Interrupted: the process ended while this was running";

/**
 * Whether a span ended at an unknown time: its process died without a word, and its end is the last sign of life. It ran for
 * at least so long.
 */
export const isEndUnseen = ({ interrupted, statusMessage }: TraceSpan): boolean =>
  interrupted === true && (statusMessage === interruptedMessage || statusMessage === unclosedMessage);

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
