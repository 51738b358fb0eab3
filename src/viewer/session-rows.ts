/** The rows of a session as a tree: what is open, what a filter leaves, in the order in which the page shows them. */
import type { SessionView, ViewHead, ViewRow } from "../cli/session-view.js";
import { byStart, RowTree } from "./row-tree.js";

/** A session at one moment. A change makes a new one. */
export interface SessionRows {
  readonly head: ViewHead;
  /** In order of start. */
  readonly rows: readonly ViewRow[];
  readonly byNumber: ReadonlyMap<number, ViewRow>;
  readonly childrenOf: ReadonlyMap<number, readonly ViewRow[]>;
  readonly roots: readonly ViewRow[];
  /** Rows that have not arrived yet. */
  readonly left: number;
}

export function sessionRows({ head, rows }: SessionView): SessionRows {
  const tree = new RowTree();
  tree.add([...rows].sort(byStart));
  return tree.session(head, 0);
}

/** The session after a change: `rows` are those that are new or different. */
export function changedRows(before: SessionRows, { head, rows }: SessionView): SessionRows {
  const byNumber = new Map(before.byNumber);
  for (const row of rows) byNumber.set(row.n, row);
  return sessionRows({ head, rows: [...byNumber.values()] });
}

/** The parents of a row, the nearest first. */
export function ancestorsOf({ byNumber }: SessionRows, row: ViewRow): ViewRow[] {
  const found: ViewRow[] = [];
  let at = row.parent === undefined ? undefined : byNumber.get(row.parent);
  while (at && found.length < byNumber.size) {
    found.push(at);
    at = at.parent === undefined ? undefined : byNumber.get(at.parent);
  }
  return found;
}

/** What is shown. Empty sets and texts let everything pass. */
export interface RowFilter {
  readonly text: string;
  /** Rows that a search found the text in. */
  readonly found: ReadonlyMap<number, unknown>;
  readonly kinds: ReadonlySet<string>;
  readonly states: ReadonlySet<string>;
  /** Milliseconds. */
  readonly minMs: number;
}

export const noFilter: RowFilter = {
  text: "",
  found: new Map(),
  kinds: new Set(),
  states: new Set(),
  minMs: 0,
};

export const isFiltering = ({ text, kinds, states, minMs }: RowFilter): boolean =>
  text !== "" || kinds.size > 0 || states.size > 0 || minMs > 0;

const knownKinds: readonly string[] = ["generation", "tool", "user-message", "text", "session"];

/** The kind of a row for filters and colours. */
export const kindOf = ({ kind }: ViewRow): string => (knownKinds.includes(kind) ? kind : "span");

export function passes(filter: RowFilter, row: ViewRow): boolean {
  if (filter.kinds.size > 0 && !filter.kinds.has(kindOf(row))) return false;
  if (filter.states.size > 0 && !filter.states.has(row.state)) return false;
  if ((row.ms ?? 0) < filter.minMs) return false;
  if (filter.text === "" || filter.found.has(row.n)) return true;
  const wanted = filter.text.toLowerCase();
  return [row.name, row.gist, row.error, row.spanId].some((text) => text?.toLowerCase().includes(wanted));
}

/** A row of the tree that is shown. */
export interface TreeRow {
  readonly row: ViewRow;
  /** From 0. */
  readonly depth: number;
  readonly hasChildren: boolean;
  readonly isOpen: boolean;
  /** Passes the filter: others are shown for the sake of those below them. */
  readonly isMatch: boolean;
}

/** The rows that are shown, from top to bottom: without those below a closed row, and without those that a filter hides. */
export function treeRows(
  session: SessionRows,
  closed: ReadonlySet<number>,
  filter: RowFilter,
): readonly TreeRow[] {
  const kept = isFiltering(filter) ? keptRows(session, filter) : undefined;
  const shown: TreeRow[] = [];
  const left: { readonly row: ViewRow; readonly depth: number }[] = [];
  const push = (rows: readonly ViewRow[], depth: number) => {
    for (let index = rows.length - 1; index >= 0; index--) left.push({ row: rows[index] as ViewRow, depth });
  };
  push(session.roots, 0);
  for (let next = left.pop(); next; next = left.pop()) {
    const { row, depth } = next;
    if (kept && !kept.has(row.n)) continue;
    const children = session.childrenOf.get(row.n) ?? [];
    const isOpen = !closed.has(row.n);
    shown.push({
      row,
      depth,
      hasChildren: children.length > 0,
      isOpen,
      isMatch: kept?.get(row.n) ?? true,
    });
    if (isOpen) push(children, depth + 1);
  }
  return shown;
}

/** The rows that pass (`true`), and those above them (`false`). */
function keptRows(session: SessionRows, filter: RowFilter): Map<number, boolean> {
  const kept = new Map<number, boolean>();
  for (const row of session.rows) {
    if (!passes(filter, row)) continue;
    kept.set(row.n, true);
    for (let at = row.parent; at !== undefined && !kept.has(at); at = session.byNumber.get(at)?.parent)
      kept.set(at, false);
  }
  return kept;
}
