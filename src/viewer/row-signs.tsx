/** Signs, words and names of rows. A colour is never the only sign. */
import type { JSX } from "preact";
import type { SpanState } from "../cli/analysis.js";
import type { ViewRow } from "../cli/session-view.js";
import { kindOf } from "./session-rows.js";

export const stateWords: Readonly<Record<SpanState, string>> = {
  ok: "ok",
  failed: "failed",
  running: "running",
  cut: "interrupted",
};

export const kindWords: Readonly<Record<string, string>> = {
  session: "session",
  generation: "model",
  tool: "tool",
  "user-message": "user",
  text: "text",
  span: "other",
};

const signs: Readonly<Record<SpanState, string>> = { ok: "", failed: "✗", running: "▶", cut: "!" };

export const kindWord = (row: ViewRow): string => kindWords[kindOf(row)] ?? "other";

export const rowName = (row: ViewRow): string =>
  row.kind === "generation"
    ? row.name.replace(/^model /, "")
    : row.kind === "user-message"
      ? "user"
      : row.name;

/** The sign of a state; nothing for a span that ended well. */
export function StateSign({ state }: { readonly state: SpanState }): JSX.Element | null {
  if (state === "ok") return null;
  return (
    <span class={`sign ${state}`} title={stateWords[state]}>
      <span aria-hidden="true">{signs[state]}</span>
      <span class="unseen">{stateWords[state]}</span>
    </span>
  );
}

/** A small square in the colour and shape of a kind. */
export const KindMark = ({ row }: { readonly row: ViewRow }): JSX.Element => (
  <span class={`kind ${kindOf(row)}`} aria-hidden="true" />
);
