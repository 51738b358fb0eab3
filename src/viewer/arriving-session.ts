/** The session of a page as its messages arrive: a long one in parts, which are shown before the last of them is there. */

import type { ViewHead, ViewRow } from "../cli/session-view.js";
import type { FirstPart, RowsPart } from "../cli/view-parts.js";
import { RowTree } from "./row-tree.js";
import { changedRows, type SessionRows } from "./session-rows.js";

/** What arrives: all of a view, row by row of a tree, or the rows that changed in a session that is known. */
type Arriving =
  | { readonly type: "view"; readonly head: ViewHead; readonly tree: RowTree; shown: number }
  | { readonly type: "delta"; readonly head: ViewHead; readonly rows: ViewRow[] };

export class ArrivingSession {
  #session: SessionRows | undefined;
  #arriving: Arriving | undefined;

  /** The session with this part; `undefined` where nothing is to be shown yet. */
  take(part: FirstPart | RowsPart): SessionRows | undefined {
    const { rows, left = 0 } = part;
    if (part.type === "view")
      this.#arriving = { type: "view", head: part.head, tree: new RowTree(), shown: 0 };
    else if (part.type === "delta") this.#arriving = { type: "delta", head: part.head, rows: [] };
    const arriving = this.#arriving;
    if (!arriving) return undefined;
    if (arriving.type === "delta") {
      arriving.rows.push(...rows);
      if (left > 0 || !this.#session) return undefined;
      this.#session = changedRows(this.#session, { head: arriving.head, rows: arriving.rows });
      return this.#session;
    }
    arriving.tree.add(rows);
    // To show all that is there with each part would take the square of the time: it doubles.
    if (left > 0 && arriving.tree.size < 2 * arriving.shown) return undefined;
    arriving.shown = arriving.tree.size;
    this.#session = arriving.tree.session(arriving.head, left);
    return this.#session;
  }
}
