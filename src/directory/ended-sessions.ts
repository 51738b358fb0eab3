/**
 * The memory of sessions that ended: whether a span may open its session again. A span may, unless the session crashed
 * or was opened with `openSession()`.
 */
import { RecentMap } from "../platform/recent-map.js";

/** Why a session takes no spans: it crashed, or the callers that opened it have ended it. */
export type Closed = "crashed" | "ended";

/** Ended sessions that are remembered: a span that comes after this many newer ends opens its session again. */
const maxEnded = 10_000;

/** An end after which spans do not reopen the session. `joined`: the number of users that had joined by then. */
type Ending = { readonly how: "ended" } | { readonly how: "crashed"; readonly joined: number };

export class EndedSessions {
  readonly #endings = new RecentMap<string, Ending | undefined>(maxEnded);
  #joined = 0;

  /** Returns the number of a new user: that user may resume sessions that crashed before. */
  join(): number {
    return ++this.#joined;
  }

  /** A caller opened the session explicitly: an earlier end or crash no longer counts. */
  forget(id: string): void {
    if (this.#endings.has(id)) this.#endings.set(id, undefined);
  }

  /** Why a span of `user` does not open the session; `undefined` when the span does. */
  closed(user: number, id: string): Closed | undefined {
    const ending = this.#endings.get(id);
    if (ending?.how !== "crashed" || user <= ending.joined) return ending?.how;
    this.#endings.set(id, undefined);
    return undefined;
  }

  /** A session that was opened explicitly has ended in good order. */
  end(id: string): void {
    this.#endings.set(id, { how: "ended" });
  }

  /** The session has crashed. */
  crash(id: string): void {
    this.#endings.set(id, { how: "crashed", joined: this.#joined });
  }

  hasCrashed(id: string): boolean {
    return this.#endings.get(id)?.how === "crashed";
  }
}
