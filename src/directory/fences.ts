/**
 * The crash fence of the sessions of a directory: final when a caller asks for it, provisional for a process hook.
 */
import { crashEnd, firstEvent, type HookEvent, type SessionEnd } from "../format/session-end.js";
import { releaseToken } from "../platform/liveness.js";
import type { EndedSessions } from "./ended-sessions.js";
import { cancelWork } from "./ends.js";
import type { Openings } from "./openings.js";
import type { SessionEntry, Sessions } from "./sessions.js";
import { suspend, writersWithoutPeers } from "./suspension.js";
import type { TraceDirectory } from "./trace-directory.js";

export class Fences {
  readonly #directory: TraceDirectory;
  readonly #sessions: Sessions;
  readonly #ended: EndedSessions;
  readonly #openings: Openings;

  constructor(directory: TraceDirectory, sessions: Sessions, ended: EndedSessions, openings: Openings) {
    this.#directory = directory;
    this.#sessions = sessions;
    this.#ended = ended;
    this.#openings = openings;
  }

  /**
   * The crash fence of a user's sessions: synchronous. Copies under way are removed, and cannot commit any more.
   * Sessions that `ended` with the user are opened again to be marked.
   */
  crash(user: number, ended: Iterable<string>, reason?: string): void {
    const written = [...this.#sessions.of(user)].filter((entry) => entry.isWrittenBy(user));
    const ids = new Set([...ended, ...written.map(({ id }) => id)]);
    const reopened = new Set([...ids].filter((id) => !this.#ended.hasCrashed(id)));
    this.#crash(user, ids, reopened, crashEnd(reason));
  }

  /** The crash fence of one session, also of one that has ended or crashed before: the last reason stays. */
  crashSession(user: number, id: string, reason?: string): void {
    const ids = new Set([id]);
    this.#crash(user, ids, ids, crashEnd(reason));
  }

  /**
   * A process hook fences a user's sessions, synchronously: when this returns, their documents are final if the process
   * ends now. If it lives on, the sessions do: they are suspended until something is recorded or ended. A session that
   * has nothing under way ends as completed. Ends under way are finished.
   */
  fence(user: number, event: HookEvent): void {
    // Reading spans runs code of the host, which may record spans: all sessions are open at that time.
    for (const { writer, publisher } of this.#sessions.of(user)) {
      if (!writer.life.isOpen || writer.session.openSpans.size === 0) continue;
      try {
        writer.refreshOpen();
      } catch (error) {
        publisher.changed();
        this.#directory.ports.events.onFault(error, writer.path);
      }
    }
    const now = this.#directory.ports.clock.now();
    const endings = this.#sessions.unwritten();
    for (const entry of this.#sessions.of(user)) {
      if (!entry.writer.life.isOpen || !entry.isWrittenBy(user)) continue;
      endings.push(suspend(entry, event, now));
      this.#sessions.unuse(entry);
    }
    this.#finish(endings);
  }

  /** The verdict of a suspended session is final. */
  settle(entry: SessionEntry): void {
    releaseToken(entry.writer.token);
    this.#sessions.delete(entry);
  }

  #crash(user: number, ids: ReadonlySet<string>, reopened: ReadonlySet<string>, end: SessionEnd): void {
    const entries = new Set<SessionEntry>();
    for (const entry of this.#sessions.unwritten()) {
      if (!ids.has(entry.id)) continue;
      // Already finalized, its completion callback is pending: reopened below like any ended session.
      if (entry.writer.life.state === "ended") this.#sessions.delete(entry);
      else entries.add(entry);
    }
    for (const id of ids) {
      const entry = this.#sessions.get(id);
      if (entry) entries.add(entry);
    }
    const found = new Set([...entries].map(({ id }) => id));
    for (const id of reopened) {
      const ended = found.has(id) ? undefined : this.#openings.reopenEnded(id);
      ended?.addUser(user);
      if (ended) entries.add(ended);
    }
    const now = this.#directory.ports.clock.now();
    for (const entry of entries) {
      const { session, life } = this.#openings.continue(entry);
      life.crash();
      const { detector } = firstEvent(session.verdict, { reason: "", detector: undefined }, now);
      entry.endAs({ ...end, detector });
      entry.endExplicit();
    }
    // Before the documents are written: code of the host, run by the reading of spans, may record spans.
    for (const id of ids) this.#ended.crash(id);
    this.#finish([...entries]);
  }

  /** Cancels all work under way, then writes each document: a slow disk delays only the writing. */
  #finish(entries: readonly SessionEntry[]): void {
    for (const entry of entries) cancelWork(entry);
    const { dir, ports } = this.#directory;
    const alone = writersWithoutPeers(
      ports.fileSystem,
      dir,
      entries.map(({ writer }) => writer),
    );
    for (const entry of entries) this.#directory.finishNow(entry, alone.has(entry.writer));
  }
}
