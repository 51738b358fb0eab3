/**
 * Sessions that have ended, until the file system has their documents: their turn has not come, or it refused.
 */

import type { SessionEnd } from "../format/session-end.js";
import type { SerialQueue as Lane } from "../platform/async.js";
import { OperationCancelled, runAsync } from "../platform/gensync.js";
import { retire } from "../platform/liveness.js";
import { seal } from "../storage/seal.js";
import type { SessionWriter } from "../storage/session-writer.js";
import { fenceRefused } from "./publish-scheduler.js";

interface Unfinished {
  readonly id: string;
  readonly end: SessionEnd;
}

/** What the directory does around a seal. */
interface SealEvents {
  /** Before a try: the open document may have been taken since. */
  onTry(writer: SessionWriter): void;
  /** The document is there. */
  onSealed(writer: SessionWriter, id: string): void;
}

export class UnfinishedSessions {
  readonly #lane: Lane;
  readonly #events: SealEvents;
  readonly #sessions = new Map<SessionWriter, Unfinished>();
  #isAbandoned = false;

  constructor(lane: Lane, events: SealEvents) {
    this.#lane = lane;
    this.#events = events;
  }

  add(writer: SessionWriter, id: string, end: SessionEnd): void {
    this.#sessions.set(writer, { id, end });
    if (this.#isAbandoned) retire(writer.token);
  }

  /** Nobody tries them any more, nor those that come: they are for the next recovery, though this process lives. */
  abandon(): void {
    this.#isAbandoned = true;
    for (const { token } of this.#sessions.keys()) retire(token);
  }

  has(writer: SessionWriter): boolean {
    return this.#sessions.has(writer);
  }

  /** How the session is to end. */
  endOf(writer: SessionWriter): SessionEnd | undefined {
    return this.#sessions.get(writer)?.end;
  }

  delete(writer: SessionWriter): void {
    this.#sessions.delete(writer);
  }

  *[Symbol.iterator](): Iterator<[SessionWriter, string]> {
    for (const [writer, { id }] of this.#sessions) yield [writer, id];
  }

  /** Tries those of one session. */
  finishOf(id: string): Promise<void>[] {
    return [...this].filter(([, of]) => of === id).map(([writer]) => this.finish(writer));
  }

  /** Tries each of them. */
  finishAll(): Promise<void>[] {
    return [...this.#sessions.keys()].map((writer) => this.finish(writer));
  }

  /** Seals a session when its turn comes. Rejects when the file system refuses; then it stays here. */
  finish(writer: SessionWriter): Promise<void> {
    return this.#lane.run(async () => {
      const unfinished = this.#sessions.get(writer);
      if (!unfinished) return;
      const { epoch, ports } = writer;
      this.#events.onTry(writer);
      try {
        await runAsync(ports.fileSystem, seal(writer, unfinished.end), () => writer.epoch !== epoch);
        if (writer.epoch === epoch) this.#events.onSealed(writer, unfinished.id);
      } catch (error) {
        if (!(error instanceof OperationCancelled)) {
          ports.events.onFault(error, writer.path);
          throw error;
        }
      }
      if (this.has(writer)) throw fenceRefused();
    });
  }
}
