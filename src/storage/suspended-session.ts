import type { HookVerdict } from "../format/session-end.js";
import type { OpenSpans } from "./open-spans.js";
import type { SessionState } from "./session-state.js";

/** A session that a process hook has fenced, and that goes on if the process does. */
export interface SuspendedSession {
  /** The state that the hook ended. */
  readonly session: SessionState;
  /** The spans that had no line at the fence. */
  readonly openSpans: OpenSpans;
  readonly verdict: HookVerdict;
}
