/** The state of a session in one word, as its summary states it. */
import type { SessionStatus, SessionSummary } from "../../src/format/trace-file.js";

/** `idle` where a process still has the session and nothing is under way; else the status. */
export const stateOf = ({ status, idle }: SessionSummary): SessionStatus | "idle" => (idle ? "idle" : status);
