/** What the views share: the session, what is selected, what is filtered, and what a person can do. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import type { RelatedSessions } from "../cli/viewer-server.js";
import type { DeepLink, View } from "./deep-link.js";
import type { RowFilter, SessionRows } from "./session-rows.js";
import type { SearchMatch } from "./session-source.js";
import type { SpanStore } from "./span-store.js";

export interface ViewerState {
  readonly session: SessionRows;
  readonly store: SpanStore;
  readonly link: DeepLink;
  readonly related: RelatedSessions;
  readonly selected: ViewRow | undefined;
  readonly filter: RowFilter;
  readonly found: ReadonlyMap<number, SearchMatch>;
  /** The rows that the view shows, in their order: where keys move. */
  setOrder(rows: readonly ViewRow[]): void;
  select(row: ViewRow | undefined, isOpening?: boolean): void;
  show(view: View, row?: ViewRow): void;
  setFilter(filter: Partial<RowFilter>): void;
}

export const Viewer = createContext<ViewerState | undefined>(undefined);

export function useViewer(): ViewerState {
  const state = useContext(Viewer);
  if (!state) throw new Error("no session is shown");
  return state;
}
