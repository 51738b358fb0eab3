/**
 * What a session did before this process continued it.
 */

/** What a session that goes on has done before: enough to know a call that is told again, and to count turns on. */
export interface SessionHistory {
  /** Tool calls with a call id, newest last; the newest some thousands. */
  readonly calls: readonly { readonly callId: string; readonly startTime: number }[];
  /** Traces of ended spans, in order: one for each turn. */
  readonly traceIds: readonly string[];
}

/** The history of a session that begins now. */
export const noHistory: SessionHistory = Object.freeze({ calls: [], traceIds: [] });
