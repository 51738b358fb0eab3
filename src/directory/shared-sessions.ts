/**
 * The sessions that this process writes to in a directory, and which of the directory's users write to each.
 */
import type { SessionWriter } from "../storage/session-writer.js";

export class SharedSessions implements Iterable<[id: string, writer: SessionWriter]> {
  readonly #writers = new Map<string, SessionWriter>();
  readonly #usersOf = new Map<string, Set<number>>();

  /** The writer of a session, also of one that waits to be ended. */
  get(id: string): SessionWriter | undefined {
    return this.#writers.get(id);
  }

  /** The writer of a session that is open now. */
  open(id: string): SessionWriter | undefined {
    const writer = this.#writers.get(id);
    return writer?.state === "open" ? writer : undefined;
  }

  /** A user opened a session. */
  add(user: number, id: string, writer: SessionWriter): SessionWriter {
    this.#writers.set(id, writer);
    this.#usersOf.set(id, new Set([user]));
    return writer;
  }

  /** A user writes to a session that is open now, if it is. */
  join(user: number, id: string): SessionWriter | undefined {
    const writer = this.open(id);
    if (writer) this.#usersOf.get(id)?.add(user);
    return writer;
  }

  /** A user writes to a session no more. True if nobody does. */
  leave(user: number, id: string): boolean {
    const users = this.#usersOf.get(id);
    users?.delete(user);
    return !users || users.size === 0;
  }

  /** The sessions that a user writes to, with those that wait to be ended. */
  *of(user: number): Iterable<[id: string, writer: SessionWriter]> {
    for (const session of this.#writers) if (this.#usersOf.get(session[0])?.has(user)) yield session;
  }

  [Symbol.iterator](): Iterator<[id: string, writer: SessionWriter]> {
    return this.#writers[Symbol.iterator]();
  }

  /** The session is done, unless another writer has it by now. */
  delete(id: string, writer: SessionWriter): void {
    if (this.#writers.get(id) !== writer) return;
    this.#writers.delete(id);
    this.#usersOf.delete(id);
  }
}
