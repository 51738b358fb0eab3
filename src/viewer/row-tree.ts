/** A tree of rows that grows as parts of a session arrive: what came before is not sorted and linked again. */
import type { ViewHead, ViewRow } from "../cli/session-view.js";
import type { SessionRows } from "./session-rows.js";

export class RowTree {
  readonly #rows: ViewRow[] = [];
  readonly #byNumber = new Map<number, ViewRow>();
  readonly #childrenOf = new Map<number, ViewRow[]>();
  #roots: ViewRow[] = [];
  /** Rows whose parent has not arrived. */
  #waiting: ViewRow[] = [];

  get size(): number {
    return this.#rows.length;
  }

  /** Takes rows that start after those before, in order of start. A parent may come after its children. */
  add(rows: readonly ViewRow[]): void {
    for (const row of rows) {
      this.#rows.push(row);
      this.#byNumber.set(row.n, row);
    }
    for (const row of rows) {
      if (row.parent === undefined) this.#roots.push(row);
      else if (this.#byNumber.has(row.parent)) this.#childrenOfNumber(row.parent).push(row);
      else {
        this.#waiting.push(row);
        this.#roots.push(row);
      }
    }
    this.#placeWaiting();
  }

  /** The session as far as it has arrived. What arrives later is in these maps as well. */
  session(head: ViewHead, left: number): SessionRows {
    return {
      head,
      rows: [...this.#rows],
      byNumber: this.#byNumber,
      childrenOf: this.#childrenOf,
      roots: [...this.#roots],
      left,
    };
  }

  #childrenOfNumber(n: number): ViewRow[] {
    const known = this.#childrenOf.get(n);
    if (known) return known;
    const children: ViewRow[] = [];
    this.#childrenOf.set(n, children);
    return children;
  }

  #placeWaiting(): void {
    const arrived = new Set(
      this.#waiting.filter(({ parent }) => parent !== undefined && this.#byNumber.has(parent)),
    );
    if (arrived.size === 0) return;
    this.#waiting = this.#waiting.filter((row) => !arrived.has(row));
    this.#roots = this.#roots.filter((row) => !arrived.has(row));
    const parents = new Set([...arrived].map(({ parent }) => parent as number));
    for (const row of arrived) this.#childrenOfNumber(row.parent as number).push(row);
    for (const n of parents) this.#childrenOfNumber(n).sort(byStart);
  }
}

/** The order of rows. */
export const byStart = (a: ViewRow, b: ViewRow): number => a.start - b.start || a.n - b.n;
