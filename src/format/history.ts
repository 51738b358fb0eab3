/**
 * What a session did before this process resumed it. A file without imports, since public types need these types.
 */

/** What a resumed session did before: enough to recognize a repeated tool call, and to continue the count of turns. */
export interface SessionHistory {
  /** The last 20,000 tool calls with a call id, newest last. */
  readonly calls: readonly { readonly name: string; readonly callId: string; readonly startTime: number }[];
  /** Traces of ended spans, in order: one for each turn. */
  readonly traceIds: readonly string[];
}

/** The history of a new session. */
export const noHistory: SessionHistory = Object.freeze({ calls: [], traceIds: [] });
