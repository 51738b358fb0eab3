/** A view in parts: a page that gets 50,000 rows at once does nothing else for a second. */
import type { ViewHead, ViewRow } from "./session-view.js";

/** A view or a change of it, as far as its first rows. */
export interface FirstPart {
  readonly type: "view" | "delta";
  readonly head: ViewHead;
  readonly rows: readonly ViewRow[];
  /** Rows in the parts that follow; absent where none does. */
  readonly left?: number;
}

/** Rows that belong to the view or change before. */
export interface RowsPart {
  readonly type: "rows";
  readonly rows: readonly ViewRow[];
  readonly left: number;
}

/** Some 64 KB of JSON: as much as a browser takes from a connection in one turn. */
const rowsOfPart = 200;

/** The parts of a view or of a change, in their order. */
export function* viewParts(
  type: "view" | "delta",
  head: ViewHead,
  rows: readonly ViewRow[],
  size = rowsOfPart,
): Generator<FirstPart | RowsPart, void, void> {
  const left = Math.max(0, rows.length - size);
  yield { type, head, rows: rows.slice(0, size), ...(left > 0 && { left }) };
  for (let from = size; from < rows.length; from += size)
    yield { type: "rows", rows: rows.slice(from, from + size), left: Math.max(0, rows.length - from - size) };
}
