/**
 * Who may open a session of a directory that has ended: a span alone reopens it, unless it was fenced, or opened
 * explicitly before.
 */

import { RecentMap } from "../platform/recent-map.js";

/** Why a session takes no spans: it was fenced, or ended by those who opened it. */
export type Closed = "fenced" | "ended";

/** Ended sessions that are remembered: spans that come later than this many newer ends open theirs again. */
const maxEnded = 10_000;

/** How a session ended that spans do not reopen. `joined`: users that had come by then. */
type Ending = { readonly how: "ended" } | { readonly how: "fenced"; readonly joined: number };

export class SessionGate {
  readonly #endings = new RecentMap<string, Ending | undefined>(maxEnded);
  /** Sessions that were opened explicitly, and are open. */
  readonly #explicit = new Set<string>();
  #joined = 0;

  /** A number for a new user: it may resume what was fenced before it came. */
  join(): number {
    return ++this.#joined;
  }

  /** Opened explicitly: whatever ended it no longer counts. */
  open(id: string): void {
    this.#explicit.add(id);
    if (this.#endings.has(id)) this.#endings.set(id, undefined);
  }

  /** Why a span of this user does not open the session, if so. */
  closed(user: number, id: string): Closed | undefined {
    const ending = this.#endings.get(id);
    if (ending?.how !== "fenced" || user <= ending.joined) return ending?.how;
    this.#endings.set(id, undefined);
    return undefined;
  }

  /** The session has ended in good order. */
  end(id: string): void {
    if (this.#explicit.delete(id)) this.#endings.set(id, { how: "ended" });
  }

  fence(id: string): void {
    this.#explicit.delete(id);
    this.#endings.set(id, { how: "fenced", joined: this.#joined });
  }

  isFenced(id: string): boolean {
    return this.#endings.get(id)?.how === "fenced";
  }

  /** Whether it is for those who opened it to end it, however long it is silent. */
  isExplicit(id: string): boolean {
    return this.#explicit.has(id);
  }
}
