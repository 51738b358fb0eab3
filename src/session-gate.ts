/**
 * Who may open a session of a directory that has ended: a span alone reopens it, unless it was fenced, or opened
 * explicitly before.
 */

/** Why a session takes no spans: it was fenced, or ended by those who opened it. */
export type Closed = "fenced" | "ended";

export class SessionGate {
  /** Fenced sessions, by id: users that had joined by then cannot reopen them. */
  readonly #fencedAt = new Map<string, number>();
  /** Sessions that were opened explicitly: spans do not reopen them. */
  readonly #explicit = new Map<string, "open" | "ended">();
  #joined = 0;

  /** A number for a new user: it may resume what was fenced before it came. */
  join(): number {
    return ++this.#joined;
  }

  /** Opened explicitly: whatever ended it no longer counts. */
  open(id: string): void {
    this.#fencedAt.delete(id);
    this.#explicit.set(id, "open");
  }

  /** Why a span of this user does not open the session, if so. */
  closed(user: number, id: string): Closed | undefined {
    const fencedAt = this.#fencedAt.get(id);
    if (fencedAt !== undefined && user <= fencedAt) return "fenced";
    if (this.#explicit.get(id) === "ended") return "ended";
    this.#fencedAt.delete(id);
    return undefined;
  }

  /** The session has ended in good order. */
  end(id: string): void {
    if (this.#explicit.has(id)) this.#explicit.set(id, "ended");
  }

  fence(id: string): void {
    this.#fencedAt.set(id, this.#joined);
  }

  isFenced(id: string): boolean {
    return this.#fencedAt.has(id);
  }

  /** Whether it is for those who opened it to end it, however long it is silent. */
  isExplicit(id: string): boolean {
    return this.#explicit.has(id);
  }
}
