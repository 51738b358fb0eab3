/** What the sessions of a directory need from time to time: retries of what the disk has refused, leases, syncs. */

import { inTurns } from "../platform/async.js";
import type { FileSystem } from "../platform/file-system.js";
import { recreateIfRemoved } from "../storage/merge.js";
import type { FinalDocuments } from "./ends.js";
import type { SessionEntry, Sessions } from "./sessions.js";

/** Sessions that a look at all of them sees in one turn of the event loop: some 2 ms. */
export const seenPerTurn = 1_000;

/** Sessions, one after the other, that the disk must refuse before the other ones wait for the next round. */
const refusedInRow = 20;

export class Upkeep {
  readonly #sessions: Sessions;
  readonly #final: FinalDocuments;
  readonly #fileSystem: FileSystem;
  /** Where the last round of retries ended: the next one begins there. */
  #skipped = 0;
  /** What {@link retry} and {@link heartbeat} do, while it lasts: a slow disk must not collect such work. */
  #round: Promise<void> | undefined;
  #ends: Promise<void> | undefined;
  #heartbeat: Promise<void> | undefined;

  constructor(sessions: Sessions, final: FinalDocuments, fileSystem: FileSystem) {
    this.#sessions = sessions;
    this.#final = final;
    this.#fileSystem = fileSystem;
  }

  /** Retries what the disk has refused to take. Called every second by `housekeeping.ts`. */
  retry(): void {
    this.#sessions.clean();
    this.#retryOpen();
    this.#ends ??= this.#final.retry().finally(() => {
      this.#ends = undefined;
    });
  }

  /**
   * Renews the lease of each session: the modification time of its journal. One after the other: a call for each of
   * thousands of sessions at once would keep the host's calls waiting.
   */
  heartbeat(): void {
    this.#heartbeat ??= this.#renewLeases().finally(() => {
      this.#heartbeat = undefined;
    });
  }

  /** Syncs what was recorded since the last call: `durability: "interval"`. */
  syncRecent(): void {
    for (const { writer, publisher } of this.#sessions.writing()) {
      const logs = [writer.journal, writer.log].filter((log) => log.needsSync);
      if (logs.length > 0) publisher.sync(logs);
    }
  }

  /** What the disk refuses to some sessions, it would refuse to all: the other ones are first in the next round. */
  #retryOpen(): void {
    if (this.#round) return;
    const first = this.#skipped;
    let [seen, refused] = [0, 0];
    this.#skipped = 0;
    this.#round = inTurns(this.#sessions.writing(), seenPerTurn, (entry) => {
      if (++seen <= first) return true;
      refused = this.#retryOne(entry) ? 0 : refused + 1;
      if (refused < refusedInRow) return true;
      this.#skipped = seen;
      return false;
    })?.finally(() => {
      this.#round = undefined;
    });
  }

  /** `false`: the disk refuses. */
  #retryOne({ writer, publisher }: SessionEntry): boolean {
    // A session that ends is published by its final document.
    if (!writer.life.isOpen) return true;
    if (!writer.isSettled && !writer.settle()) return false;
    const isDoubtful = writer.log.isDoubtful || writer.journal.isDoubtful;
    if (writer.isPublished && !isDoubtful) return true;
    recreateIfRemoved(writer);
    if (!writer.isPublished) publisher.changed();
    return true;
  }

  async #renewLeases(): Promise<void> {
    const { touch } = this.#fileSystem.async;
    for (const { writer } of this.#sessions.writing()) await touch(writer.journal.path).catch(() => {});
  }
}
