/** The status of a session: a word, a sign and a colour. */
import type { JSX } from "preact";
import type { SessionState } from "../cli/session-catalog.js";

const signs: Readonly<Record<SessionState, string>> = {
  running: "▶",
  idle: "◦",
  completed: "✓",
  error: "✗",
  crashed: "✗",
  damaged: "?",
};

export const StatusMark = ({ state }: { readonly state: SessionState }): JSX.Element => (
  <span class={`status ${state}`}>
    <span aria-hidden="true">{signs[state] ?? "?"}</span> {state}
  </span>
);
