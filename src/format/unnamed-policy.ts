/**
 * Where the spans of traces go that name no session.
 */

import { unnamedMark } from "./origins.js";
import type { SessionMetadata } from "./trace-file.js";

/** Where the spans of a trace go that names no session: a document of their own, one of the process, or none. */
export type WithoutSession = "trace" | "process" | "drop";

/** The policy of a process for traces that name no session. */
export interface UnnamedPolicy {
  readonly withoutSession: WithoutSession;
  /** The session of the process, for `process`. */
  readonly processSession: string;
}

/** The session of the spans of a trace that names none; `undefined`: they are in no document. */
export function sessionByPolicy(
  { withoutSession, processSession }: UnnamedPolicy,
  traceId: string,
): string | undefined {
  switch (withoutSession) {
    case "trace":
      return traceId;
    case "process":
      return processSession;
    case "drop":
      return undefined;
  }
}

/** What marks the session of the process. The session of a trace has the trace id for its name, and needs no mark. */
export const markByPolicy = (policy: UnnamedPolicy, session: string): Partial<SessionMetadata> =>
  policy.withoutSession === "process" && session === policy.processSession ? unnamedMark : {};
